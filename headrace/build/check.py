"""Asks a built model its known prompt, in a process of its own.

`python -m headrace.build.check FOLDER KNOWN_PROMPT` (JSON) exits with 1 and one line when the model is wrong.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from headrace.build.recipes import KnownPrompt
from headrace.errors import HeadraceError, StartupError
from headrace.text.chat import ChatTemplate
from headrace.text.messages import Message
from headrace.text.tokenizer import Tokenizer

# An 8-bit KV cache, the default under bf16, sends so small a model astray; here only its files are judged.
_EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}


def check(folder: Path, known: KnownPrompt) -> None:
    """Raises `StartupError` when token count, token ids or answer are not what the recipe says."""
    command = [sys.executable, "-m", "headrace.build.check", str(folder), known.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1]
        raise StartupError(f"the model that was built is wrong: {said}")


def problem(folder: Path, known: KnownPrompt) -> str | None:
    """Ask as the platform does, by its own template and tokenizer, and compare with what is known.

    OpenVINO's tokenizer must agree with ours: the engine has it read JSON schemas.
    """
    import openvino
    import openvino_genai

    tokenizer = Tokenizer(folder)
    prompt = ChatTemplate(folder, tokenizer).encode([Message(role="user", content=known.question)])
    if len(prompt) != known.tokens:
        return f"{known.question!r} has {len(prompt)} tokens, expected {known.tokens}"
    pipeline = openvino_genai.LLMPipeline(str(folder), "CPU", **_EXACT)
    theirs = pipeline.get_tokenizer()
    text = theirs.decode(prompt, skip_special_tokens=False)
    if (again := theirs.encode(text, add_special_tokens=False).input_ids.data[0].tolist()) != prompt:
        return f"tokenizer.json gives {prompt}, OpenVINO's tokenizer {again}"
    settings = openvino_genai.GenerationConfig(max_new_tokens=known.answer_tokens, apply_chat_template=False)
    token_ids = pipeline.generate(openvino.Tensor(np.array([prompt], dtype=np.int64)), settings).tokens[0]
    answer = b"".join(map(tokenizer.token_bytes, token_ids)).decode("utf-8", "replace")
    if known.answer_contains not in answer:
        return f"it answers {answer!r} to {known.question!r}, expected {known.answer_contains!r} in it"
    return None


def _main() -> str | None:
    try:
        return problem(Path(sys.argv[1]), KnownPrompt.model_validate_json(sys.argv[2]))
    except HeadraceError as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(_main())

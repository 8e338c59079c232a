"""Asks a built model its known prompt, in a process of its own.

`python -m headrace.build.check FOLDER KNOWN_PROMPT` (JSON) exits with 1 and one line when the model is wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jinja2
from tokenizers import Tokenizer

from headrace.build.recipes import KnownPrompt
from headrace.errors import StartupError

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
    """Compare our tokenizer, OpenVINO's and the greedy answer with what is known."""
    import openvino_genai

    prompt = _prompt(folder, known.question)
    ours = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(prompt, add_special_tokens=False).ids
    if len(ours) != known.tokens:
        return f"{known.question!r} has {len(ours)} tokens, expected {known.tokens}"
    pipeline = openvino_genai.LLMPipeline(str(folder), "CPU", **_EXACT)
    tensor = pipeline.get_tokenizer().encode(prompt, add_special_tokens=False).input_ids
    if (theirs := tensor.data[0].tolist()) != ours:
        return f"tokenizer.json gives {ours}, OpenVINO's tokenizer {theirs}"
    settings = openvino_genai.GenerationConfig(max_new_tokens=known.answer_tokens, apply_chat_template=False)
    answer = str(pipeline.generate(prompt, settings))
    if known.answer_contains not in answer:
        return f"it answers {answer!r} to {known.question!r}, expected {known.answer_contains!r} in it"
    return None


def _prompt(folder: Path, question: str) -> str:
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    template = jinja2.Environment(autoescape=False).from_string(settings["chat_template"])  # noqa: S701 - no HTML
    return template.render(messages=[{"role": "user", "content": question}], add_generation_prompt=True)


if __name__ == "__main__":
    sys.exit(problem(Path(sys.argv[1]), KnownPrompt.model_validate_json(sys.argv[2])))

"""GGUF → OpenVINO IR, in a process of its own: the converter writes beside its input and keeps its memory.

`python -m headrace.build.convert GGUF FOLDER` leaves model, tokenizer and detokenizer in FOLDER.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from headrace.errors import StartupError

IR_FILES = tuple(
    f"openvino_{piece}.{suffix}" for piece in ("model", "tokenizer", "detokenizer") for suffix in ("xml", "bin")
)


def convert(gguf: Path, folder: Path) -> None:
    """Move the IR of `gguf` into `folder`. Raises `StartupError` with the converter's own last line."""
    command = [sys.executable, "-m", "headrace.build.convert", str(gguf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    missing = [name for name in IR_FILES if not (gguf.parent / name).is_file()]
    if done.returncode or missing:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise StartupError(
            f"OpenVINO did not convert {gguf.name} (exit {done.returncode}, "
            f"missing: {', '.join(missing) or 'none'}); it said: {said}"
        )
    for name in IR_FILES:
        (gguf.parent / name).rename(folder / name)


if __name__ == "__main__":
    import openvino_genai

    openvino_genai.LLMPipeline(sys.argv[1], "CPU", enable_save_ov_model=True)

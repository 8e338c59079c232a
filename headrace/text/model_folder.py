"""What the steps need to know of the model, read from its folder (Hugging Face layout)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headrace.errors import StartupError


def end_token_ids(model: Path) -> tuple[int, ...]:
    """Ids that end an answer: `eos_token_id` of generation_config.json, else of config.json."""
    for name in ("generation_config.json", "config.json"):
        value = _read(model / name, required=False).get("eos_token_id")
        if isinstance(value, int):
            return (value,)
        if isinstance(value, list) and value:
            return tuple(value)
    raise StartupError(f"{model}: no eos_token_id in generation_config.json or config.json")


def context_length(model: Path) -> int:
    """Most tokens that prompt and answer may have together."""
    value = _read(model / "config.json").get("max_position_embeddings")
    if not isinstance(value, int) or value < 2:
        raise StartupError(f"{model / 'config.json'}: max_position_embeddings is missing")
    return value


def _read(file: Path, required: bool = True) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not required:
            return {}
        raise StartupError(f"{file}: missing; run `make setup`") from None
    except (OSError, ValueError) as error:
        raise StartupError(f"{file}: cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise StartupError(f"{file}: expected a JSON object")
    return values

"""What the mock engine must answer: the prompt's own tokens, from the second on, over and over."""

from __future__ import annotations

from functools import cache
from typing import Any

from headrace import paths
from headrace.text.chat import ChatTemplate
from headrace.text.messages import Message
from headrace.text.tokenizer import Tokenizer


@cache
def _model() -> tuple[Tokenizer, ChatTemplate]:
    tokenizer = Tokenizer(paths.default_model())
    return tokenizer, ChatTemplate(paths.default_model(), tokenizer)


def prompt_ids(text: str) -> list[int]:
    return _model()[1].encode([Message("user", text)])


def engine_inputs(text: str, max_tokens: int) -> dict[str, Any]:
    """What the ensembles send to the engine's own models for this prompt."""
    return {"input_ids": prompt_ids(text), "max_tokens": max_tokens}


def mock_answer(text: str, max_tokens: int) -> str:
    """The greedy answer to the prompt `text`."""
    token_ids = prompt_ids(text)
    made = (token_ids[(1 + n) % len(token_ids)] for n in range(max_tokens))
    return b"".join(map(_model()[0].token_bytes, made)).decode("utf-8", "replace")

"""Prompts of an exact length in tokens, each different from the start, so that no cache helps."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import StartupError
from headrace.text.chat import ChatTemplate
from headrace.text.messages import Message
from headrace.text.tokenizer import Tokenizer

_WORDS = """
the river water city people school music house light night morning winter summer family friend
country market mountain garden table window street story letter number question answer world history
science machine engine paper book picture color sound language teacher student doctor village island
ocean forest animal horse bird fish tree flower stone metal glass bread coffee sugar salt money
price trade ship train bridge road field farm weather cloud storm rain snow wind fire earth moon
star sun day week month year hour
""".split()  # noqa: SIM905
_TRIES = 100


@dataclass(frozen=True)
class Prompt:
    text: str
    token_ids: tuple[int, ...]
    """With the chat template: what the engine sees."""


class PromptMaker:
    """Makes prompts of one model. The same seed gives the same prompts."""

    def __init__(self, model: Path, seed: int) -> None:
        self._template = ChatTemplate(model, Tokenizer(model))
        self._random = random.Random(seed)

    def make(self, count: int, tokens: int) -> list[Prompt]:
        """`count` prompts of exactly `tokens` tokens each, the chat template's own included."""
        return [self._make_one(tokens) for _ in range(count)]

    def _make_one(self, tokens: int) -> Prompt:
        words: list[str] = []
        for _ in range(_TRIES):
            missing = tokens - len(self._encode(words))
            if missing == 0:
                return Prompt(" ".join(words), self._encode(words))
            # Most words are one token each: what is too much is dropped, the rest drawn anew.
            words = words[:missing] if missing < 0 else words + self._random.choices(_WORDS, k=missing)
        raise StartupError(f"no prompt of {tokens} tokens found for this model; ask for a longer one")

    def _encode(self, words: list[str]) -> tuple[int, ...]:
        return tuple(self._template.encode([Message("user", " ".join(words))]))

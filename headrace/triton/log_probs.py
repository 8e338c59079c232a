"""Log probabilities of an answer's tokens, and the tokens: they tell of a text, so they wait until it is shown."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.text.token_text import token_bytes
from headrace.triton import tensors
from headrace.triton.tensors import GetTensor, Outputs, row, string_tensor

NOT_SHOWN = ""
"""A token whose text was taken out."""


@dataclass(frozen=True, slots=True)
class LogProbs:
    """None at all when they were not asked for."""

    values: tuple[float, ...] = ()
    tokens: tuple[str, ...] = ()
    """One a value, as `headrace.text.token_text` writes it."""

    def __add__(self, other: LogProbs) -> LogProbs:
        return LogProbs(self.values + other.values, self.tokens + other.tokens)

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def read(cls, get: GetTensor) -> LogProbs:
        values, tokens = tensors.numbers(get, "log_probs"), tensors.pieces(get, "log_prob_tokens")
        return cls(values, tokens if len(tokens) == len(values) else (NOT_SHOWN,) * len(values))

    def outputs(self, whole: bool) -> Outputs:
        """`whole`: no model may answer with an empty tensor where its caller expects one, so "none" is one 0.0."""
        if not self.values:
            return _ONE if whole else _NONE
        return _outputs(self.values, self.tokens)


def _outputs(values: Sequence[float], tokens: Sequence[str]) -> Outputs:
    return {"log_probs": row(values, np.float32), "log_prob_tokens": string_tensor(*tokens)}


_NONE, _ONE = _outputs((), ()), _outputs((0.0,), ("",))


@dataclass(frozen=True, slots=True)
class _Held:
    start: int
    end: int
    """Characters of the answer before it, and with it."""
    value: float
    token: str


class HeldLogProbs:
    """Of one answer. A token's place is told by its bytes, decoded as the answer's are: what was held back for a
    stop string has not come as text yet, and must not come as tokens."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._characters = 0
        self._held: deque[_Held] = deque()

    def add(self, found: LogProbs) -> None:
        for value, token in zip(found.values, found.tokens, strict=True):
            start = self._characters
            self._characters += len(self._utf8.decode(token_bytes(token)))
            begun = bool(self._utf8.getstate()[0])  # it ends within a character
            self._held.append(_Held(start, self._characters + begun, value, token))

    def take(self, place: int, changed: Sequence[tuple[int, int]], final: bool = False) -> LogProbs:
        """Of the tokens that end by this place; `final`: of all, and nothing follows.

        `changed`: from where to where the text was changed. Tokens of it, and those beyond the end, which no text
        shows, have no text either.
        """
        taken: list[_Held] = []
        while self._held and (final or self._held[0].end <= place):
            taken.append(self._held.popleft())
        return LogProbs(tuple(one.value for one in taken), tuple(_shown(one, place, changed) for one in taken))


def _shown(one: _Held, place: int, changed: Sequence[tuple[int, int]]) -> str:
    hidden = one.end > place or any(one.start < end and start < one.end for start, end in changed)
    return NOT_SHOWN if hidden else one.token

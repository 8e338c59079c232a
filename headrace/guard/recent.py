"""Verdicts of texts that were judged lately: of a conversation's earlier messages, and of answers from a cache."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

MOST_CHARACTERS = 2_000_000


class Sized(Protocol):
    def __len__(self) -> int: ...

    def __hash__(self) -> int: ...


Key = TypeVar("Key", bound=Sized)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Forgets the longest unused when the keys' lengths exceed the limit. Used from one thread."""

    def __init__(self, most: int = MOST_CHARACTERS) -> None:
        self._most = most
        self._length = 0
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def keep(self, key: Key, value: Value) -> None:
        if key in self._values or len(key) > self._most:
            return
        self._values[key] = value
        self._length += len(key)
        while self._length > self._most:
            forgotten, _ = self._values.popitem(last=False)
            self._length -= len(forgotten)

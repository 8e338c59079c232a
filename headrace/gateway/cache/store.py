"""The cache of one process: least recently used out first, by bytes, and nothing older than its time to live."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.client import Chunk

_OVERHEAD = 400
_TOKEN = 100
"""Bytes of a piece beside its texts, and of a token with its log probability, about."""


@dataclass(frozen=True, slots=True)
class _Kept:
    chunks: tuple[Chunk, ...]
    size: int
    expires: float


class AnswerCache:
    """Used from one thread."""

    def __init__(self, most_bytes: int, ttl_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.most_bytes = most_bytes
        self._ttl = ttl_seconds
        self._clock = clock
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> tuple[Chunk, ...] | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if found.expires <= self._clock():
            self._remove(key)
            return None
        self._kept.move_to_end(key)
        return found.chunks

    def put(self, key: bytes, chunks: Sequence[Chunk]) -> None:
        """An answer that is bigger than an eighth of all is not kept: it would push out too many."""
        size = sum(map(_size, chunks))
        if key in self._kept:
            self._remove(key)
        if size > self.most_bytes // 8:
            return
        self._kept[key] = _Kept(tuple(chunks), size, self._clock() + self._ttl)
        self.bytes += size
        while self.bytes > self.most_bytes:
            self._remove(next(iter(self._kept)))

    def _remove(self, key: bytes) -> None:
        self.bytes -= self._kept.pop(key).size


def _size(chunk: Chunk) -> int:
    return _OVERHEAD + len(chunk.text.encode()) + len(chunk.guard) + _TOKEN * len(chunk.log_probs)

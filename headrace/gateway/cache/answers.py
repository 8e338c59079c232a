"""Answers that were given before: those of this process, and behind them those that all gateways share."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.client import Chunk
from headrace.gateway.cache.shared import SharedAnswers
from headrace.gateway.cache.store import AnswerCache


class Answers:
    def __init__(self, own: AnswerCache, shared: SharedAnswers | None = None) -> None:
        self.own = own
        self._shared = shared

    async def get(self, key: bytes) -> tuple[Chunk, ...] | None:
        found = self.own.get(key)
        if found is None and self._shared is not None:
            found = await self._shared.get(key)
            if found is not None:
                self.own.put(key, found)
        return found

    def put(self, key: bytes, chunks: Sequence[Chunk]) -> None:
        self.own.put(key, chunks)
        if self._shared is not None:
            self._shared.put(key, chunks)

    async def close(self) -> None:
        if self._shared is not None:
            await self._shared.close()

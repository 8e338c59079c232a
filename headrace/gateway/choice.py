"""One of the answers that a request asks for: from the cache, a flight with equal requests, or the engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec

from headrace.audit.record import CacheState
from headrace.client import Chunk
from headrace.gateway.ask import CacheWish
from headrace.gateway.cache.answers import Answers
from headrace.gateway.cache.flights import Flights, Seat
from headrace.gateway.upstream import Job, Upstream

_WHOLE = frozenset({"stop", "length"})


class _Half(msgspec.Struct):
    version: str


class _Verdict(msgspec.Struct):
    version: str
    prompt: _Half


class Choice:
    """Read `chunks`, then `close` it, whatever happens."""

    def __init__(self, state: CacheState, chunks: AsyncGenerator[Chunk], seat: Seat | None = None) -> None:
        self.state = state
        self.chunks = chunks
        self._seat = seat

    async def close(self, tokens: int) -> int:
        """Of the `tokens` that were read, or of those that the engine made for nobody else, how many are owed."""
        await self.chunks.aclose()
        if self._seat is not None:
            return await self._seat.leave()
        return tokens if self.state == "bypass" else 0


class Choices:
    """Where answers come from."""

    def __init__(self, upstream: Upstream, cache: Answers) -> None:
        self._upstream = upstream
        self._cache = cache
        self._flights = Flights()

    async def choose(self, job: Job, key: bytes | None, policy_version: str, wish: CacheWish) -> Choice:
        """`key` is None for an answer that would not come again. One that was judged by another version of its
        policy is not kept: the policy changed while it was on its way."""
        if key is None or not (wish.read or wish.write):
            return Choice("bypass", self._upstream.run(job))
        if wish.read and (kept := await self._cache.get(key)) is not None:
            return Choice("hit", _replayed(kept))
        if not wish.read:
            return Choice("bypass", self._kept(job, key, policy_version))
        if not wish.write:
            return Choice("bypass", self._upstream.run(job))
        seat, joined = self._flights.board(
            key, lambda: self._upstream.run(job), lambda chunks: self._keep(key, policy_version, chunks)
        )
        return Choice("join" if joined else "miss", seat.read(), seat)

    async def _kept(self, job: Job, key: bytes, policy_version: str) -> AsyncGenerator[Chunk]:
        chunks: list[Chunk] = []
        async for chunk in self._upstream.run(job):
            chunks.append(chunk)
            yield chunk
        self._keep(key, policy_version, chunks)

    def _keep(self, key: bytes, policy_version: str, chunks: Sequence[Chunk]) -> None:
        if chunks and chunks[-1].finish_reason in _WHOLE and _judged_by(chunks[-1].guard) == {policy_version}:
            self._cache.put(key, chunks)


def _judged_by(verdict: str) -> set[str]:
    """Versions of the policy in both halves of a verdict."""
    found = msgspec.json.decode(verdict, type=_Verdict)
    return {found.version, found.prompt.version}


async def _replayed(chunks: Sequence[Chunk]) -> AsyncGenerator[Chunk]:
    for chunk in chunks:
        yield chunk

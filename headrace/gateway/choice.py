"""One of the answers that a request asks for: from the cache, a flight with equal requests, or the engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import msgspec

from headrace.audit.record import CacheState
from headrace.client import Chunk
from headrace.errors import DeadlineExceeded, HeadraceError, RateLimited
from headrace.gateway.ask import CacheWish
from headrace.gateway.cache.answers import Answers
from headrace.gateway.cache.flights import Flight, Flights, Owed, Seat
from headrace.gateway.ids import new_id
from headrace.gateway.upstream import Job, Upstream

_WHOLE = frozenset({"stop", "length"})
_DEAREST: tuple[CacheState, ...] = ("bypass", "miss", "join", "hit")


class _Half(msgspec.Struct):
    version: str


class _Verdict(msgspec.Struct):
    version: str
    prompt: _Half


class Choice:
    """Read `chunks`, then `close` it, whatever happens. This one was kept in the cache."""

    def __init__(self, state: CacheState, chunks: AsyncGenerator[Chunk]) -> None:
        self.state = state
        self.chunks = chunks

    async def close(self, abandoned: bool) -> Owed:
        """`abandoned`: its client left before the end, or gave it too little time. Once."""
        await self.chunks.aclose()
        return Owed()


class Flown(Choice):
    """In a flight: one of its own, or with equal requests."""

    def __init__(self, job: Job, board: Callable[[], tuple[Seat, CacheState]]) -> None:
        self._turn = _turn(job)
        self._board = board
        self._seat, state = board()
        super().__init__(state, self._read())

    async def close(self, abandoned: bool) -> Owed:
        owed = await self._seat.leave(abandoned)
        await self.chunks.aclose()
        return owed

    async def _read(self) -> AsyncGenerator[Chunk]:
        while True:
            try:
                async with aclosing(self._seat.read()) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except (DeadlineExceeded, RateLimited) as error:
                if not self._only_of_its_leader(error):
                    raise
            else:
                return
            await self._seat.leave()
            self._seat, self.state = self._board()

    def _only_of_its_leader(self, error: HeadraceError) -> bool:
        """The refusal: who joined had another deadline, or perhaps another turn in the queue, and boards again."""
        flight = self._seat.flight
        if self.state != "join" or flight.chunks:
            return False
        return isinstance(error, DeadlineExceeded) or flight.led_by != self._turn


class Choices:
    """Where answers come from."""

    def __init__(self, upstream: Upstream, cache: Answers) -> None:
        self._upstream = upstream
        self._cache = cache
        self._flights = Flights()

    async def choose(
        self, jobs: Sequence[tuple[Job, bytes | None]], policy_version: str, wish: CacheWish
    ) -> list[Choice]:
        """One for each job, of which none runs when there is no place for all. Raises `Overloaded`.

        The key is None for an answer that would not come again. One that was judged by another version of its
        policy is not kept: the policy changed while it was on its way.
        """
        kept = [await self._cache.get(key) if key is not None and wish.read else None for _, key in jobs]
        missing = [one for found, one in zip(kept, jobs, strict=True) if found is None]
        if missing:
            self._upstream.check(missing[0][0], self._places(missing, wish))
        return [
            Choice("hit", _replayed(found)) if found is not None else self._flown(job, key, policy_version, wish)
            for found, (job, key) in zip(kept, jobs, strict=True)
        ]

    def _places(self, jobs: Sequence[tuple[Job, bytes | None]], wish: CacheWish) -> int:
        """That they take in the engine: equal ones fly together, or with others."""
        keys = [key for _, key in jobs if key is not None and _shares(wish)]
        return len(jobs) - len(keys) + sum(not self._flights.flies(key) for key in set(keys))

    def _flown(self, job: Job, key: bytes | None, policy_version: str, wish: CacheWish) -> Flown:
        if not _shares(wish):
            # Triton keeps whole answers too: this scope is nobody else's.
            job = replace(job, question=replace(job.question, cache_scope=new_id()))

        def source(began: Callable[[], None], came: Callable[[Chunk], None]) -> Awaitable[None]:
            return self._upstream.run(job, began, came)

        def keep(chunks: Sequence[Chunk]) -> None:
            if key is not None and wish.write:
                self._keep(key, policy_version, chunks)

        def board() -> tuple[Seat, CacheState]:
            if key is None or not _shares(wish):
                return Seat(Flight(source, keep)), "bypass"
            seat, joined = self._flights.board(key, source, keep, _turn(job))
            return seat, "join" if joined else "miss"

        return Flown(job, board)

    def _keep(self, key: bytes, policy_version: str, chunks: Sequence[Chunk]) -> None:
        if chunks and chunks[-1].finish_reason in _WHOLE and _judged_by(chunks[-1].guard) == {policy_version}:
            self._cache.put(key, chunks)


def dearest(states: Sequence[CacheState]) -> CacheState:
    """What the engine did for a request of several choices: `hit` only if all of them were."""
    return min(states, key=_DEAREST.index, default="bypass")


def _shares(wish: CacheWish) -> bool:
    """An answer on its way with others."""
    return wish.read and wish.write


def _turn(job: Job) -> tuple[str, int]:
    """Whose turn in the queue it takes."""
    return job.tenant, job.priority


def _judged_by(verdict: str) -> set[str]:
    """Versions of the policy in both halves of a verdict; none that can be read, none that fits."""
    try:
        found = msgspec.json.decode(verdict, type=_Verdict)
    except msgspec.MsgspecError:
        return set()
    return {found.version, found.prompt.version}


async def _replayed(chunks: Sequence[Chunk]) -> AsyncGenerator[Chunk]:
    for chunk in chunks:
        yield chunk

"""Equal requests at one time: one run of the engine, and nobody is hurt by another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from headrace.client import Chunk
from headrace.errors import Unavailable
from headrace.gateway.cache.flights import Flights, Owed, Seat

PIECES = ("The ", "river ", "runs.")


class Engine:
    """Sends a piece for each `step`, and counts its runs and those that were left."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.runs = self.stopped = 0
        self._fails_at = fails_at
        self._steps = asyncio.Semaphore(0)

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self._steps.release()

    async def run(self, began: Callable[[], None], came: Callable[[Chunk], None]) -> None:
        self.runs += 1
        began()
        try:
            for place, text in enumerate(PIECES):
                await self._steps.acquire()
                if place == self._fails_at:
                    raise Unavailable("the engine ended during this request")
                last = place == len(PIECES) - 1
                came(Chunk(text=text, finish_reason="stop" if last else None, completion_tokens=10 * (place + 1)))
        except asyncio.CancelledError:
            self.stopped += 1
            raise


class Reader:
    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self.texts: list[str] = []
        self.paid = Owed()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async with aclosing(self._seat.read()) as chunks:
                async for chunk in chunks:
                    self.texts.append(chunk.text)
        finally:
            self.paid = await self._seat.leave()

    @property
    def owed(self) -> int:
        """Tokens."""
        return self.paid.tokens


def board(flights: Flights, engine: Engine, kept: list[list[Chunk]]) -> tuple[Reader, bool]:
    seat, joined = flights.board(b"key", engine.run, kept.append)
    return Reader(seat), joined


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_32_at_once_run_the_engine_once() -> None:
    flights, engine, kept = Flights(), Engine(), list[list[Chunk]]()
    readers = [board(flights, engine, kept) for _ in range(32)]
    assert [joined for _, joined in readers] == [False] + [True] * 31
    engine.step(3)
    await asyncio.gather(*(reader.task for reader, _ in readers))
    assert {tuple(reader.texts) for reader, _ in readers} == {PIECES}
    assert (engine.runs, engine.stopped, len(flights)) == (1, 0, 0)
    assert [reader.owed for reader, _ in readers] == [30] + [0] * 31
    assert ["".join(chunk.text for chunk in chunks) for chunks in kept] == ["".join(PIECES)]


async def test_who_comes_late_reads_from_the_beginning() -> None:
    flights, engine, kept = Flights(), Engine(), list[list[Chunk]]()
    first, _ = board(flights, engine, kept)
    engine.step(2)
    await turns()
    late, joined = board(flights, engine, kept)
    await turns()
    assert (joined, first.texts, late.texts) == (True, list(PIECES[:2]), list(PIECES[:2]))
    engine.step()
    await asyncio.gather(first.task, late.task)
    assert late.texts == list(PIECES)


async def test_the_first_one_leaves_and_the_others_read_on() -> None:
    flights, engine, kept = Flights(), Engine(), list[list[Chunk]]()
    first, _ = board(flights, engine, kept)
    second, _ = board(flights, engine, kept)
    engine.step()
    await turns()
    first.task.cancel()
    await turns()
    engine.step(2)
    await second.task
    assert (second.texts, engine.stopped, len(kept)) == (list(PIECES), 0, 1)
    assert (first.owed, second.owed) == (10, 20)


async def test_whoever_leaves_when_each_token_is_owed_once() -> None:
    for first_to_leave in range(3):
        flights, engine, kept = Flights(), Engine(), list[list[Chunk]]()
        readers = [board(flights, engine, kept)[0] for _ in range(3)]
        for place in range(3):
            engine.step()
            await turns()
            readers[(first_to_leave + place) % 3].task.cancel()
            await turns()
        await asyncio.gather(*(reader.task for reader in readers), return_exceptions=True)
        assert sum(reader.owed for reader in readers) == 30


async def test_the_last_one_that_leaves_stops_the_engine() -> None:
    flights, engine, kept = Flights(), Engine(), list[list[Chunk]]()
    readers = [board(flights, engine, kept)[0] for _ in range(2)]
    engine.step()
    await turns()
    for reader in readers:
        reader.task.cancel()
    await asyncio.gather(*(reader.task for reader in readers), return_exceptions=True)
    assert (engine.stopped, len(flights), kept) == (1, 0, [])


async def test_who_comes_while_a_deserted_one_ends_gets_a_new_one() -> None:
    flights, engine, kept = Flights(), Engine(), list[list[Chunk]]()
    first, _ = board(flights, engine, kept)
    await turns()
    first.task.cancel()
    await asyncio.sleep(0)  # it has left, its engine not yet
    second, joined = board(flights, engine, kept)
    engine.step(3)
    await second.task
    await turns()
    assert (joined, second.texts, engine.runs, len(flights)) == (False, list(PIECES), 2, 0)


async def test_a_failure_reaches_all_and_is_not_kept() -> None:
    flights, engine, kept = Flights(), Engine(fails_at=1), list[list[Chunk]]()
    readers = [board(flights, engine, kept)[0] for _ in range(3)]
    engine.step(2)
    for reader in readers:
        with pytest.raises(Unavailable, match="ended during this request"):
            await reader.task
    assert ([reader.texts for reader in readers], kept, len(flights)) == ([[PIECES[0]]] * 3, [], 0)


async def test_an_answer_without_an_end_is_not_kept() -> None:
    async def cut(_: Callable[[], None], came: Callable[[Chunk], None]) -> None:
        came(Chunk(text="The "))

    kept = list[list[Chunk]]()
    seat, _ = Flights().board(b"key", cut, kept.append)
    await Reader(seat).task
    assert kept == []


async def test_who_reads_learns_of_the_end_although_the_answer_could_not_be_kept() -> None:
    def broken(_: list[Chunk]) -> None:
        raise ValueError("a mistake of ours")

    told = list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context["exception"])))
    flights, engine = Flights(), Engine()
    readers = [Reader(flights.board(b"key", engine.run, broken)[0]) for _ in range(2)]
    engine.step(3)
    async with asyncio.timeout(20):
        await asyncio.gather(*(reader.task for reader in readers))
    assert ([reader.texts for reader in readers], told) == ([list(PIECES)] * 2, ["a mistake of ours"])


async def test_the_prompt_is_owed_by_the_first_who_owes_anything() -> None:
    flights, engine, kept = Flights(), Engine(), list[list[Chunk]]()
    readers = [board(flights, engine, kept)[0] for _ in range(2)]
    engine.step()
    await turns()
    readers[0].task.cancel()
    await turns()
    engine.step(2)
    await readers[1].task
    assert [reader.paid for reader in readers] == [Owed(10, prompt=True), Owed(20, prompt=False)]

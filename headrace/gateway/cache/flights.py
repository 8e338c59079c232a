"""Single flight: equal requests at one time run the engine once, and each reads the answer in its own pace.

Who leaves does not hurt the others; the last one to leave ends the flight, and with it the engine's work. Its
tokens are owed once: by who has been on board longest, as long as he is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from headrace.client import Chunk

Source = Callable[[], AsyncGenerator[Chunk]]


class Flight:
    """One answer on its way. It is kept whole while it lasts, which bounds it by the longest answer."""

    def __init__(self, source: Source, on_end: Callable[[Flight], None]) -> None:
        self.chunks: list[Chunk] = []
        self.ended = False
        self.error: BaseException | None = None
        self.seats: list[Seat] = []
        """Longest on board first."""
        self.paid = 0
        """Tokens that were owed by those who have left."""
        self._waiting: list[asyncio.Future[None]] = []
        self._task = asyncio.create_task(self._fly(source))
        self._task.add_done_callback(lambda task: self._end(task, on_end))

    @property
    def tokens(self) -> int:
        """That the engine made, as far as is known."""
        return (self.chunks[-1].completion_tokens or 0) if self.chunks else 0

    @property
    def complete(self) -> bool:
        """It ended as an answer should."""
        whole = bool(self.chunks) and self.chunks[-1].finish_reason is not None
        return self.ended and self.error is None and whole

    async def change(self) -> None:
        """Waits for the next piece, or for the end."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    async def stop(self) -> None:
        """Waits until the engine's work has ended too."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _fly(self, source: Source) -> None:
        async with aclosing(source()) as chunks:
            async for chunk in chunks:
                self.chunks.append(chunk)
                self._notify()

    def _end(self, task: asyncio.Task[None], on_end: Callable[[Flight], None]) -> None:
        self.ended = True
        self.error = asyncio.CancelledError() if task.cancelled() else task.exception()
        on_end(self)
        self._notify()

    def _notify(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():  # else its reader has left
                one.set_result(None)


class Seat:
    """Of one reader. From its making on there is somebody to fly for, until it `leave`s."""

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        flight.seats.append(self)

    async def read(self) -> AsyncGenerator[Chunk]:
        """All of the answer, from its beginning."""
        flight, place = self._flight, 0
        while True:
            while place < len(flight.chunks):
                yield flight.chunks[place]
                place += 1
            if flight.ended:
                break
            await flight.change()
        if flight.error is not None:
            raise flight.error

    async def leave(self) -> int:
        """How many of the engine's tokens its reader owes. Once."""
        flight = self._flight
        owed = flight.tokens - flight.paid if flight.seats[0] is self else 0
        flight.paid += owed
        flight.seats.remove(self)
        if not flight.seats and not flight.ended:
            await flight.stop()
        return owed


class Flights:
    """Those of one process, by key."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def board(self, key: bytes, source: Source, on_complete: Callable[[list[Chunk]], None]) -> tuple[Seat, bool]:
        """A seat in the flight of this key, and whether that flew already.

        `on_complete` is told the answer of a new one, if it becomes one.
        """
        flight = self._flights.get(key)
        joined = flight is not None and bool(flight.seats)  # else it is about to end
        if flight is None or not joined:
            flight = Flight(source, lambda ended: self._land(key, ended, on_complete))
            self._flights[key] = flight
        return Seat(flight), joined

    def _land(self, key: bytes, flight: Flight, on_complete: Callable[[list[Chunk]], None]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if flight.complete:
            on_complete(flight.chunks)

"""Single flight: equal requests at one time run the engine once, and each reads the answer in its own pace.

Who leaves does not hurt the others; the last one to leave ends the flight, and with it the engine's work. Its
prompt and its tokens are owed once: by who has been on board longest, as long as he is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import NamedTuple

from headrace.client import Chunk

Source = Callable[[Callable[[], None], Callable[[Chunk], None]], Awaitable[None]]
"""Is given what to call when the engine has taken the prompt, and with each piece. Ends after the last one."""


class Owed(NamedTuple):
    """What a reader has to pay."""

    tokens: int = 0
    """Of the answer."""
    prompt: bool = False


class Flight:
    """One answer on its way. It is kept whole while it lasts, which bounds it by the longest answer."""

    def __init__(
        self,
        source: Source,
        on_complete: Callable[[list[Chunk]], None],
        on_end: Callable[[Flight], None] = lambda _: None,
        led_by: object = None,
    ) -> None:
        """`on_complete` is told the answer, if it becomes one. `led_by`: for whom it asks the engine, and may be
        refused."""
        self.led_by = led_by
        self.chunks: list[Chunk] = []
        self.began = False
        """The engine has taken the prompt."""
        self.ended = False
        self.error: BaseException | None = None
        self.seats: list[Seat] = []
        """Longest on board first."""
        self.paid = 0
        """Tokens that were owed by those who have left."""
        self.prompt_paid = False
        self._waiting: list[asyncio.Future[None]] = []
        self._task = asyncio.create_task(self._fly(source))
        self._task.add_done_callback(lambda task: self._end(task, on_complete, on_end))

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
        await source(self._begin, self._came)

    def _begin(self) -> None:
        self.began = True

    def _came(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        self._notify()

    def _end(
        self,
        task: asyncio.Task[None],
        on_complete: Callable[[list[Chunk]], None],
        on_end: Callable[[Flight], None],
    ) -> None:
        self.ended = True
        self.error = asyncio.CancelledError() if task.cancelled() else task.exception()
        try:
            on_end(self)
            if self.complete:
                on_complete(self.chunks)
        finally:  # else its readers would wait for ever
            self._notify()

    def _notify(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():  # else its reader has left
                one.set_result(None)


class Seat:
    """Of one reader. From its making on there is somebody to fly for, until it `leave`s."""

    def __init__(self, flight: Flight) -> None:
        self.flight = flight
        flight.seats.append(self)

    async def read(self) -> AsyncGenerator[Chunk]:
        """All of the answer, from its beginning."""
        flight, place = self.flight, 0
        while True:
            while place < len(flight.chunks):
                yield flight.chunks[place]
                place += 1
            if flight.ended:
                break
            await flight.change()
        if flight.error is not None:
            raise flight.error

    async def leave(self, abandoned: bool = False) -> Owed:
        """What its reader owes. Once.

        `abandoned`: of his own will, before the end. He pays the prompt then too, though no token may have come.
        """
        flight = self.flight
        first = flight.seats[0] is self
        tokens = flight.tokens - flight.paid if first else 0
        used = tokens > 0 or (abandoned and flight.began and not flight.ended)
        prompt = first and used and not flight.prompt_paid
        flight.paid += tokens
        flight.prompt_paid |= prompt
        flight.seats.remove(self)
        if not flight.seats and not flight.ended:
            await flight.stop()
        return Owed(tokens, prompt)


class Flights:
    """Those of one process, by key."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def flies(self, key: bytes) -> bool:
        """Whether who boards would join others."""
        flight = self._flights.get(key)
        return flight is not None and bool(flight.seats)  # else it is about to end

    def board(
        self, key: bytes, source: Source, on_complete: Callable[[list[Chunk]], None], led_by: object = None
    ) -> tuple[Seat, bool]:
        """A seat in the flight of this key, and whether that flew already.

        `on_complete` is told the answer of a new one, if it becomes one.
        """
        joined = self.flies(key)
        if not joined:
            self._flights[key] = Flight(source, on_complete, lambda ended: self._land(key, ended), led_by)
        return Seat(self._flights[key]), joined

    def _land(self, key: bytes, flight: Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

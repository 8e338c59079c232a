"""A request's place in the engine, and what its answer tells of the engine."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol, Self

from headrace.admission.queue import Waiting
from headrace.errors import DeadlineExceeded, HeadraceError, Unavailable


class Door(Protocol):
    """Who lets in (`Admission`)."""

    async def enter(self, ticket: Ticket) -> None: ...

    def leave(self, ticket: Ticket) -> None: ...

    def first(self, ticket: Ticket) -> None: ...

    def whole(self, ticket: Ticket, tokens: int) -> None: ...

    def failed(self, ticket: Ticket, began: bool) -> None: ...


class Ticket(Waiting):
    """Used as `async with`: waits for a place, and gives it back whatever happens inside."""

    __slots__ = ("_door", "_failed", "_measured", "deadline", "granted", "held", "stream", "turn")

    def __init__(
        self, door: Door, tenant: str, priority: int, work: int, deadline: float | None, stream: bool
    ) -> None:
        super().__init__(tenant, priority, work)
        self.deadline = deadline
        self.stream = stream
        self.granted = 0.0
        """When it was let in, by the door's clock."""
        self.held = False
        """It has a place."""
        self.turn: asyncio.Future[HeadraceError | None] | None = None
        """While it waits: None when it is let in, or why it is not."""
        self._door = door
        self._measured = False
        self._failed = False

    async def __aenter__(self) -> Self:
        await self._door.enter(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Unavailable | DeadlineExceeded):
            self._tell_failed()
        self.leave()

    def leave(self) -> None:
        """Gives the place back. Once."""
        if self.held:
            self.held = False
            self._door.leave(self)

    def first(self) -> None:
        """The first text of a stream came. What comes later is not measured: it depends on how fast it is read."""
        if not self._measured:
            self._measured = True
            self._door.first(self)

    def done(self, tokens: int, ok: bool = True) -> None:
        """All of an answer of so many tokens came; not `ok`: it failed because there was too much to do, which an
        `Unavailable` or `DeadlineExceeded` that leaves the `async with` says as well. An answer that its client
        gave up is not told of.
        """
        if not ok:
            self._tell_failed()
        elif not self._measured:
            self._measured = True
            self._door.whole(self, tokens)

    def _tell_failed(self) -> None:
        if not self._failed:
            self._failed = True
            self._door.failed(self, began=self._measured)
            self._measured = True

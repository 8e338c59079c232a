"""Who goes into the engine, who waits for it, and who is sent away at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from headrace.admission.config import PRIORITIES, AdmissionConfig
from headrace.admission.limiter import FAILED, Limiter
from headrace.admission.queue import FairQueue
from headrace.admission.rate import ServiceRate
from headrace.admission.ticket import Ticket
from headrace.errors import DeadlineExceeded, HeadraceError, InvalidRequest, Overloaded, TryLater

Reason = Literal[
    "queue_full", "tenant_queue_full", "places", "long_wait", "waited", "deadline", "deadline_waited", "closing"
]
"""Why a request was refused: too many wait, of all tenants or of its own; it wants more places than there are; it
would have had to wait too long, or did; its deadline could not be met, or came while it waited; this process
stops."""

SHORTEST_RETRY = 1.0
LONGEST_RETRY = 30.0
EARLY = 0.05
"""Seconds. Who fails so shortly before its deadline failed by its deadline: clocks and timers differ."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Of this moment; `refused` since the start."""

    limit: int
    in_flight: int
    waiting: int
    refused: Mapping[Reason, int]
    estimated_wait: float
    """Seconds until all that waits now is let in."""
    p95_ratio: float
    """Observed / objective in the limiter's last window; 0 before the first."""


class Admission:
    """A limit that adapts, and a bounded, fair queue before it. Used from one event loop.

    What waits is let in as soon as there is a place: whenever any waits, the limit is reached.
    """

    def __init__(
        self,
        config: AdmissionConfig,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`clock` is the loop's time, of which deadlines are; `jitter` draws a number between two."""
        self._config = config
        self._clock = clock
        self._jitter = jitter
        self._limiter = Limiter(config, clock)
        self._rate = ServiceRate()
        self._queue: FairQueue[Ticket] = FairQueue(
            config.priority_weights, config.max_waiting, config.max_waiting_per_tenant
        )
        self._in_flight = 0
        self._refused: Counter[Reason] = Counter()
        self._closed = False

    def admit(
        self, tenant: str, priority: int, work: int, deadline: float | None = None, stream: bool = False
    ) -> Ticket:
        """`async with` it for the time in the engine, and no longer. `work`: tokens of the prompt and at most of
        the answer. `deadline`: in the loop's time. `stream`: it will tell of its first text.

        Entering raises `Overloaded` with a time to come back after; `DeadlineExceeded` when there cannot be a
        first text by the deadline, at once or while it waits; `TryLater` after `close`.
        """
        if not 1 <= priority <= PRIORITIES:
            raise InvalidRequest("priority", f"expected 1 (most urgent) to {PRIORITIES}, got {priority}")
        return Ticket(self, tenant, priority, work, deadline, stream)

    def check(self, tenant: str, priority: int, work: int, places: int) -> None:
        """Before the tickets of one request, each of so much work. Raises `Overloaded` when it is known that not
        all of them will be let in: those that were would run in vain."""
        if places > self._limiter.limit:
            raise self._refusal("places")
        behind = places - max(0, self._limiter.limit - self._in_flight)
        ahead = self._queue.ahead(tenant, priority) + (behind - 1) * work
        if behind > 0 and self._seconds(ahead) > self._config.max_wait_ms / 1000:
            raise self._refusal("long_wait")

    def stats(self) -> Stats:
        return Stats(
            limit=self._limiter.limit,
            in_flight=self._in_flight,
            waiting=len(self._queue),
            refused=dict(self._refused),
            estimated_wait=self._seconds(self._queue.work) if len(self._queue) else 0.0,
            p95_ratio=self._limiter.last.p95,
        )

    def close(self) -> None:
        """Refuses what comes from now on; what waits or runs goes on."""
        self._closed = True

    # What a ticket calls.

    async def enter(self, ticket: Ticket) -> None:
        now = self._clock()
        if self._closed:
            raise self._refusal("closing")
        places = self._in_flight < self._limiter.limit
        wait = 0.0 if places else self._wait(ticket)
        if ticket.deadline is not None and now + wait > self._latest(ticket.deadline):
            raise self._refusal("deadline")
        if places:
            self._let_in(ticket, now)
            return
        if full := self._queue.full(ticket.tenant):
            raise self._refusal(full)
        if wait > self._config.max_wait_ms / 1000:
            raise self._refusal("long_wait")
        if refused := await self._turn(ticket, now):
            raise refused

    def leave(self, ticket: Ticket) -> None:
        self._rate.add(ticket.work, self._clock() - ticket.granted)
        self._in_flight -= 1
        self._settle()

    def first(self, ticket: Ticket) -> None:
        self._measure(ticket, (self._clock() - ticket.granted) / self._config.first_seconds)

    def whole(self, ticket: Ticket, tokens: int) -> None:
        self._measure(ticket, (self._clock() - ticket.granted) / self._config.whole_seconds(tokens))

    def failed(self, ticket: Ticket, began: bool) -> None:
        """`began`: its first text had come."""
        now = self._clock()
        if ticket.deadline is None or now < ticket.deadline - EARLY:
            self._measure(ticket, FAILED)
        elif not began:
            # It chose its deadline, perhaps one that no engine can meet: what counts is how long it has taken.
            config = self._config
            objective = config.first_seconds if ticket.stream else config.whole_seconds(ticket.work)
            if (ratio := (now - ticket.granted) / objective) > 1:
                self._measure(ticket, ratio)

    # How it is done.

    async def _turn(self, ticket: Ticket, now: float) -> HeadraceError | None:
        """Waits. Returns why it is not let in after all."""
        loop = asyncio.get_running_loop()
        ticket.turn = loop.create_future()
        seconds, reason = self._patience(ticket, now)
        timer = loop.call_later(seconds, self._give_up, ticket, reason)
        self._queue.push(ticket)
        try:
            return await ticket.turn
        except BaseException:
            if ticket.held:  # let in and cancelled at once
                ticket.held = False
                self._in_flight -= 1
            self._queue.remove(ticket)
            self._settle()
            raise
        finally:
            timer.cancel()

    def _give_up(self, ticket: Ticket, reason: Reason) -> None:
        if ticket.turn is not None and not ticket.turn.done():
            self._queue.remove(ticket)
            ticket.turn.set_result(self._refusal(reason))
            self._settle()

    def _settle(self) -> None:
        """Something came free, or left."""
        while self._in_flight < self._limiter.limit and (ticket := self._queue.pop()) is not None:
            if ticket.turn is not None and not ticket.turn.done():  # else cancelled, and about to leave
                self._let_in(ticket, self._clock())
                ticket.turn.set_result(None)

    def _let_in(self, ticket: Ticket, now: float) -> None:
        ticket.granted = now
        ticket.held = True
        self._in_flight += 1

    def _measure(self, ticket: Ticket, ratio: float) -> None:
        self._limiter.add(ratio, ticket.granted, self._in_flight)
        self._settle()

    def _wait(self, ticket: Ticket) -> float:
        return self._seconds(self._queue.ahead(ticket.tenant, ticket.priority))

    def _seconds(self, ahead: float) -> float:
        """Until a place comes free when so much work goes first, and what is above the limit."""
        above = max(0, self._in_flight - self._limiter.limit)
        return self._rate.seconds(ahead + (above + 1) * self._rate.work, self._limiter.limit)

    def _latest(self, deadline: float) -> float:
        """When it must be let in: the engine is given what it needs as a rule, at most its objective."""
        return deadline - min(1.0, self._limiter.last.median) * self._config.first_seconds

    def _patience(self, ticket: Ticket, now: float) -> tuple[float, Reason]:
        """How long it waits at most, and why not longer."""
        most = self._config.max_wait_ms / 1000
        if ticket.deadline is not None and (left := self._latest(ticket.deadline) - now) < most:
            return left, "deadline_waited"
        return most, "waited"

    def _refusal(self, reason: Reason) -> HeadraceError:
        self._refused[reason] += 1
        if reason == "closing":
            return TryLater("this replica is shutting down; send the request again, another one takes it")
        if reason == "deadline":
            return DeadlineExceeded("deadline: too near for an answer under the present load; allow more time")
        if reason == "deadline_waited":
            return DeadlineExceeded("deadline: it came while the request waited for the engine; allow more time")
        return Overloaded(_OVERLOADED[reason].format(limit=self._limiter.limit), self._retry_after())

    def _retry_after(self) -> float:
        """When what waits now is through; spread, so that not all who are refused return together."""
        through = min(max(self._seconds(self._queue.work), SHORTEST_RETRY), LONGEST_RETRY)
        return self._jitter(through, 2 * through)


_OVERLOADED: Mapping[Reason, str] = {
    "queue_full": "too many requests wait for the engine; come back after the given time",
    "tenant_queue_full": "too many of your requests wait for the engine; send fewer at once",
    "places": "n: the engine takes {limit} answers at once now; ask for fewer, or come back after the given time",
    "long_wait": "the engine is busy and the wait would be too long; come back after the given time",
    "waited": "the engine is busy and the request waited as long as it may; come back after the given time",
}

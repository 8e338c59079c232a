"""Settles that did not reach the store: kept in order and sent again until they do."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from headrace.limits.budget import money
from headrace.limits.errors import LimitsUnavailable, TenantRefused
from headrace.limits.model import Reservation, Used

log = structlog.get_logger()

MOST = 10_000
"""Kept at once, some 5 MB. One more is dropped: its place and money come back when the lease ends, what it cost is
missing in the store (the audit log has it)."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

Send = Callable[[Reservation, Used], Awaitable[None]]


class Unsettled:
    def __init__(self, send: Send, dropped: Callable[[Reservation, Used], None], most: int = MOST) -> None:
        """`send` raises `LimitsUnavailable` while the store does not take it."""
        self._send = send
        self._dropped = dropped
        self._most = most
        self._waiting: deque[tuple[Reservation, Used]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._drops = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, reservation: Reservation, used: Used) -> None:
        """For later. Never raises, never waits."""
        if len(self._waiting) >= self._most:
            self._drops += 1
            if self._drops == 1:
                log.error("too many settles wait for the store; further ones are dropped", waiting=self._most)
            self._dropped(reservation, used)
            return
        self._waiting.append((reservation, used))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="unsettled")

    async def close(self, seconds: float) -> None:
        """A last try for so long; says what is left."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        with contextlib.suppress(TimeoutError, LimitsUnavailable):
            async with asyncio.timeout(seconds):
                await self._send_all()
        if self._waiting:
            cost = money(sum(used.cost for _, used in self._waiting))
            log.error("settles did not reach the store", settles=len(self._waiting), cost=cost)
        for reservation, used in self._waiting:
            self._dropped(reservation, used)
        self._waiting.clear()

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._waiting:
            with contextlib.suppress(LimitsUnavailable):
                await self._send_all()
            if self._waiting:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        if self._drops:
            log.error("settles were dropped", settles=self._drops)
            self._drops = 0

    async def _send_all(self) -> None:
        """Each once. Those of a tenant that the store refuses stay, and do not hold up others."""
        refused: set[str] = set()
        for _ in range(len(self._waiting)):
            reservation, used = self._waiting[0]
            if reservation.tenant not in refused:
                try:
                    await self._send(reservation, used)
                except TenantRefused:
                    refused.add(reservation.tenant)
                else:
                    self._waiting.popleft()
                    continue
            self._waiting.rotate(-1)

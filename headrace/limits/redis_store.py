"""The limits of all gateway processes together, in Redis: one atomic script for each call."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

import structlog

from headrace.limits.budget import PERIODS, Period
from headrace.limits.errors import LimitsUnavailable, TenantRefused, Unanswered
from headrace.limits.model import Limits, LimitStore, Reservation, Used, Wanted
from headrace.limits.outage import PAUSE_SECONDS, Outage
from headrace.limits.redis_scripts import RedisScripts
from headrace.limits.standing import UNKNOWN, Standing
from headrace.limits.taken import Taken
from headrace.limits.unsettled import MOST, Unsettled

OnError = Literal["open", "closed"]
KEEP_SECONDS = 7 * 86_400.0
"""A tenant that nobody asks for is forgotten after this, but for what it has spent."""
CLOSE_SECONDS = 2.0
_MICROSECONDS = 1_000_000
_NOTHING = Used(0, 0)

log = structlog.get_logger()


class Observer(Protocol):
    """Who counts."""

    def store_failed(self) -> None:
        """A call did not get its answer, or was not even tried."""

    def admitted_uncounted(self) -> None:
        """A request was let in although the store does not answer."""

    def settle_dropped(self, reservation: Reservation, used: Used) -> None:
        """It will never reach the store."""


class Unobserved:
    def store_failed(self) -> None: ...
    def admitted_uncounted(self) -> None: ...
    def settle_dropped(self, reservation: Reservation, used: Used) -> None: ...


class RedisStore(LimitStore):
    """Rates, leases and periods run on Redis' clock. Redis 7 or later, one primary (or a proxy that acts as one).

    When Redis does not answer in time, `on_error` decides: `closed` raises `LimitsUnavailable`, `open` lets the
    request in, uncounted until its settle. After three failures in a row one call a second tries; the others do
    not wait for it. Settles never raise for that: they are kept and sent again.
    """

    def __init__(
        self,
        url: str,
        time_limit: float = 0.25,
        on_error: OnError = "closed",
        lease_seconds: float = 600.0,
        prefix: str = "headrace:limits:",
        observer: Observer | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        most_unsettled: int = MOST,
    ) -> None:
        """`time_limit`: seconds for one call. Connects at the first call. Raises `ConfigError`."""
        keep = max(KEEP_SECONDS, 2 * lease_seconds)
        self._scripts = RedisScripts(url, time_limit, prefix, keep, monotonic)
        self._on_error = on_error
        self._lease = int(lease_seconds * _MICROSECONDS)
        self._observer = observer or Unobserved()
        self._outage = Outage(monotonic)
        self._refused: set[str] = set()
        """Tenants whose keys Redis does not take."""
        self._unsettled = Unsettled(self._send_settle, self._observer.settle_dropped, most_unsettled)

    async def check(self) -> None:
        """Whether Redis answers and may be written to. Raises `LimitsUnavailable`."""
        await self._scripts.check()

    async def reserve(self, tenant: str, limits: Limits, wanted: Wanted) -> Reservation:
        reservation_id = os.urandom(16).hex()
        try:
            reply = await self._run(
                "reserve", tenant, reservation_id, self._lease, *_wanted(wanted), *_limits(limits)
            )
        except LimitsUnavailable as error:
            unknown = Reservation(reservation_id, tenant, wanted, UNKNOWN, counted=False)
            if self._on_error == "open":
                self._observer.admitted_uncounted()
                return unknown
            if isinstance(error, Unanswered):
                self._release(unknown)
            raise
        except asyncio.CancelledError:
            self._release(Reservation(reservation_id, tenant, wanted, UNKNOWN, counted=False))
            raise
        taken = _taken(reply[-1])
        if not reply[0]:
            raise taken.refusal(limits, wanted, reply[1] / _MICROSECONDS, reply[2] / _MICROSECONDS)
        _, slot, epoch, _ = reply
        return Reservation(
            reservation_id, tenant, wanted, taken.standing(limits), slot=int(slot), epoch=str(epoch)
        )

    async def settle(self, reservation: Reservation, used: Used) -> None:
        """While Redis does not answer it is kept and sent again. It counts when it gets there."""
        try:
            await self._settle(reservation, used, self._run)
        except LimitsUnavailable:
            self._unsettled.keep(reservation, used)
        except asyncio.CancelledError:
            self._unsettled.keep(reservation, used)
            raise

    async def renew(self, reservation: Reservation) -> bool:
        """True also while Redis does not answer: nobody knows better."""
        try:
            renewed, _ = await self._run("renew", reservation.tenant, reservation.id, self._lease)
        except LimitsUnavailable:
            return True
        return bool(renewed) or not reservation.counted

    async def standing(self, tenant: str, limits: Limits) -> Standing:
        return _taken(await self._run("look", tenant)).standing(limits)

    async def spent(self, tenant: str, period: Period) -> int:
        return _taken(await self._run("look", tenant)).spent[period]

    @property
    def unsettled(self) -> int:
        """Settles that wait for Redis."""
        return len(self._unsettled)

    async def close(self) -> None:
        await self._unsettled.close(CLOSE_SECONDS)
        await self._scripts.close()

    def _release(self, reservation: Reservation) -> None:
        """Redis may have reserved it, and nobody will use it."""
        self._unsettled.keep(reservation, _NOTHING)

    async def _send_settle(self, reservation: Reservation, used: Used) -> None:
        """Even when nobody else asks: it is what finds out that Redis is back."""
        await self._settle(reservation, used, self._ask)

    async def _settle(self, reservation: Reservation, used: Used, run: Callable[..., Any]) -> None:
        unused = reservation.wanted.tokens - used.tokens
        await run(
            "settle", reservation.tenant, reservation.id, reservation.epoch, reservation.slot, unused, used.cost
        )

    async def _run(self, name: str, tenant: str, *arguments: str | int) -> list[Any]:
        if not self._outage.may_ask():
            self._observer.store_failed()
            raise LimitsUnavailable(self._outage.problem, PAUSE_SECONDS)
        return await self._ask(name, tenant, *arguments)

    async def _ask(self, name: str, tenant: str, *arguments: str | int) -> list[Any]:
        try:
            reply = await self._scripts.run(name, tenant, *arguments)
        except TenantRefused as error:
            self._observer.store_failed()
            self._tell(tenant, error.problem)
            raise
        except LimitsUnavailable as error:
            self._observer.store_failed()
            self._outage.failed(error.problem, self._on_error)
            raise
        self._outage.answered()
        self._refused.discard(tenant)
        return reply

    def _tell(self, tenant: str, problem: str) -> None:
        if tenant not in self._refused:
            self._refused.add(tenant)
            log.error("the store of the limits refuses a tenant", problem=problem, on_error=self._on_error)


def _wanted(wanted: Wanted) -> tuple[int, int, int]:
    return wanted.tokens, wanted.cost, wanted.places


def _limits(limits: Limits) -> list[str | int]:
    """As the script takes them: '' for none."""
    amounts = {budget.period: budget.amount for budget in limits.budgets}
    rates = (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)
    return ["" if limit is None else limit for limit in (*rates, *map(amounts.get, PERIODS))]


def _taken(reply: list[Any]) -> Taken:
    """In the order of `taken()` in state.lua."""
    requests, requests_reset, tokens, tokens_reset, running, held, day, month, total, *times = reply
    day_number, month_number, reading = times
    return Taken(
        requests=requests,
        requests_reset=requests_reset / _MICROSECONDS,
        tokens=tokens,
        tokens_reset=tokens_reset / _MICROSECONDS,
        running=running,
        held=int(held),
        spent={"day": int(day), "month": int(month), "total": int(total)},
        periods={"day": day_number, "month": month_number},
        wall=reading / _MICROSECONDS,
    )

"""The limits of one gateway process, in its memory. Forgets at restart; told what was spent, it goes on there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from headrace.limits.budget import Period, index
from headrace.limits.model import Limits, LimitStore, Reservation, Used, Wanted
from headrace.limits.spending import Spending
from headrace.limits.standing import Standing
from headrace.limits.taken import Taken
from headrace.limits.window import SlidingWindow

KEEP_SECONDS = 7 * 86_400
"""How long after the end of its lease a request may still settle."""

Clock = Callable[[], float]


class MemoryStore(LimitStore):
    """All of it within one loop's thread; nothing here waits, so each call is atomic.

    Rates and leases run on the monotonic clock, periods of budgets on the wall clock. A tenant that was seen once
    takes about 1.5 kB, and 100 bytes more for each second of its window.
    """

    def __init__(
        self,
        lease_seconds: float = 600.0,
        spent: Mapping[Period, Mapping[str, int]] | None = None,
        monotonic: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        """`spent`: nano units of each tenant in the current periods, such as the audit log says."""
        self._lease_seconds = lease_seconds
        self._spent_before = spent or {}
        self._monotonic = monotonic
        self._wall = wall
        self._started = wall()
        self._tenants: dict[str, _Tenant] = {}
        self._ids = count(1)

    async def reserve(self, tenant: str, limits: Limits, wanted: Wanted) -> Reservation:
        now = self._monotonic()
        state = self._tenant(tenant, now)
        taken = state.taken(now, self._wall())
        if not taken.fits(limits, wanted):
            raise state.refusal(taken, limits, wanted, now)
        reservation_id = str(next(self._ids))
        slot = state.take(reservation_id, wanted, now, now + self._lease_seconds)
        standing = state.taken(now, taken.wall).standing(limits)
        return Reservation(reservation_id, tenant, wanted, standing, slot=slot)

    async def settle(self, reservation: Reservation, used: Used) -> None:
        now = self._monotonic()
        state = self._tenant(reservation.tenant, now)
        if state.end(reservation.id):
            state.roll(self._wall())
            state.use(reservation, used, now)

    async def renew(self, reservation: Reservation) -> bool:
        now = self._monotonic()
        return self._tenant(reservation.tenant, now).renew(reservation.id, now + self._lease_seconds)

    async def standing(self, tenant: str, limits: Limits) -> Standing:
        now = self._monotonic()
        return self._tenant(tenant, now).taken(now, self._wall()).standing(limits)

    async def spent(self, tenant: str, period: Period) -> int:
        now = self._monotonic()
        return self._tenant(tenant, now).taken(now, self._wall()).spent[period]

    async def check(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def _tenant(self, tenant: str, now: float) -> _Tenant:
        """With what has passed taken off."""
        state = self._tenants.get(tenant)
        if state is None:
            spent = {period: by_tenant.get(tenant, 0) for period, by_tenant in self._spent_before.items()}
            state = self._tenants[tenant] = _Tenant(Spending(self._started, spent))
        state.advance(now)
        return state


@dataclass(slots=True)
class _Lease:
    wanted: Wanted
    end: float


class _Tenant:
    """Call `advance` before anything else."""

    __slots__ = ("_day", "_held", "_late", "_leases", "_places", "_requests", "_spending", "_tokens")

    def __init__(self, spending: Spending) -> None:
        self._requests = SlidingWindow()
        self._tokens = SlidingWindow()
        self._leases: dict[str, _Lease] = {}
        """By their ends, the first one first: all are of one length."""
        self._late: dict[str, float] = {}
        """Leases that ended without a settle, and when."""
        self._held = self._places = 0
        """Nano units and places of all leases."""
        self._spending = spending
        self._day: int | None = None
        """The last that the wall clock said."""

    def advance(self, now: float) -> None:
        self._requests.advance(now)
        self._tokens.advance(now)
        while self._leases and self._leases[first := next(iter(self._leases))].end <= now:
            self._release(first)
            self._late[first] = now
        while self._late and self._late[first := next(iter(self._late))] < now - KEEP_SECONDS:
            del self._late[first]

    def roll(self, wall: float) -> None:
        day = index("day", wall)
        if day != self._day:
            self._day = day
            self._spending.roll({"day": day, "month": index("month", wall)})

    def taken(self, now: float, wall: float) -> Taken:
        self.roll(wall)
        return Taken(
            requests=self._requests.total,
            requests_reset=self._requests.reset(now),
            tokens=self._tokens.total,
            tokens_reset=self._tokens.reset(now),
            running=self._places,
            held=self._held,
            spent=self._spending.spent(),
            periods=self._spending.numbers(),
            wall=wall,
        )

    def refusal(self, taken: Taken, limits: Limits, wanted: Wanted, now: float) -> Exception:
        requests, tokens = limits.requests_per_minute or 0, limits.tokens_per_minute or 0
        return taken.refusal(
            limits,
            wanted,
            self._requests.wait(now, taken.requests + 1 - requests),
            self._tokens.wait(now, taken.tokens + wanted.tokens - tokens),
        )

    def take(self, reservation_id: str, wanted: Wanted, now: float, end: float) -> int:
        """The slot in which it counts."""
        self._tokens.add(now, wanted.tokens)
        self._held += wanted.cost
        self._places += wanted.places
        self._leases[reservation_id] = _Lease(wanted, end)
        return self._requests.add(now, 1)

    def renew(self, reservation_id: str, end: float) -> bool:
        lease = self._leases.pop(reservation_id, None)
        if lease is None:
            return False
        lease.end = end
        self._leases[reservation_id] = lease
        return True

    def end(self, reservation_id: str) -> bool:
        """Whether it still has to be counted."""
        if reservation_id not in self._leases:
            return self._late.pop(reservation_id, None) is not None
        self._release(reservation_id)
        return True

    def _release(self, reservation_id: str) -> None:
        wanted = self._leases.pop(reservation_id).wanted
        self._held -= wanted.cost
        self._places -= wanted.places

    def use(self, reservation: Reservation, used: Used, now: float) -> None:
        unused = reservation.wanted.tokens - used.tokens
        if unused > 0:
            self._tokens.give_back(reservation.slot, unused)
        else:
            self._tokens.add(now, -unused)
        self._spending.add(used.cost)

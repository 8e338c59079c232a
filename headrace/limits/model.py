"""What limits a tenant has, what a request wants of them, and the store that keeps count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headrace.errors import ConfigError, InvalidRequest
from headrace.limits.budget import MAX_MONEY, Budget, Period, money
from headrace.limits.standing import Standing

MAX_RATE = 10**12
"""Requests or tokens a minute that a limit may allow."""
MAX_TOKENS = 10**14
"""Of one request. Sums of them stay exact in the floating point numbers that Redis' Lua counts with."""

MAX_PLACES = 10**6
"""Of one request."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one tenant; None is no limit. Raises `ConfigError` for what cannot be a limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Tokens of prompt and answer."""
    concurrent_requests: int | None = None
    budgets: tuple[Budget, ...] = ()

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute", "concurrent_requests"):
            limit = getattr(self, name)
            if limit is not None and not 0 <= limit <= MAX_RATE:
                raise ConfigError(f"{name}: must be from 0 to {MAX_RATE}, got {limit}")
        periods = [budget.period for budget in self.budgets]
        if twice := {period for period in periods if periods.count(period) > 1}:
            raise ConfigError(f"budgets: give one budget a period; there are several for {', '.join(twice)}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The most that one request can take. Raises `InvalidRequest` for less than nothing or absurdly much."""

    tokens: int
    """Prompt tokens and max_tokens together."""
    cost: int
    """Nano units, the highest possible."""
    places: int = 1
    """Among the running requests: each of the answers that it asks for takes one."""

    def __post_init__(self) -> None:
        _check("wanted", self.tokens, self.cost)
        if not 1 <= self.places <= MAX_PLACES:
            raise InvalidRequest("wanted.places", f"must be from 1 to {MAX_PLACES}, got {self.places}")


@dataclass(frozen=True, slots=True)
class Used:
    """What a request took in the end. Raises `InvalidRequest` for less than nothing or absurdly much."""

    tokens: int
    cost: int
    """Nano units."""

    def __post_init__(self) -> None:
        _check("used", self.tokens, self.cost)


def _check(what: str, tokens: int, cost: int) -> None:
    if not 0 <= tokens <= MAX_TOKENS:
        raise InvalidRequest(f"{what}.tokens", f"must be from 0 to {MAX_TOKENS}, got {tokens}")
    if not 0 <= cost <= MAX_MONEY:
        raise InvalidRequest(f"{what}.cost", f"must be from 0 to {money(MAX_MONEY)}, got {money(cost)}")


@dataclass(frozen=True, slots=True)
class Reservation:
    """That a request may run. Whoever has one settles it, whatever happens."""

    id: str
    tenant: str
    wanted: Wanted
    standing: Standing
    """Once this is reserved."""
    counted: bool = True
    """False: the store does not answer and the request was let in all the same (`on_error: open`)."""
    slot: int = -1
    """The second of the window in which it is counted; of use to its store only."""
    epoch: str = ""
    """Of the store's memory of this tenant: another one means that the store has lost what was reserved."""


class LimitStore(Protocol):
    """Counts for all tenants.

    Rates: a request counts in the second of its admission, and that second counts until 60 whole seconds after its
    end. So in any span of 60 s no more than the limit is admitted, and what was taken is back after 60 to 61 s.
    What a request did not use is given back to the second of its admission; what it used beyond its reservation
    counts in the second of its settle.

    Money is held from reserve to settle and counts as spent in the period of the settle. What is held counts
    against every budget, so that held and spent together never pass one.

    The places among the running requests, and the money held, are a lease. They are free again at the settle, or
    when the lease ends unrenewed. A settle after that still counts what was used.
    """

    async def reserve(self, tenant: str, limits: Limits, wanted: Wanted) -> Reservation:
        """All of it or nothing. Raises `LimitReached` (a `RateLimited`), `BudgetReached` (a `BudgetSpent`) or
        `LimitsUnavailable`."""
        ...

    async def settle(self, reservation: Reservation, used: Used) -> None:
        """Gives back what was not used. Once for each reservation: a second one changes nothing."""
        ...

    async def renew(self, reservation: Reservation) -> bool:
        """The lease begins anew. False when it has ended, so that its places and money are not held any more."""
        ...

    async def standing(self, tenant: str, limits: Limits) -> Standing:
        """Now. Raises `LimitsUnavailable`."""
        ...

    async def spent(self, tenant: str, period: Period) -> int:
        """Nano units in the current period, without what is only held. Raises `LimitsUnavailable`."""
        ...

    async def check(self) -> None:
        """Whether it answers and can be written to. Raises `LimitsUnavailable`."""
        ...

    async def close(self) -> None: ...

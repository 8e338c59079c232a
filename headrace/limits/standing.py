"""How a tenant stands to its limits, as response headers tell it."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.limits.budget import Budget


@dataclass(frozen=True, slots=True)
class Rate:
    limit: int
    remaining: int
    """Never negative."""
    reset_seconds: float
    """Until all of the limit is there again, if nothing more is taken."""


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    budget: Budget
    left: int
    """Nano units that are neither spent nor reserved; never negative."""
    overdrawn: bool = False
    """More is spent and reserved than it has: it was cut since."""


@dataclass(frozen=True, slots=True)
class Standing:
    """None and () where there is no limit, or where it is not known."""

    requests: Rate | None = None
    tokens: Rate | None = None
    budgets: tuple[BudgetLeft, ...] = ()


UNKNOWN = Standing()

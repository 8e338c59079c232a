"""Money: budgets in nano units, and the calendar periods (UTC) for which they hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from headrace.errors import ConfigError

Period = Literal["day", "month", "total"]
PERIODS: tuple[Period, ...] = ("day", "month", "total")
MAX_MONEY = 4 * 10**18
"""Nano units, four billion units: budgets, costs and their sums fit the 64 bits in which Redis counts."""
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Budget:
    """Raises `ConfigError` for an amount that cannot be counted."""

    amount: int
    """Nano units that may be spent in a period."""
    period: Period
    """`total` never ends."""

    def __post_init__(self) -> None:
        if not 0 <= self.amount <= MAX_MONEY:
            raise ConfigError(
                f"budgets.{self.period}: must be from 0 to {money(MAX_MONEY)}, got {money(self.amount)}"
            )


def money(nano: int) -> str:
    """In whole units, exact: 1_500_000_000 → `1.5`."""
    text = f"{Decimal(nano).scaleb(-9):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def index(period: Period, wall: float) -> int:
    """Number of the period at this time (Unix seconds): days since 1970, months since year 0, one total."""
    if period == "day":
        return int(wall // DAY_SECONDS)
    if period == "month":
        date = datetime.fromtimestamp(wall, UTC)
        return date.year * 12 + date.month - 1
    return 0


def seconds_left(period: Period, number: int, wall: float) -> float:
    """Until the period of this number ends, at least a second."""
    if period == "day":
        end: float = (number + 1) * DAY_SECONDS
    else:
        year, month = divmod(number + 1, 12)
        end = datetime(year, month + 1, 1, tzinfo=UTC).timestamp()
    return max(1.0, end - wall)

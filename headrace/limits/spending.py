"""What a tenant has spent, by day, month and in total, on a wall clock that may jump."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.limits.budget import PERIODS, Period, index


class _Counter:
    """Of one period."""

    __slots__ = ("_before", "number", "spent")

    def __init__(self, number: int, spent: int) -> None:
        self.number = number
        self.spent = spent
        self._before: tuple[int, int] | None = None
        """The period that ended, and what was spent in it: it may not have ended after all."""

    def roll(self, number: int) -> None:
        """The clock says that it is this period.

        A step back over the border of a period changes nothing: the later period goes on. More than that undoes a
        jump forwards: what was spent in the periods that were not there yet was spent in this one.
        """
        if number > self.number:
            self._before = self.number, self.spent
            self.number, self.spent = number, 0
        elif number < self.number - 1:
            if self._before is not None and self._before[0] >= number:
                self.spent += self._before[1]
            self.number, self._before = number, None


class Spending:
    """Nano units of one tenant."""

    __slots__ = ("_counters",)

    def __init__(self, wall: float, spent: Mapping[Period, int]) -> None:
        """`spent` in the periods of this wall time."""
        self._counters = {period: _Counter(index(period, wall), spent.get(period, 0)) for period in PERIODS}

    def roll(self, numbers: Mapping[Period, int]) -> None:
        for period, number in numbers.items():
            counter = self._counters[period]
            if number != counter.number:
                counter.roll(number)

    def add(self, cost: int) -> None:
        for counter in self._counters.values():
            counter.spent += cost

    def spent(self) -> dict[Period, int]:
        return {period: counter.spent for period, counter in self._counters.items()}

    def numbers(self) -> dict[Period, int]:
        return {period: counter.number for period, counter in self._counters.items()}

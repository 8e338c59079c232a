"""How long to wait before a part that died is started again, and when to stop trying."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Backoff:
    """Doubles from `first` to `longest` seconds while a part dies within `settled` seconds of its readiness."""

    first: float = 0.2
    longest: float = 10.0
    settled: float = 30.0
    most_quick_deaths: int = 8
    quick_deaths: int = field(default=0, init=False)
    """In a row."""

    def after_death(self, lifetime: float) -> float | None:
        """Seconds to wait after `lifetime` seconds of service; None when the part should be given up."""
        self.quick_deaths = 1 if lifetime >= self.settled else self.quick_deaths + 1
        if self.quick_deaths >= self.most_quick_deaths:
            return None
        return float(min(self.first * 2 ** (self.quick_deaths - 1), self.longest))

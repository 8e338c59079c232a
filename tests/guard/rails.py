"""Rails and observers for tests."""

from __future__ import annotations

from headrace.guard.policy import Action, Direction
from headrace.guard.rail import Rail


class Silent:
    """Counts nothing."""

    def rail(self, rail: Rail, direction: Direction, texts: int, seconds: float, error: str | None) -> None:
        pass

    def decision(self, direction: Direction, category: str, action: Action) -> None:
        pass

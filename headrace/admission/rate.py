"""How fast places in the engine come free."""

from __future__ import annotations

NEWEST = 0.05
"""What one request counts for; the last 20 or so make the average."""


class ServiceRate:
    """By Little's law: with L requests in the engine, each holding its place for S seconds and worth W work, L·W/S
    work comes free each second. That holds as well before anybody has to wait.
    """

    def __init__(self) -> None:
        self.work = 0.0
        """Of a request, on average; 0 as long as none has ended."""
        self._seconds = 0.0

    def add(self, work: float, seconds: float) -> None:
        """A request gave its place back after so long."""
        if not self.work:
            self.work, self._seconds = work, seconds
            return
        self.work += NEWEST * (work - self.work)
        self._seconds += NEWEST * (seconds - self._seconds)

    def seconds(self, work: float, places: int) -> float:
        """Until so much work has come free; 0 as long as nothing is known."""
        return work * self._seconds / (self.work * places) if self.work else 0.0

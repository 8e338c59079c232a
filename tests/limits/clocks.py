"""Clocks that tests turn by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import redis

FAKE_TIME = "redis.call('HMGET', 'test-clock', 'seconds', 'micros')"
NOON = int(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp())
_MICROSECONDS = 1_000_000


class Clocks:
    """Counts whole microseconds, so that nothing hangs on rounding. `turned` is told of the wall clock."""

    def __init__(self, turned: Callable[[int], None] = lambda _: None) -> None:
        self._monotonic = 1_000 * _MICROSECONDS
        self._wall = NOON * _MICROSECONDS
        self._turned = turned
        turned(self._wall)

    def monotonic(self) -> float:
        return self._monotonic / _MICROSECONDS

    def wall(self) -> float:
        return self._wall / _MICROSECONDS

    def pass_by(self, seconds: float) -> None:
        """Time goes on."""
        self._monotonic += round(seconds * _MICROSECONDS)
        self.jump(seconds)

    def jump(self, seconds: float) -> None:
        """Only the wall clock changes."""
        self._wall += round(seconds * _MICROSECONDS)
        self._turned(self._wall)

    def set(self, moment: datetime) -> None:
        """Time goes on until then."""
        self.pass_by(moment.timestamp() - self._wall / _MICROSECONDS)


def for_redis(client: redis.Redis) -> Clocks:
    """Turns the clock that scripts with `FAKE_TIME` read."""

    def turned(wall: int) -> None:
        client.hset("test-clock", mapping={"seconds": wall // _MICROSECONDS, "micros": wall % _MICROSECONDS})

    return Clocks(turned)

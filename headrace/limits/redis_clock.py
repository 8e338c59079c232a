"""Redis' clock, as far as a process with a monotonic clock of its own can vouch for it."""

from __future__ import annotations

from collections import deque

TOLERANCE = 1_000_000
"""Microseconds that Redis' clock may run ahead before it counts as a jump. The scripts have the same."""


class RedisClock:
    """Redis has only its wall clock, on which a jump forwards looks like time that passed: windows and leases
    would end early. Each reply brings a reading of it. By the process' own clock, the next reading cannot be later
    than `latest`; what is beyond is a jump, and the scripts leave it out of a tenant's time. Jumps that were seen
    are sent along, for tenants that were last seen before them.

    What no process saw is taken for time: a jump while no gateway that runs has yet spoken to Redis.
    All times are microseconds; those of Redis are Unix times.
    """

    def __init__(self) -> None:
        self._reading = 0
        self._asked = 0
        """On the process' clock, before Redis took the reading."""
        self._jumps: deque[tuple[int, int]] = deque(maxlen=8)

    def latest(self, now: int) -> int:
        """What Redis' clock can say at most; 0 while it is not known."""
        return self._reading + now - self._asked if self._reading else 0

    @property
    def jumps(self) -> str:
        return ",".join(f"{start}-{end}" for start, end in self._jumps)

    def saw(self, reading: int, asked: int, now: int) -> None:
        """A reply came, to what was asked at this time."""
        latest = self.latest(now)
        if latest and reading > latest + TOLERANCE:
            self._jumps.append((latest, reading))
        while self._jumps and self._jumps[-1][1] > reading:
            self._jumps.pop()  # the clock was set back
        self._reading, self._asked = reading, asked

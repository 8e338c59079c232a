"""A sliding window of 60 seconds in slots of one second."""

from __future__ import annotations

WINDOW_SECONDS = 60


class SlidingWindow:
    """Counts one thing. At a time within slot n the slots n-60 to n count, which are 61: the one that is only
    partly within the last 60 s counts as a whole, so no span of 60 s holds more than is counted.

    Times are seconds of a clock that never goes back; call `advance` before anything else.
    """

    __slots__ = ("_slots", "total")

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}
        """Oldest first."""
        self.total = 0

    def advance(self, now: float) -> None:
        oldest = int(now) - WINDOW_SECONDS
        while self._slots and (slot := next(iter(self._slots))) < oldest:
            self.total -= self._slots.pop(slot)

    def add(self, now: float, count: int) -> int:
        """The slot in which it is counted."""
        slot = int(now)
        if count:
            self._slots[slot] = self._slots.get(slot, 0) + count
            self.total += count
        return slot

    def give_back(self, slot: int, count: int) -> None:
        """Of what was added in this slot, if that still counts."""
        if slot in self._slots:
            self._slots[slot] -= count
            self.total -= count

    def wait(self, now: float, excess: int) -> float:
        """Seconds until so much has left the window; as long as all takes when it holds less."""
        end = now
        for slot, count in self._slots.items():
            if excess <= 0:
                break
            excess -= count
            end = _end(slot)
        return end - now

    def reset(self, now: float) -> float:
        """Seconds until nothing is left in it."""
        return _end(next(reversed(self._slots))) - now if self._slots else 0.0


def _end(slot: int) -> float:
    """When it no longer counts."""
    return slot + WINDOW_SECONDS + 1.0

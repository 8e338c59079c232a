"""How many users there are: steady, then a burst of some times as many, then steady again, then the end."""

from __future__ import annotations

USERS = 10
SECONDS = 120
"""Both where nothing else is wished."""
_BURST = (0.4, 0.6)
"""From and until which part of the time."""


def users_at(part: float, users: int, burst: float) -> int | None:
    """When this part of the time has passed; None: the end."""
    if part >= 1:
        return None
    return max(1, round(users * burst)) if _BURST[0] <= part < _BURST[1] else users

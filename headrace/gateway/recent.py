"""How long the last answers took, for people who look: Prometheus has the histograms."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SPAN_SECONDS = 300.0
MOST = 500
"""Answers that are looked at: under load the last few seconds are enough."""


@dataclass(frozen=True, slots=True)
class _Took:
    ended: float
    first: float | None
    whole: float


class RecentLatency:
    """Used from one thread. Of answers that came whole."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: deque[_Took] = deque(maxlen=MOST)

    def add(self, first: float | None, whole: float) -> None:
        """Seconds from its arrival to its first text, if it was a stream, and to its end."""
        self._answers.append(_Took(self._clock(), first, whole))

    def said(self) -> dict[str, object]:
        since = self._clock() - SPAN_SECONDS
        answers = [one for one in self._answers if one.ended >= since]
        return {
            "seconds": SPAN_SECONDS,
            "requests": len(answers),
            "first_token_ms": _percentiles([one.first for one in answers if one.first is not None]),
            "total_ms": _percentiles([one.whole for one in answers]),
        }


def _percentiles(seconds: Sequence[float]) -> dict[str, float] | None:
    """Nearest rank: each is a time that was measured."""
    if not seconds:
        return None
    ranked = sorted(seconds)
    return {f"p{rank}": round(1000 * ranked[math.ceil(len(ranked) * rank / 100) - 1], 1) for rank in (50, 95)}

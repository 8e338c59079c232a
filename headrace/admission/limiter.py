"""The limit of requests in the engine at once, which follows the latency objective."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from headrace.admission.config import AdmissionConfig

FAILED = math.inf
"""The sample of a request that failed because there was too much to do."""
LOWEST_STEP = 0.5
"""One window never asks for less than this part of the limit."""
HEADROOM = 4
"""What even the smallest limit grows by, so that it is not long in coming back."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the last window found."""

    p95: float = 0.0
    """Of observed / objective."""
    median: float = 0.0
    samples: int = 0


class Limiter:
    """Additive increase, multiplicative decrease, as TCP Vegas and Netflix's concurrency-limits do (Gradient2:
    growth by the square root, no move of a limit that is not used). Those compare with the shortest latency seen.
    A batch makes each of its requests slower by design, so that would hold an engine far below its best
    throughput; here a sample is `r = observed / objective`, and the limit L is the largest that keeps the
    objective. Per window:

        r95 = P95 of its samples
        T   = L * max(0.5, 1 / r95)              if r95 > 1
        T   = L + (4 + sqrt(L)) * (1 - r95)      otherwise
        L   ← min(max_limit, max(min_limit, L + smoothing * (T - L)))

    L stays as it is when less than half of it was used, since then it is not what made the latency. After a
    decrease only requests that were let in since count: the older ones tell of the limit before. Failures by
    overload are samples of ∞.

    Both branches meet in T = L at r95 = 1, so L comes to rest there instead of swinging around it. With r95
    rising in L that is the only rest, and every window moves L towards it: for r95 = (L / best) ** p with p from 1
    to 2, best up to 144 and any start, L is within 10 % after 80 windows.
    """

    def __init__(self, config: AdmissionConfig, clock: Callable[[], float]) -> None:
        """`clock`: seconds."""
        self._config = config
        self._clock = clock
        self._exact = float(config.initial_limit)
        self.limit = config.initial_limit
        self.last = Window()
        self._samples: list[float] = []
        self._peak = 0
        self._opened = self._decreased = clock()

    def add(self, ratio: float, granted: float, in_flight: int) -> None:
        """One sample, of a request let in at `granted` (of the clock); `in_flight` counts it too."""
        now = self._clock()
        if granted < self._decreased:
            return
        if not self._samples and now - self._opened > self._config.max_window_ms / 1000:
            self._opened = now  # nothing came for long: that time is no part of a window
        self._samples.append(ratio)
        self._peak = max(self._peak, in_flight)
        age = 1000 * (now - self._opened)
        enough = len(self._samples) >= self._config.window_samples and age >= self._config.window_ms
        if enough or age >= self._config.max_window_ms:
            self._close(now)

    def _close(self, now: float) -> None:
        samples = sorted(self._samples)
        count = len(samples)
        self.last = Window(samples[math.ceil(0.95 * count) - 1], samples[count // 2], count)
        if 2 * self._peak >= self.limit:
            self._move(self.last.p95, now)
        self._samples = []
        self._peak = 0
        self._opened = now

    def _move(self, p95: float, now: float) -> None:
        limit = self._exact
        if p95 > 1:
            towards = limit * max(LOWEST_STEP, 1 / p95)
            self._decreased = now
        else:
            towards = limit + (HEADROOM + math.sqrt(limit)) * (1 - p95)
        limit += self._config.smoothing * (towards - limit)
        self._exact = min(max(limit, self._config.min_limit), self._config.max_limit)
        self.limit = int(self._exact)

"""A circuit breaker: while Triton is away, requests fail at once instead of waiting for it one by one.

After `failures` in a row it opens; a pause later one request is let through to see, and closes it or doubles the
pause, up to `longest`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from headrace.errors import TryLater

_SOON = 0.5
"""Seconds: while one request tries."""

State = Literal["closed", "open", "trying"]


class Circuit:
    """Used from one thread."""

    def __init__(
        self,
        failures: int = 5,
        pause: float = 0.5,
        longest: float = 8.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._shortest = self._pause = pause
        self._longest = longest
        self._clock = clock
        self._failures = 0
        self._opened: float | None = None
        self._trying = False

    @property
    def state(self) -> State:
        if self._opened is None:
            return "closed"
        return "trying" if self._trying else "open"

    def check(self) -> None:
        """Before a request. Raises `TryLater` while it is open."""
        if self._opened is None:
            return
        left = self._opened + self._pause - self._clock()
        if self._trying or left > 0:
            raise TryLater(
                "the inference server does not answer; send it again in a moment", retry_after=max(left, _SOON)
            )
        self._trying = True

    def succeeded(self) -> None:
        self._failures = 0
        self._opened = None
        self._trying = False
        self._pause = self._shortest

    def failed(self) -> None:
        """It could not be reached, or ended during a request."""
        self._failures += 1
        if self._trying:
            self._pause = min(2 * self._pause, self._longest)
        if self._trying or (self._opened is None and self._failures >= self._limit):
            self._opened = self._clock()
        self._trying = False

    def unknown(self) -> None:
        """The request ended before it told anything: its client left. Another one may try."""
        self._trying = False

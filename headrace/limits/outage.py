"""Whether the store answers: said once when it stops and once when it does again."""

from __future__ import annotations

from collections.abc import Callable

import structlog

log = structlog.get_logger()

FAILURES = 3
"""In a row; then nobody waits for the store any more, but for one call in a while that tries."""
PAUSE_SECONDS = 1.0


class Outage:
    def __init__(self, monotonic: Callable[[], float], what: str = "the store of the limits") -> None:
        self._monotonic = monotonic
        self._fails, self._is_back = f"{what} fails", f"{what} answers again"
        self._failures = 0
        self._began = 0.0
        self._next = 0.0
        self.problem = ""
        """Of the last failure."""

    def may_ask(self) -> bool:
        """False: it would be in vain, most likely."""
        if self._failures < FAILURES:
            return True
        now = self._monotonic()
        if now < self._next:
            return False
        self._next = now + PAUSE_SECONDS
        return True

    def failed(self, problem: str, policy: str) -> None:
        self.problem = problem
        self._failures += 1
        now = self._monotonic()
        self._next = now + PAUSE_SECONDS
        if self._failures == 1:
            self._began = now
            log.error(self._fails, problem=problem, on_error=policy)

    def answered(self) -> None:
        if self._failures:
            seconds = round(self._monotonic() - self._began, 1)
            log.info(self._is_back, seconds=seconds, failures=self._failures)
        self._failures = 0

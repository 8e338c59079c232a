"""The requests that run: when this process has to end, those that still do are ended with a word."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.errors import DeadlineExceeded, HeadraceError, TryLater


class Running:
    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()
        self._ended = False

    @contextmanager
    def counted(self, limit: asyncio.Timeout) -> Iterator[None]:
        """`limit` is the time that one of them has, entered."""
        self._limits.add(limit)
        try:
            yield
        finally:
            self._limits.discard(limit)

    def end(self) -> None:
        """Their time is over now."""
        self._ended = True
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now)

    def late(self) -> HeadraceError:
        """Why the time of one is over."""
        if self._ended:
            return TryLater("this replica shut down before the answer was whole; send the request again")
        return DeadlineExceeded("there was no whole answer in the time that the request has")

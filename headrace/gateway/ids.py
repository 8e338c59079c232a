"""Random names for requests and traces: the system is asked for randomness once for many of them."""

from __future__ import annotations

import os

_BLOCK = 4096


class _Pool:
    def __init__(self) -> None:
        self._digits = ""
        self._place = 0

    def take(self, digits: int) -> str:
        if self._place + digits > len(self._digits):
            self._digits, self._place = os.urandom(_BLOCK).hex(), 0
        found = self._digits[self._place : self._place + digits]
        self._place += digits
        return found


_pool = _Pool()


def new_id(digits: int = 32) -> str:
    """So many random hex digits, which were given to nobody else. From the event loop's thread."""
    return _pool.take(digits)

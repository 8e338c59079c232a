"""How much of what one stream asked for may be held at once."""

from __future__ import annotations

import asyncio


class Room:
    def __init__(self, most: int) -> None:
        """`most`: bytes, which the last one that came may pass."""
        self._most = most
        self._held = 0
        self._left = asyncio.Event()

    def take(self, size: int) -> None:
        self._held += size

    def leave(self, size: int) -> None:
        self._held -= size
        self._left.set()

    async def free(self) -> None:
        """Returns when there is some."""
        while self._held >= self._most:
            self._left.clear()
            await self._left.wait()

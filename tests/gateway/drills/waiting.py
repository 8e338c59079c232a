"""Conditions that nobody tells of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(true: Callable[[], bool]) -> None:
    """Asks in another thread, for as long as the caller's own time limit allows."""
    while not await asyncio.to_thread(true):  # noqa: ASYNC110 - another process has no event
        await asyncio.sleep(0.02)

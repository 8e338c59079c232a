"""How parts of a stack end: their work first, and at once for who is in a hurry."""

from __future__ import annotations

import asyncio
import contextlib

from headrace.serving.engine_worker import EngineWorker
from headrace.serving.keeper import Keeper

_POLL_SECONDS = 0.05


async def wait(hurry: asyncio.Event, seconds: float) -> None:
    """That long, or until `hurry` is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(hurry.wait(), seconds)


async def stop(keeper: Keeper, seconds: float, hurry: asyncio.Event) -> None:
    """SIGTERM, and SIGKILL after `seconds` or once `hurry` is set. Only once the keeper's `run` was cancelled."""
    stopping = asyncio.create_task(keeper.stop(seconds))
    hurried = asyncio.create_task(hurry.wait())
    await asyncio.wait((stopping, hurried), return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done() and keeper.process is not None:
        await keeper.process.kill()
    await stopping
    hurried.cancel()


async def until_idle(worker: EngineWorker, keeper: Keeper, seconds: float, hurry: asyncio.Event) -> bool:
    """Have the worker refuse new requests and wait for the running ones. False when they did not end in time, or
    when `hurry` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            # A worker that is away holds nothing. One that is silent may be in a long step of its engine, and
            # a new one has to be told again.
            while not hurry.is_set() and keeper.state == "ready":
                stats = await worker.drain()
                if stats is not None and stats.live == 0:
                    break
                await asyncio.sleep(_POLL_SECONDS)
            return True
    return False

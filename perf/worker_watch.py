"""The engine worker's counters, over its own socket: no client hears when its request has left the engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from headrace.errors import EngineUnavailable
from headrace.worker import protocol

LIMIT_SECONDS = 10.0
_POLL_SECONDS = 0.001


class WorkerWatch:
    """Asks over one connection. The worker answers between two steps of the engine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames = protocol.FrameReader()

    async def stats(self) -> protocol.WorkerStats:
        messages: list[protocol.ToWorker] = [protocol.AskStats()]
        self._writer.write(protocol.encode(messages))
        while data := await self._reader.read(65536):
            for frame in self._frames.feed(data):
                for message in protocol.decode_from_worker(frame):
                    if isinstance(message, protocol.WorkerStats):
                        return message
        raise EngineUnavailable("the engine worker ended during the benchmark")

    async def until_cancelled(self, more_than: int) -> float:
        """When the worker had let one more go, on `time.monotonic`, which all processes share."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while (stats := await self.stats()).cancelled <= more_than:  # noqa: ASYNC110, it is in another process
                await asyncio.sleep(_POLL_SECONDS)
        return stats.cancelled_at


@contextlib.asynccontextmanager
async def watching(socket_path: Path) -> AsyncIterator[WorkerWatch]:
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    try:
        yield WorkerWatch(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()

"""A way to Redis on which answers can get lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    def __init__(self, port: int) -> None:
        self._to = port
        self.loses_answers = False
        self.lost = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Its address, as Redis' one."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", self._to)
        answers = asyncio.create_task(self._answers(redis_reader, writer))
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                redis_writer.write(data)
        redis_writer.close()
        writer.close()
        await answers

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                if self.loses_answers:
                    self.lost += 1
                else:
                    writer.write(data)

"""The consumer's end of one request, for engines that step all requests in one loop."""

from __future__ import annotations

import asyncio

from headrace.engine.interface import TokenDelta
from headrace.errors import HeadraceError


class TokenStream:
    """An async iterator that the engine fills. Ends after the delta that has a finish reason."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[TokenDelta | HeadraceError] = asyncio.Queue()
        self._ended = False

    @classmethod
    def failed(cls, error: HeadraceError) -> TokenStream:
        """The stream of a request that came to an engine that has broken."""
        stream = cls()
        stream.put(error)
        return stream

    def put(self, item: TokenDelta | HeadraceError) -> None:
        self._queue.put_nowait(item)

    def __aiter__(self) -> TokenStream:
        return self

    async def __anext__(self) -> TokenDelta:
        if self._ended:
            raise StopAsyncIteration
        item = await self._queue.get()
        if isinstance(item, HeadraceError):
            self._ended = True
            raise item
        self._ended = item.finish_reason is not None
        return item

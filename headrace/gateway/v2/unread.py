"""A gRPC client that leaves unread what is sent to it loses its call."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc

_telling: set[asyncio.Task[None]] = set()


class Patience:
    """Made within the task of a streaming call: `begin` before a response is given away, `end` when it is taken.

    After `seconds` between the two the call ends. A client that reads on finds the status CANCELLED; one that does
    not costs a message's memory until it hangs up.
    """

    def __init__(self, context: Any, seconds: float) -> None:
        self._call = asyncio.current_task()
        self._context = context
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._lose)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _lose(self) -> None:
        telling = asyncio.create_task(self._tell())
        _telling.add(telling)
        telling.add_done_callback(_telling.discard)
        if self._call is not None:
            # Alone it would tell the client nothing; so after the first step of the other.
            asyncio.get_running_loop().call_soon(self._call.cancel)

    async def _tell(self) -> None:
        with contextlib.suppress(grpc.aio.AbortError):
            await self._context.abort(
                grpc.StatusCode.CANCELLED, f"the client did not read for {self._seconds:g} s"
            )

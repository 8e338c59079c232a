"""A gRPC stream: many requests at once on one connection, each with a stream of answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

import structlog

from headrace import error_codes
from headrace.client.protocol import service_pb2
from headrace.errors import HeadraceError, InvalidRequest, Overloaded
from headrace.gateway.door import Door
from headrace.gateway.public_errors import defect, public
from headrace.gateway.v2.calls import GrpcCall, refuse
from headrace.gateway.v2.requests import MOST_ID
from headrace.gateway.v2.room import Room
from headrace.gateway.v2.unread import Patience

log = structlog.get_logger()
_MOST = 1024
"""Requests of one stream that are answered at the same time."""
_BODIES = 2
"""As many of the largest size are held; only then the next one is read."""


async def answer_all(door: Door, context: Any, requests: AsyncIterator[Any]) -> AsyncGenerator[Any]:
    """`ModelStreamInferResponse`s, of all requests as they come. An error ends its own request alone.

    A client that takes none for `gateway.write_seconds` loses the stream.
    """
    patience = Patience(context, door.config.write_seconds)
    call = GrpcCall(door, context, "ModelStreamInfer")
    stream = _Stream(call, Room(_BODIES * door.config.max_body_bytes))
    reading = asyncio.create_task(stream.read(requests))
    try:
        while (response := await stream.ready.get()) is not None:
            patience.begin()
            yield response
            patience.end()
        if stream.unreadable:
            await refuse(context, InvalidRequest("request", "its bytes are no ModelInferRequest; send one"))
    finally:
        patience.end()
        await _end([reading, *stream.running])


class _Stream:
    def __init__(self, call: GrpcCall, room: Room) -> None:
        self._call = call
        self._room = room
        self.ready: asyncio.Queue[Any] = asyncio.Queue(maxsize=64)
        """A client that does not read holds up its own requests."""
        self.running: set[asyncio.Task[None]] = set()
        self.unreadable = False
        """What came last was no message: nothing more is read."""

    async def read(self, requests: AsyncIterator[Any]) -> None:
        try:
            async for request in requests:
                await self._take(request)
                await self._room.free()
        except Exception as error:  # noqa: BLE001 - gRPC's own, of no common kind
            log.info("a stream cannot be read on", problem=type(error).__name__)
            self.unreadable = True
        while self.running:
            await asyncio.wait(set(self.running))
        await self.ready.put(None)

    async def _take(self, request: Any) -> None:
        if len(self.running) >= _MOST:
            await self._tell(request, Overloaded(f"at most {_MOST} requests at once on one stream", 1.0))
            return
        task = asyncio.create_task(self._answer(request))
        self.running.add(task)
        size = request.ByteSize()
        self._room.take(size)
        task.add_done_callback(partial(self._ended, size))

    def _ended(self, size: int, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        self._room.leave(size)

    async def _answer(self, request: Any) -> None:
        try:
            async with aclosing(self._call.answers(request)) as found:
                async for response in found:
                    await self.ready.put(response)
        except HeadraceError as error:
            await self._tell(request, error)
        except Exception as error:  # noqa: BLE001 - told in the log, and its request alone ends
            await self._tell(request, defect("ModelStreamInfer", error))

    async def _tell(self, request: Any, error: HeadraceError) -> None:
        about = service_pb2.ModelInferResponse(model_name=request.model_name[:MOST_ID])
        if len(request.id.encode()) <= MOST_ID:
            about.id = request.id
        about.parameters["triton_final_response"].bool_param = True
        message = error_codes.written(public(error))
        await self.ready.put(service_pb2.ModelStreamInferResponse(error_message=message, infer_response=about))


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

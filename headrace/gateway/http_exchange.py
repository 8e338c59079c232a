"""What every inference over HTTP does alike: an exchange, answered while its client is there, or an error told."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Literal

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from headrace.audit.record import Dialect
from headrace.client import Chunk
from headrace.errors import EngineFailed, HeadraceError
from headrace.gateway import answers, connection, told
from headrace.gateway.answers import Body
from headrace.gateway.ask import Ask, Call
from headrace.gateway.door import Door
from headrace.gateway.exchange import Exchange, Piece
from headrace.gateway.public_errors import defect
from headrace.limits.headers import Headers
from headrace.tenants.identity import Identity


class HttpExchange(ABC):
    """One request of a dialect."""

    dialect: Dialect
    operation: str

    def __init__(self, door: Door, request: Request, send: Send) -> None:
        self.door = door
        self.request = request
        self.arrived = asyncio.get_running_loop().time()
        self.call: Call = connection.call_of(request.headers, self.dialect, self.operation)
        self._send = send
        self._told: Literal["nothing", "a part", "all"] = "nothing"

    @abstractmethod
    async def read(self) -> Ask:
        """The body, as a question. Raises `HeadraceError`."""

    @abstractmethod
    def whole(self, exchange: Exchange, chunks: list[Chunk]) -> Body:
        """What a client gets that wants no stream; `chunks` has the one of each choice."""

    @abstractmethod
    def events(self, piece: Piece) -> Iterator[bytes]:
        """What a stream gets for one piece."""

    @abstractmethod
    def last_events(self, exchange: Exchange) -> Iterator[bytes]:
        """What ends a stream."""

    async def run(self) -> None:
        try:
            async with self.door.exchanges.open(self.call, self._who, self.read) as exchange:
                answering = self._stream(exchange) if exchange.ask.stream else self._whole(exchange)
                if exchange.is_here:
                    await answering  # nothing runs that a leaving client would stop
                    return
                async with connection.while_connected(self.request.receive):
                    await answering
        except HeadraceError as error:
            await self._fail(error)
        except Exception as error:  # noqa: BLE001 - it is logged
            await self._fail(defect(self.request.url.path, error))

    async def _who(self) -> Identity:
        return await self.door.identity(self.request)

    async def _whole(self, exchange: Exchange) -> None:
        found: dict[int, Chunk] = {}
        async with aclosing(exchange.pieces()) as pieces:
            async for piece in pieces:
                found[piece.index] = piece.chunk
        body = self.whole(exchange, [found[index] for index in sorted(found)])
        headers = [*self._headers(exchange), told.cost(exchange, self.door.currency)]
        await answers.send_whole(self._send, body, headers=headers)
        self._told = "all"

    async def _stream(self, exchange: Exchange) -> None:
        async with aclosing(exchange.pieces()) as pieces:
            first = await anext(pieces, None)  # what fails before it has a status of its own
            if first is None:
                raise EngineFailed("the stream ended without a word; send the request again")
            self._told = "a part"
            events = self._events(exchange, first, pieces)
            await answers.send_events(self._send, events, self._headers(exchange))
            self._told = "all"

    async def _events(
        self, exchange: Exchange, first: Piece, pieces: AsyncGenerator[Piece]
    ) -> AsyncIterator[bytes]:
        yield b"".join(self.events(first))
        async for piece in pieces:
            if events := b"".join(self.events(piece)):
                yield events
        if last := b"".join(self.last_events(exchange)):
            yield last

    async def _fail(self, error: HeadraceError) -> None:
        """In a stream by its last event: a part must not look like the whole."""
        if self._told == "all":
            return
        body = answers.error_said(error, self.dialect, self.call.request_id)
        if self._told == "a part":
            await self._send({"type": "http.response.body", "body": answers.event(body)})
            return
        headers = [*answers.error_headers(error), *self._own_headers()]
        await answers.send_whole(self._send, answers.json_body(body), error.http_status, headers)

    def _headers(self, exchange: Exchange) -> Headers:
        return [*told.exchange(exchange), *self._own_headers()]

    def _own_headers(self) -> Headers:
        return [told.call(self.call)]


class Endpoint:
    """An ASGI application for one kind of them."""

    def __init__(self, door: Door, kind: Callable[[Door, Request, Send], HttpExchange]) -> None:
        self._door = door
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._kind(self._door, Request(scope, receive), send).run()

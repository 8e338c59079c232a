"""One inference over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from starlette.datastructures import Headers

from headrace.client import PUBLIC_MODELS, STREAM_MODEL
from headrace.errors import HeadraceError, NotFound
from headrace.gateway import connection, told
from headrace.gateway.ask import Ask
from headrace.gateway.door import Door
from headrace.gateway.public_errors import public
from headrace.gateway.v2 import messages, tensors
from headrace.gateway.v2.about import VERSION
from headrace.limits.headers import Headers as Pairs
from headrace.limits.headers import refused
from headrace.tenants.credentials import Credentials, is_loopback
from headrace.tenants.identity import Identity


class GrpcCall:
    """Of one client; over a stream it may send many requests."""

    def __init__(self, door: Door, context: Any, operation: str) -> None:
        self._door = door
        self._headers = headers_of(context.invocation_metadata())
        self._operation = operation
        self._peer = context.peer()
        remaining: float | None = context.time_remaining()
        self._ends = None if remaining is None else asyncio.get_running_loop().time() + remaining
        """When gRPC's deadline is, for all requests of a stream."""
        self.told: Pairs = []
        """Of the last request, what HTTP has in headers. A stream has many requests, so it shows none of it."""

    async def answers(self, request: Any) -> AsyncGenerator[Any]:
        """`ModelStreamInferResponse`s: one, or those of a stream, of which the last has `triton_final_response`.

        Raises `HeadraceError`.
        """
        names: tuple[str, ...] = ()
        arrived = asyncio.get_running_loop().time()
        call = connection.call_of(self._headers, "triton-grpc", self._operation)
        self.told = [told.call(call)]

        async def read() -> Ask:
            nonlocal names
            if request.model_name not in PUBLIC_MODELS or request.model_version not in {"", VERSION}:
                raise NotFound(f"model: there is no model {request.model_name[:100]!r} of this version")
            names = messages.outputs_of(request)
            return Ask(
                question=tensors.question(messages.read(request)),
                model=request.model_name,
                stream=request.model_name == STREAM_MODEL,
                deadline=self._deadline(arrived, messages.timeout_of(request)),
                cache=connection.cache_wish(self._headers),
            )

        try:
            async with (
                self._door.exchanges.open(call, self._who, read) as exchange,
                aclosing(exchange.pieces()) as pieces,
            ):
                stream = exchange.ask.stream
                writer = messages.Writer(request, names, VERSION, stream)
                async for piece in pieces:
                    chunk = piece.chunk
                    if not stream or chunk.text or chunk.finish_reason is not None:
                        yield writer.written(chunk)
                self.told += [*told.exchange(exchange), told.cost(exchange, self._door.currency)]
        except HeadraceError as error:
            raise public(error, call.request_id) from None

    def _deadline(self, arrived: float, microseconds: int | None) -> float | None:
        """The soonest one of gRPC's, of the metadata's, and of the request's own timeout."""
        own = None if microseconds is None else arrived + microseconds / 1e6
        found = [self._ends, connection.deadline(self._headers, arrived), own]
        return min((one for one in found if one is not None), default=None)

    async def _who(self) -> Identity:
        return await who(self._door, self._headers, is_loopback(_host(self._peer)))


async def who(door: Door, headers: Headers, peer_is_loopback: bool) -> Identity:
    """Raises `Unauthenticated`, `Forbidden`, `InvalidRequest`, `Unavailable`."""
    shown = Credentials.of(
        headers.items(), peer_is_loopback=peer_is_loopback, listens_on_loopback=door.listens_on_loopback
    )
    return await door.authenticator.authenticate(shown)


def headers_of(metadata: Any) -> Headers:
    """A call's metadata, to be read as HTTP's headers are."""
    return Headers(raw=[(name.encode(), _as_bytes(value)) for name, value in metadata])


def _as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _host(peer: str) -> str:
    """Of `ipv4:127.0.0.1:1234` or `ipv6:[::1]:1234` (percent-encoded brackets in some releases)."""
    kind, _, rest = peer.replace("%5B", "[").replace("%5D", "]").partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else ""


def as_metadata(pairs: Pairs) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode(), value.decode()) for name, value in pairs)


async def refuse(context: Any, error: HeadraceError, pairs: Pairs | None = None) -> None:
    """Ends the call with the error's code; where it is known also when to come back (google.rpc.RetryInfo).

    `pairs`: for the metadata at its end.
    """
    code = grpc.StatusCode[error.grpc_code]
    status = status_pb2.Status(code=code.value[0], message=str(public(error)))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(error.retry_after * 1000))
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        status.details.append(detail)
    written = rpc_status.to_status(status)
    metadata = (*written.trailing_metadata, *as_metadata([*refused(error), *(pairs or [])]))
    await context.abort(written.code, written.details, metadata)

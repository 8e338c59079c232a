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

from headrace.client import PUBLIC_MODELS, STREAM_MODEL
from headrace.errors import HeadraceError, NotFound
from headrace.gateway import connection
from headrace.gateway.ask import Ask
from headrace.gateway.door import Door
from headrace.gateway.v2 import messages, tensors
from headrace.gateway.v2.about import VERSION
from headrace.tenants.credentials import Credentials, is_loopback
from headrace.tenants.identity import Identity


class GrpcCall:
    """Of one client; over a stream it may send many requests."""

    def __init__(self, door: Door, context: Any, operation: str) -> None:
        self._door = door
        self._operation = operation
        self._metadata = [(name, _as_text(value)) for name, value in context.invocation_metadata()]
        self._headers = dict(self._metadata)
        self._peer = context.peer()
        remaining: float | None = context.time_remaining()
        self._ends = None if remaining is None else asyncio.get_running_loop().time() + remaining
        """When gRPC's deadline is, for all requests of a stream."""

    async def answers(self, request: Any) -> AsyncGenerator[Any]:
        """`ModelStreamInferResponse`s: one, or those of a stream, of which the last has `triton_final_response`.

        Raises `HeadraceError`.
        """
        names: tuple[str, ...] = ()

        async def read() -> Ask:
            nonlocal names
            if request.model_name not in PUBLIC_MODELS or request.model_version not in {"", VERSION}:
                raise NotFound(f"model: there is no model {request.model_name[:100]!r} of this version")
            names = messages.outputs_of(request)
            return Ask(
                question=tensors.question(messages.read(request)),
                model=request.model_name,
                stream=request.model_name == STREAM_MODEL,
                deadline=self._deadline(messages.timeout_of(request)),
                cache=connection.cache_wish(self._headers),
            )

        call = connection.call_of(self._headers, "triton-grpc", self._operation)
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

    def _deadline(self, microseconds: int | None) -> float | None:
        """The soonest one of gRPC's, of the metadata's, and of the request's own timeout."""
        own = None if microseconds is None else asyncio.get_running_loop().time() + microseconds / 1e6
        found = [self._ends, connection.deadline(self._headers), own]
        return min((one for one in found if one is not None), default=None)

    async def _who(self) -> Identity:
        shown = Credentials.of(
            self._metadata,
            peer_is_loopback=is_loopback(_host(self._peer)),
            listens_on_loopback=self._door.listens_on_loopback,
        )
        return await self._door.authenticator.authenticate(shown)


def _as_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _host(peer: str) -> str:
    """Of `ipv4:127.0.0.1:1234` or `ipv6:[::1]:1234` (percent-encoded brackets in some releases)."""
    kind, _, rest = peer.replace("%5B", "[").replace("%5D", "]").partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in {"ipv4", "ipv6"} else ""


async def refuse(context: Any, error: HeadraceError) -> None:
    """Ends the call with the error's code; where it is known also when to come back (google.rpc.RetryInfo)."""
    code = grpc.StatusCode[error.grpc_code]
    status = status_pb2.Status(code=code.value[0], message=str(error))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(error.retry_after * 1000))
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        status.details.append(detail)
    await context.abort_with_status(rpc_status.to_status(status))

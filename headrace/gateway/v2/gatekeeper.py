"""Who calls is known before anything of the call is read: what strangers send takes no memory.

gRPC holds as much of a message as has come, up to its limit, for each of a thousand calls on one connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc

from headrace.errors import HeadraceError
from headrace.gateway import connection, told
from headrace.gateway.ask import Ask
from headrace.gateway.door import Door
from headrace.gateway.public_errors import defect
from headrace.gateway.v2.calls import headers_of, refuse, who
from headrace.tenants.identity import Identity

_FOR_ALL = frozenset({"ServerLive", "ServerReady", "ServerMetadata"})
"""Their requests are empty, and not read."""
_RECORDED = frozenset({"ModelInfer", "ModelStreamInfer"})


class Gatekeeper(grpc.aio.ServerInterceptor):
    def __init__(self, door: Door) -> None:
        self._door = door

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        handler = await continuation(details)
        method = details.method.rpartition("/")[2]
        if handler is None:
            return None
        if method in _FOR_ALL:
            return grpc.stream_unary_rpc_method_handler(
                partial(_unread, handler.unary_unary), response_serializer=handler.response_serializer
            )
        try:
            # The peer is not known here. Without a key only loopback's are served, when there are no others.
            await who(self._door, headers_of(details.invocation_metadata), peer_is_loopback=True)
        except HeadraceError as error:
            return self._refusing(method, error)
        except Exception as error:  # noqa: BLE001 - gRPC would send its text as it is
            return self._refusing(method, defect(method, error))
        return handler

    def _refusing(self, method: str, error: HeadraceError) -> Any:
        return grpc.stream_stream_rpc_method_handler(partial(self._refuse, method, error))

    async def _refuse(self, method: str, error: HeadraceError, requests: Any, context: Any) -> AsyncIterator[Any]:
        """Into the audit log too, as every inference."""
        call = connection.call_of(headers_of(context.invocation_metadata()), "triton-grpc", method)

        async def nobody() -> Identity:
            raise error

        async def nothing() -> Ask:
            raise error

        try:
            if method in _RECORDED:
                async with self._door.exchanges.open(call, nobody, nothing):
                    pass
        except HeadraceError as found:
            error = found
        await refuse(context, error, [told.call(call)])
        yield  # what gRPC takes for a stream


async def _unread(answer: Callable[[Any, Any], Awaitable[Any]], requests: Any, context: Any) -> Any:
    return await answer(None, context)

"""Triton's gRPC service, as much of it as is public. Its other methods are not there: UNIMPLEMENTED."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Any

from headrace.client import PUBLIC_MODELS, STREAM_MODEL, UNARY_MODEL
from headrace.client.protocol import service_pb2, service_pb2_grpc
from headrace.errors import EngineFailed, HeadraceError, InvalidRequest
from headrace.gateway.door import Door
from headrace.gateway.public_errors import defect
from headrace.gateway.v2.about import About
from headrace.gateway.v2.calls import GrpcCall, as_metadata, refuse
from headrace.gateway.v2.streaming import answer_all


class Service(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Who may call it, `gatekeeper.py` has checked."""

    def __init__(self, door: Door, about: About) -> None:
        self._door = door
        self._about = about

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's names
        return service_pb2.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=await self._door.ready())

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=request.name in PUBLIC_MODELS and await self._door.ready())

    async def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return self._about.server()

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _told(context, "ModelMetadata", self._about.metadata(request.name, request.version))

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _told(context, "ModelConfig", self._about.config(request.name, request.version))

    async def ModelStatistics(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await _told(context, "ModelStatistics", self._about.statistics(request.name, request.version))

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        call = GrpcCall(self._door, context, "ModelInfer")
        answer = await _told(context, "ModelInfer", _whole(call, request), call)
        context.set_trailing_metadata(as_metadata(call.told))
        return answer

    async def ModelStreamInfer(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        async with aclosing(answer_all(self._door, context, requests)) as found:
            async for response in found:
                yield response


async def _whole(call: GrpcCall, request: Any) -> Any:
    if request.model_name == STREAM_MODEL:
        raise InvalidRequest("model", f"{STREAM_MODEL} streams: use ModelStreamInfer, or {UNARY_MODEL}")
    # To their end: a request that is left at its answer counts as cancelled.
    responses = [one async for one in call.answers(request)]
    if not responses:
        raise EngineFailed("Triton ended the request without an answer; send it again")
    return responses[0].infer_response


async def _told(context: Any, method: str, answer: Awaitable[Any], call: GrpcCall | None = None) -> Any:
    """Or the call ends with the error's code."""
    try:
        return await answer
    except HeadraceError as error:
        found = error
    except Exception as error:  # noqa: BLE001 - gRPC would send its text as it is
        found = defect(method, error)
    return await refuse(context, found, call.told if call is not None else None)

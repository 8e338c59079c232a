"""A connection to one server.

Who leaves early, or waits no longer, stops the request in the engine. Triton does not carry a cancelled call
through an ensemble, so the stop travels as a request of its own to the engine's model, with the same request id.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Callable
from typing import Any, Self, TypeAlias

import grpc

from headrace.client import failures, tensors
from headrace.client.protocol import service_pb2, service_pb2_grpc
from headrace.client.question import Chunk, Question
from headrace.client.tensors import BOOL, Message, Outputs
from headrace.errors import EngineFailed, HeadraceError, Unavailable

_Call: TypeAlias = Any
"""`asyncio.Task`, or a call of `grpc.aio`."""
_Metadata = tuple[tuple[str, str], ...]
UNARY_MODEL = "assistant"
STREAM_MODEL = "assistant_stream"
PUBLIC_MODELS = (UNARY_MODEL, STREAM_MODEL)
ENGINE_MODEL = "tensorrt_llm"
# For how long a request is told to stop that nobody waits for, and the pause before it is told again; it doubles.
_STOP_SECONDS = 2.0
_STOP_PAUSE = 0.05
# A server that restarts is found again at once; by default a channel waits for up to two minutes.
_CHANNEL = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
)


class Client:
    """Talks to one server. Use as an async context manager.

    Every method raises a `HeadraceError` that says what the server said, never one of gRPC's.
    """

    def __init__(self, address: str, gateway: bool = False, api_key: str | None = None) -> None:
        """`gateway`: one is at this address, which stops what is no longer read, and may want `api_key`."""
        self._address = address
        self._is_gateway = gateway
        self._metadata: _Metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._channel = grpc.aio.insecure_channel(address, options=_CHANNEL)
        self._triton = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._stream = one_request_stream(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def ready(self, seconds: float) -> bool:
        """What the server says of itself: every model is loaded."""
        try:
            found = await self._triton.ServerReady(service_pb2.ServerReadyRequest(), timeout=seconds)
        except grpc.aio.AioRpcError:
            return False
        return bool(found.ready)

    async def answer(
        self,
        question: Question,
        seconds: float,
        request_id: str | None = None,
        traceparent: str = "",
        tracestate: str = "",
    ) -> Chunk:
        """The whole answer at once. Raises `Unavailable` when it takes longer than `seconds`.

        A request that took too long, or whose caller was cancelled, is stopped in the engine.
        """
        request_id = request_id or _new_id()
        message = question.message(UNARY_MODEL, request_id)
        call = self._triton.ModelInfer(message, metadata=self._with(traceparent, tracestate))
        try:
            if await _ended(call, seconds):
                return Chunk.read(await self._outputs(call))
        finally:
            await self._stop_until_ended(request_id, call)
        raise Unavailable(f"{self._address} did not answer in time")

    async def stream(
        self,
        question: Question,
        request_id: str | None = None,
        traceparent: str = "",
        tracestate: str = "",
    ) -> AsyncGenerator[Chunk]:
        """The answer's chunks as they come. A caller that stops reading stops the request in the engine.

        `traceparent`, `tracestate`: W3C's trace context.

        Read it within `contextlib.aclosing`, so that leaving it takes effect at once.
        """
        # The queue needs no limit: it holds one answer at most.
        chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
        receiving = asyncio.create_task(
            self.receive(question, chunks.put_nowait, request_id, traceparent, tracestate)
        )
        receiving.add_done_callback(lambda _: chunks.put_nowait(None))
        try:
            while (chunk := await chunks.get()) is not None:
                yield chunk
            receiving.result()
        finally:
            await _end(receiving)

    async def receive(
        self,
        question: Question,
        came: Callable[[Chunk], None],
        request_id: str | None = None,
        traceparent: str = "",
        tracestate: str = "",
    ) -> None:
        """Like `stream`, but `came` is given each chunk. Once it is cancelled, it stops the request."""
        request_id = request_id or _new_id()
        message = question.message(STREAM_MODEL, request_id)
        finished = left = False

        def take(chunk: Chunk) -> None:
            nonlocal finished
            if not left:  # else it is the end of what was stopped
                finished = chunk.finish_reason is not None
                came(chunk)

        # In a task of its own: it has to see the end of a stream that its caller has left.
        reading = asyncio.create_task(self._read(message, take, self._with(traceparent, tracestate)))
        try:
            await asyncio.wait({reading})
            reading.result()
        except HeadraceError:
            raise
        except Exception:  # ours, in `came`: the engine does not know of it
            with contextlib.suppress(HeadraceError):
                await self.stop(request_id)
            raise
        finally:
            left = True
            if finished:
                await _end(reading)
            else:
                await self._stop_until_ended(request_id, reading)
        if not finished:
            raise EngineFailed(f"{self._address} ended the stream before the answer was complete")

    async def stop(self, request_id: str, seconds: float = _STOP_SECONDS) -> None:
        """Stop every running request with this id. Unknown ids are ignored."""
        await self._outputs(
            self._triton.ModelInfer(stop_message(request_id), timeout=seconds, metadata=self._metadata)
        )

    async def ask(self, method: str, request: Any, seconds: float) -> Any:
        """Another method of Triton's service, such as `ModelMetadata`."""
        try:
            return await getattr(self._triton, method)(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise failures.of_call(error, self._address) from None

    async def _stop_until_ended(self, request_id: str, call: _Call) -> None:
        """Stop a request whose call has not ended, and wait until it has, for two seconds at most.

        A stop can overtake its request, which then knows nothing of it: so it is repeated.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + (0.0 if self._is_gateway else _STOP_SECONDS)
        pause = _STOP_PAUSE
        try:
            while not call.done() and (left := deadline - clock()) > 0:
                with contextlib.suppress(HeadraceError):
                    await self.stop(request_id, left)
                await _ended(call, min(pause, max(0.0, deadline - clock())))
                pause *= 2
        finally:
            call.cancel()  # a task that has ended forgets an error that nobody has asked for
            await _ended(call, _STOP_SECONDS)

    def _with(self, traceparent: str, tracestate: str) -> _Metadata:
        trace = (("traceparent", traceparent), ("tracestate", tracestate))
        return (*self._metadata, *(pair for pair in trace if pair[1]))

    async def _outputs(self, call: Any) -> Outputs:
        try:
            return tensors.outputs(await call)
        except grpc.aio.AioRpcError as error:
            raise failures.of_call(error, self._address) from None

    async def _read(self, message: Message, came: Callable[[Chunk], None], metadata: _Metadata) -> None:
        """The chunks of one request, on a stream of its own that the server ends after the last one."""
        # Never with the header `triton_grpc_error`, which would give errors their codes: a request that fails with
        # it can crash Triton 2.51.
        call = self._stream(message, metadata=metadata)
        try:
            async for response in call:
                if response.error_message:
                    raise failures.of_stream(response.error_message)
                came(Chunk.read(tensors.outputs(response.infer_response)))
        except grpc.aio.AioRpcError as error:
            raise failures.of_call(error, self._address) from None
        finally:
            call.cancel()


def one_request_stream(channel: grpc.aio.Channel) -> Any:
    """`ModelStreamInfer` for one request, which ends the client's side of the stream with it: the same on the wire
    as a stream of requests that has one, in a third of the steps."""
    return channel.unary_stream(
        "/inference.GRPCInferenceService/ModelStreamInfer",
        request_serializer=service_pb2.ModelInferRequest.SerializeToString,
        response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
    )


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel it and take note of how it ended, which nobody else asks any more."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _ended(call: _Call, seconds: float) -> bool:
    """Whether it ends within this time. Who waits may be cancelled: that does not end the call."""
    if not call.done():
        ended = asyncio.get_running_loop().create_future()

        def note(_: object) -> None:
            if not ended.done():
                ended.set_result(None)

        call.add_done_callback(note)
        # Not asyncio.timeout: that of Python 3.11.2 fails in a task that was cancelled.
        await asyncio.wait((ended,), timeout=seconds)
    return bool(call.done())


def stop_message(request_id: str) -> Message:
    """Stops what runs in the engine under this id."""
    message = service_pb2.ModelInferRequest(model_name=ENGINE_MODEL, id=request_id)
    tensors.add(message, "stop", BOOL, (True,))
    return message


def _new_id() -> str:
    return f"client-{uuid.uuid4()}"

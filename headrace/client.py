"""A client of the two public models over gRPC: one answer, or a stream of its chunks.

Who leaves early, or waits no longer, stops the request in the engine. Triton does not carry a cancelled call
through an ensemble, so the stop travels as a request of its own to the engine's model, with the same request id.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import grpc
import numpy as np
from tritonclient.grpc import InferInput, InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from headrace.errors import (
    EngineFailed,
    HeadraceError,
    InvalidRequest,
    RequestCancelled,
    Unavailable,
)

UNARY_MODEL = "assistant"
STREAM_MODEL = "assistant_stream"
ENGINE_MODEL = "tensorrt_llm"
# For how long a request is told to stop that nobody waits for, and the pause before it is told again; it doubles.
_STOP_SECONDS = 2.0
_STOP_PAUSE = 0.05
# What bytes that are no UTF-8 become on the command line.
_SURROGATE = re.compile("[\ud800-\udfff]")
# gRPC's own words, whatever code it gives them.
_CONNECTION_LOST = re.compile(
    r"socket closed|stream removed|connection reset|broken pipe|goaway|rst_stream|endpoint closing", re.IGNORECASE
)
# A server that restarts is found again at once; by default a channel waits for up to two minutes.
_CHANNEL = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One request. What is None is left out, so that the server's default applies."""

    text_input: str
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stop_words: tuple[str, ...] = ()
    cache_scope: str | None = None
    """Who may share a cached answer."""
    guard_policy: str | None = None

    def tensors(self) -> list[InferInput]:
        """Input tensors, [1, 1] each; `stop_words` is [1, n]. Raises `InvalidRequest` for what none can hold."""
        named: tuple[tuple[str, object, type[np.generic]], ...] = (
            ("text_input", self.text_input, np.object_),
            ("max_tokens", self.max_tokens, np.int32),
            ("temperature", self.temperature, np.float32),
            ("random_seed", self.seed, np.uint64),
            ("cache_scope", self.cache_scope, np.object_),
            ("guard_policy", self.guard_policy, np.object_),
        )
        tensors = [_tensor(name, [value], dtype) for name, value, dtype in named if value is not None]
        if self.stop_words:
            tensors.append(_tensor("stop_words", self.stop_words, np.object_))
        return tensors


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A piece of an answer, or all of it. The last one has a finish reason and the counts."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Client:
    """Talks to one server. Use as an async context manager.

    Every method raises a `HeadraceError` that says what the server said, never one of gRPC's.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._triton = InferenceServerClient(address, channel_args=_CHANNEL)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._triton.close()

    async def ready(self, seconds: float) -> bool:
        """What the server says of itself: every model is loaded."""
        try:
            return bool(await self._triton.is_server_ready(client_timeout=seconds))
        except InferenceServerException:
            return False

    async def answer(self, question: Question, seconds: float) -> Chunk:
        """The whole answer at once. Raises `Unavailable` when it takes longer than `seconds`.

        A request that took too long, or whose caller was cancelled, is stopped in the engine.
        """
        request_id = _new_id()
        call = asyncio.create_task(self._infer(UNARY_MODEL, question.tensors(), request_id))
        try:
            await asyncio.wait({call}, timeout=seconds)
            if call.done():
                return _chunk(call.result())
        finally:
            await self._stop_until_ended(request_id, call)
        raise Unavailable(f"{self._address} did not answer in time")

    async def stream(self, question: Question, request_id: str | None = None) -> AsyncGenerator[Chunk]:
        """The answer's chunks as they come. A caller that stops reading stops the request in the engine.

        Read it within `contextlib.aclosing`, so that leaving it takes effect at once.
        """
        request_id = request_id or _new_id()
        request = {"model_name": STREAM_MODEL, "inputs": question.tensors(), "request_id": request_id}
        chunks: asyncio.Queue[Chunk | None] = asyncio.Queue()
        # In a task of its own: it has to see the end of a stream that its caller has left.
        reading = asyncio.create_task(self._read(request, chunks))
        reading.add_done_callback(lambda _: chunks.put_nowait(None))
        finished = False
        try:
            while (chunk := await chunks.get()) is not None:
                finished = chunk.finish_reason is not None
                yield chunk
            reading.result()
            if not finished:
                raise EngineFailed(f"{self._address} ended the stream before the answer was complete")
        finally:
            if finished:
                await _end(reading)
            else:
                await self._stop_until_ended(request_id, reading)

    async def stop(self, request_id: str, seconds: float = _STOP_SECONDS) -> None:
        """Stop every running request with this id. Unknown ids are ignored."""
        await self._infer(ENGINE_MODEL, [_tensor("stop", [True], np.bool_)], request_id, seconds)

    async def _stop_until_ended(self, request_id: str, call: asyncio.Task[Any]) -> None:
        """Stop a request whose call has not ended, and wait until it has, for two seconds at most.

        A stop can overtake its request, which then knows nothing of it: so it is repeated.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + _STOP_SECONDS
        pause = _STOP_PAUSE
        try:
            while not call.done() and (left := deadline - clock()) > 0:
                with contextlib.suppress(HeadraceError):
                    await self.stop(request_id, left)
                await asyncio.wait({call}, timeout=min(pause, max(0.0, deadline - clock())))
                pause *= 2
        finally:
            await _end(call)

    async def _infer(
        self, model: str, tensors: list[InferInput], request_id: str, seconds: float | None = None
    ) -> InferResult:
        try:
            return await self._triton.infer(model, tensors, request_id=request_id, client_timeout=seconds)
        except InferenceServerException as error:
            raise self._readable(error) from None

    async def _read(self, request: dict[str, Any], chunks: asyncio.Queue[Chunk | None]) -> None:
        """Queue the chunks of one request, on a stream of its own that the server ends after the last one.

        The queue needs no limit: it holds one answer at most.
        """

        async def requests() -> AsyncIterator[dict[str, Any]]:
            yield request

        # Never with the header `triton_grpc_error`, which would give errors their codes: a request that fails with
        # it can crash Triton 2.51.
        call = self._triton.stream_infer(requests())
        try:
            async for result, error in call:
                if error is not None:
                    raise self._readable(error)
                chunks.put_nowait(_chunk(result))
        except grpc.aio.AioRpcError as error:
            raise self._readable(error) from None
        finally:
            call.cancel()

    def _readable(self, error: InferenceServerException | grpc.aio.AioRpcError) -> HeadraceError:
        if isinstance(error, grpc.aio.AioRpcError):
            code, message = error.code().name, error.details() or ""
        else:
            code, message = (error.status() or "").removeprefix("StatusCode."), error.message() or ""
        message = _without_ensemble(message)
        match code:
            case "UNAVAILABLE" if "failed to connect" in message:
                return Unavailable(f"no server answers at {self._address}; start one with `headrace up`")
            case "UNAVAILABLE" | "INTERNAL" | "UNKNOWN" if _CONNECTION_LOST.search(message):
                return Unavailable(f"the server at {self._address} ended during this request; send it again")
            case "UNAVAILABLE":
                return Unavailable(message)
            case "DEADLINE_EXCEEDED":
                return Unavailable(f"{self._address} did not answer in time")
            case "INVALID_ARGUMENT":
                field, _, problem = message.partition(": ")
                return InvalidRequest(field, problem)
            case "CANCELLED":
                return RequestCancelled(message)
            case "":
                # An error on a stream comes without its code; the message says enough.
                return HeadraceError(message)
        return EngineFailed(message)


async def _end(call: asyncio.Task[Any]) -> None:
    """Cancel a call and take note of how it ended, which nobody else asks any more."""
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


def _new_id() -> str:
    return f"client-{uuid.uuid4()}"


def _without_ensemble(message: str) -> str:
    """Triton puts the ensembles' names before a step's own words."""
    while message.startswith("in ensemble '") and "', " in message:
        message = message.partition("', ")[2]
    return message


def _tensor(name: str, values: Sequence[object], dtype: type[np.generic]) -> InferInput:
    for value in values:
        _check(name, value, dtype)
    array = np.array([values], dtype=dtype)
    tensor = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(array)
    return tensor


def _check(name: str, value: object, dtype: type[np.generic]) -> None:
    """numpy would wrap an integer around, warn of a float, and break at a text."""
    problem = None
    if isinstance(value, str):
        problem = "not valid UTF-8" if _SURROGATE.search(value) else None
    elif isinstance(value, int) and issubclass(dtype, np.integer):
        limits = np.iinfo(dtype)
        if not limits.min <= value <= limits.max:
            problem = f"must be between {limits.min} and {limits.max}, got {value}"
    elif isinstance(value, int | float) and dtype is np.float32 and not abs(value) <= np.finfo(dtype).max:
        problem = f"must be a finite number of 32 bits, got {value}"
    if problem:
        raise InvalidRequest(name, problem)


def _chunk(result: InferResult) -> Chunk:
    reason = _text(result, "finish_reason")
    return Chunk(
        text=_text(result, "text_output") or "",
        finish_reason=reason or None,
        prompt_tokens=_count(result, "prompt_tokens"),
        completion_tokens=_count(result, "completion_tokens"),
    )


def _text(result: InferResult, name: str) -> str | None:
    array = result.as_numpy(name)
    if array is None or not array.size:
        return None
    return bytes(array.flat[0]).decode("utf-8")


def _count(result: InferResult, name: str) -> int | None:
    array = result.as_numpy(name)
    return int(array.flat[0]) if array is not None and array.size else None

"""The load generator: an asynchronous gRPC client as light as can be, because it shares the machine's cores.

It speaks Triton's protocol with ready-made messages, and of the responses it reads three tensors.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import grpc

from headrace.client import STREAM_MODEL, Question, tensors
from headrace.client.connection import one_request_stream
from headrace.client.protocol import service_pb2, service_pb2_grpc
from headrace.client.tensors import INT32, Message, Outputs
from headrace.errors import HeadraceError
from perf.prompts import Prompt

ENGINE_STREAM_MODEL = "tensorrt_llm_stream"
AnyMessage_contra = TypeVar("AnyMessage_contra", contravariant=True)
AnyMessage = TypeVar("AnyMessage")


class LoadFailed(HeadraceError):
    """A request under load failed, or the load did not end in time: its figures would mean nothing."""


@dataclass(frozen=True)
class Sample:
    """One answered request. Times are seconds on `time.perf_counter`."""

    sent: float
    first: float
    """When the first text came."""
    ended: float
    tokens: int
    responses: int
    finish_reason: str


@dataclass(frozen=True)
class Load:
    """A finished load, in the order in which its requests were sent."""

    samples: tuple[Sample, ...]

    @property
    def seconds(self) -> float:
        return max(s.ended for s in self.samples) - min(s.sent for s in self.samples)

    @property
    def tokens_per_second(self) -> float:
        return sum(s.tokens for s in self.samples) / self.seconds

    @property
    def first_token_seconds(self) -> list[float]:
        return [s.first - s.sent for s in self.samples]

    @property
    def answer_seconds(self) -> list[float]:
        return [s.ended - s.sent for s in self.samples]


def question(
    model: str, prompt: Prompt, tokens: int, request_id: str = "", guard_policy: str | None = None
) -> Message:
    """A greedy request for exactly `tokens` tokens."""
    asked = Question(text_input=prompt.text, max_tokens=tokens, min_tokens=tokens, guard_policy=guard_policy)
    return asked.message(model, request_id)


def engine_question(prompt: Prompt, tokens: int) -> Message:
    """The same, past the ensemble."""
    message = service_pb2.ModelInferRequest(model_name=ENGINE_STREAM_MODEL, id=str(uuid.uuid4()))
    tensors.add(message, "input_ids", INT32, prompt.token_ids)
    tensors.add(message, "max_tokens", INT32, (tokens,))
    tensors.add(message, "min_tokens", INT32, (tokens,))
    return message


class LoadClient:
    """One connection to one server. Use as an async context manager."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self._triton = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._stream = one_request_stream(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def outputs(self, message: Message) -> Outputs:
        """Raw output tensors by name."""
        try:
            return tensors.outputs(await self._triton.ModelInfer(message))
        except grpc.aio.AioRpcError as error:
            raise LoadFailed(f"{message.model_name}: {error.code().name}: {error.details()}") from None

    async def send(self, message: Message) -> Sample:
        return await (self.stream(message) if message.model_name == STREAM_MODEL else self.infer(message))

    async def infer(self, message: Message) -> Sample:
        sent = time.perf_counter()
        outputs = await self.outputs(message)
        now = time.perf_counter()
        return Sample(
            sent,
            now,
            now,
            tensors.integer(outputs, "completion_tokens") or 0,
            1,
            tensors.text(outputs, "finish_reason"),
        )

    async def stream(self, message: Message) -> Sample:
        sent = time.perf_counter()
        first = 0.0
        responses = 0
        outputs: Outputs = {}
        async for outputs in self.responses(message):
            responses += 1
            if not first and len(outputs["text_output"]) > 4:
                first = time.perf_counter()
        ended = time.perf_counter()
        if not first:
            raise LoadFailed(f"{message.model_name}: an answer without text")
        tokens = tensors.integer(outputs, "completion_tokens") or 0
        return Sample(sent, first, ended, tokens, responses, tensors.text(outputs, "finish_reason"))

    async def responses(self, message: Message) -> AsyncGenerator[Outputs, None]:
        """Raw output tensors by name of one request, on a stream of its own. Leaving it cancels the call."""
        call = self.call(message)
        try:
            async for response in call:
                if response.error_message:
                    raise LoadFailed(f"{message.model_name}: {response.error_message}")
                outputs = tensors.outputs(response.infer_response)
                if outputs:
                    yield outputs
        except grpc.aio.AioRpcError as error:
            raise LoadFailed(f"{message.model_name}: {error.code().name}: {error.details()}") from None
        finally:
            call.cancel()

    def call(self, message: Message) -> Any:
        """The call itself (`grpc.aio.UnaryStreamCall`), for who wants to cancel it."""
        return self._stream(message)


class Sender(Protocol[AnyMessage_contra]):
    async def send(self, message: AnyMessage_contra) -> Sample:
        """Until all of its answer has come. Raises `LoadFailed`."""


async def closed_loop(
    client: Sender[AnyMessage], messages: Sequence[AnyMessage], concurrency: int, limit_seconds: float
) -> Load:
    """Send all messages, `concurrency` at a time: the next one as soon as one is answered."""
    samples: list[Sample] = []
    waiting = iter(messages)

    async def one_after_another() -> None:
        for message in waiting:
            samples.append(await client.send(message))  # noqa: PERF401 others add to it meanwhile

    try:
        async with asyncio.timeout(limit_seconds), asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(one_after_another())
    except TimeoutError:
        raise LoadFailed(f"{len(messages)} requests were not answered in {limit_seconds:g} s") from None
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return Load(tuple(sorted(samples, key=lambda sample: sample.sent)))

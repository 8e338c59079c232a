"""The two public models over gRPC, with all that an answer says of its guards."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass
from typing import Any, Self

import grpc
import msgspec
from tritonclient.grpc import service_pb2, service_pb2_grpc

from headrace.client import STREAM_MODEL, UNARY_MODEL
from headrace.errors import HeadraceError
from headrace.text.messages import Message
from perf.load import add_int32, add_text

_SECONDS = 60.0
"""For one answer, on a machine that others use too."""


class NoAnswer(HeadraceError):
    """A request that failed, or an answer without a verdict: it says nothing of the guards."""


@dataclass(frozen=True)
class Request:
    messages: tuple[Message, ...]
    """A user's only one goes as `text_input`."""
    max_tokens: int
    policy: str | None
    """None: the server's default."""

    def tensors(self, model: str) -> Any:
        """As Triton's protocol has it (`service_pb2.ModelInferRequest`)."""
        made = service_pb2.ModelInferRequest(model_name=model, id=f"redteam-{uuid.uuid4()}")
        if [message.role for message in self.messages] == ["user"]:
            add_text(made, "text_input", self.messages[0].text)
        else:
            add_text(made, "messages", msgspec.json.encode(self.messages).decode())
        add_int32(made, "max_tokens", self.max_tokens)
        if self.policy is not None:
            add_text(made, "guard_policy", self.policy)
        return made


@dataclass(frozen=True)
class Answer:
    """All of an answer, in the pieces in which it came."""

    pieces: tuple[str, ...]
    finish_reason: str
    completion_tokens: int
    guard: dict[str, Any]
    """The verdict (docs/guardrails.md)."""

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Door:
    """One connection to one server. Use as an async context manager. Raises `NoAnswer`."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self._triton = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def whole(self, request: Request) -> Answer:
        try:
            response = await self._triton.ModelInfer(request.tensors(UNARY_MODEL), timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise _no_answer(error) from None
        return _answer([_outputs(response)])

    async def stream(self, request: Request) -> Answer:
        async def requests() -> Any:
            yield request.tensors(STREAM_MODEL)

        found: list[dict[str, bytes]] = []
        call = self._triton.ModelStreamInfer(requests(), timeout=_SECONDS)
        try:
            async for response in call:
                if response.error_message:
                    raise NoAnswer(response.error_message)
                found.append(_outputs(response.infer_response))
        except grpc.aio.AioRpcError as error:
            raise _no_answer(error) from None
        finally:
            call.cancel()
        return _answer([outputs for outputs in found if outputs])

    async def streams(self, requests: tuple[Request, ...]) -> list[Answer]:
        """As a gateway asks for n > 1: all at once."""
        found = await asyncio.gather(*map(self.stream, requests), return_exceptions=True)
        if failed := next((one for one in found if isinstance(one, BaseException)), None):
            raise failed
        return [one for one in found if isinstance(one, Answer)]


def _no_answer(error: grpc.aio.AioRpcError) -> NoAnswer:
    return NoAnswer(f"{error.code().name}: {error.details()}")


def _outputs(response: Any) -> dict[str, bytes]:
    return {o.name: raw for o, raw in zip(response.outputs, response.raw_output_contents, strict=True)}


def _answer(found: list[dict[str, bytes]]) -> Answer:
    if not found:
        raise NoAnswer("the stream ended without a word")
    last = found[-1]
    guard = _text(last, "guard")
    if not guard:
        raise NoAnswer("the answer ended without a verdict")
    return Answer(
        tuple(_text(outputs, "text_output") for outputs in found),
        _text(last, "finish_reason"),
        int.from_bytes(last["completion_tokens"][:4], "little", signed=True),
        json.loads(guard),
    )


def _text(outputs: dict[str, bytes], name: str) -> str:
    return outputs[name][4:].decode("utf-8") if name in outputs else ""

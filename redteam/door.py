"""The two public models over gRPC, with all that an answer says of its guards."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Self

import msgspec
from tritonclient.grpc import service_pb2

from headrace.client import STREAM_MODEL, UNARY_MODEL
from headrace.errors import HeadraceError
from headrace.text.messages import Message
from perf.load import LoadClient, LoadFailed, add_int32, add_text

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
        self._client = LoadClient(address)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def whole(self, request: Request) -> Answer:
        with _as_no_answer():
            async with asyncio.timeout(_SECONDS):
                return _answer([await self._client.outputs(request.tensors(UNARY_MODEL))])

    async def stream(self, request: Request) -> Answer:
        with _as_no_answer():
            async with (
                asyncio.timeout(_SECONDS),
                aclosing(self._client.responses(request.tensors(STREAM_MODEL))) as found,
            ):
                return _answer([outputs async for outputs in found])

    async def streams(self, requests: tuple[Request, ...]) -> list[Answer]:
        """As a gateway asks for n > 1: all at once."""
        found = await asyncio.gather(*map(self.stream, requests), return_exceptions=True)
        if failed := next((one for one in found if isinstance(one, BaseException)), None):
            raise failed
        return [one for one in found if isinstance(one, Answer)]


@contextmanager
def _as_no_answer() -> Iterator[None]:
    try:
        yield
    except LoadFailed as failed:
        raise NoAnswer(str(failed)) from None
    except TimeoutError:
        raise NoAnswer(f"none within {_SECONDS:g} s") from None


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

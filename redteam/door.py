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

from headrace.client import STREAM_MODEL, UNARY_MODEL, Chunk, Question
from headrace.client.tensors import Message as TritonMessage
from headrace.client.tensors import Outputs
from headrace.errors import HeadraceError
from headrace.text.messages import Message
from perf.load import LoadClient, LoadFailed

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

    def message(self, model: str) -> TritonMessage:
        alone = [message.role for message in self.messages] == ["user"]
        asked = Question(
            text_input=self.messages[0].text if alone else None,
            messages=None if alone else msgspec.json.encode(self.messages).decode(),
            max_tokens=self.max_tokens,
            guard_policy=self.policy,
        )
        return asked.message(model, f"redteam-{uuid.uuid4()}")


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
                return _answer([await self._client.outputs(request.message(UNARY_MODEL))])

    async def stream(self, request: Request) -> Answer:
        with _as_no_answer():
            async with (
                asyncio.timeout(_SECONDS),
                aclosing(self._client.responses(request.message(STREAM_MODEL))) as found,
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


def _answer(found: list[Outputs]) -> Answer:
    if not found:
        raise NoAnswer("the stream ended without a word")
    chunks = [Chunk.read(outputs) for outputs in found]
    last = chunks[-1]
    if not last.guard:
        raise NoAnswer("the answer ended without a verdict")
    return Answer(
        tuple(chunk.text for chunk in chunks),
        last.finish_reason or "",
        last.completion_tokens or 0,
        json.loads(last.guard),
    )

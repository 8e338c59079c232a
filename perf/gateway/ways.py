"""The ways to one stack: Triton itself, and the gateway's doors before it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from headrace.client import STREAM_MODEL, UNARY_MODEL
from perf.gateway.chat import ChatClient, chat_request
from perf.load import Load, LoadClient, closed_loop, question
from perf.prompts import Prompt
from perf.sides import limit_seconds
from perf.stack import Stack

TRITON, GRPC, OPENAI = "Triton", "gateway, gRPC", "gateway, OpenAI"
DOORS = (GRPC, OPENAI)


_Run = Callable[[Sequence[Prompt], int, Sequence[int], bool], Awaitable[Load]]


class Doors(Protocol):
    """Where a gateway listens: HOST:PORT."""

    @property
    def gateway(self) -> str: ...
    @property
    def gateway_grpc(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Way:
    name: str
    run: _Run
    """Prompts, concurrency, tokens of each answer, and whether answers are streamed."""


async def ways_to(stack: Stack, parts: AsyncExitStack) -> list[Way]:
    """Connected until `parts` is closed."""
    triton = await parts.enter_async_context(LoadClient(stack.grpc))
    return [Way(TRITON, _by_grpc(triton)), *await doors_of(stack, parts)]


async def doors_of(gateway: Doors, parts: AsyncExitStack) -> list[Way]:
    """The gateway's alone."""
    grpc = await parts.enter_async_context(LoadClient(gateway.gateway_grpc))
    chat = await parts.enter_async_context(ChatClient(gateway.gateway))
    return [Way(GRPC, _by_grpc(grpc)), Way(OPENAI, _by_chat(chat))]


def shuffled(ways: Sequence[Way]) -> list[Way]:
    return random.sample(ways, len(ways))


def _by_grpc(client: LoadClient) -> _Run:
    async def run(prompts: Sequence[Prompt], concurrency: int, tokens: Sequence[int], stream: bool) -> Load:
        model = STREAM_MODEL if stream else UNARY_MODEL
        messages = [question(model, prompt, most) for prompt, most in zip(prompts, tokens, strict=True)]
        return await closed_loop(client, messages, concurrency, limit_seconds(len(prompts), max(tokens)))

    return run


def _by_chat(client: ChatClient) -> _Run:
    async def run(prompts: Sequence[Prompt], concurrency: int, tokens: Sequence[int], stream: bool) -> Load:
        requests = [chat_request(prompt, most, stream) for prompt, most in zip(prompts, tokens, strict=True)]
        return await closed_loop(client, requests, concurrency, limit_seconds(len(prompts), max(tokens)))

    return run

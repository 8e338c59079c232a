"""The client on the real Triton: whoever stops waiting gives the engine's place back, at whatever moment."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from headrace.client import Client, Question
from headrace.errors import Unavailable
from tests.stack import Stack

FIRST_TOKEN_SECONDS = 3.0
"""Of the engine: until then a request has no token."""
SOON = 5.0
"""Longer than the supervisor's own probe, which may be at work; far shorter than `_question`'s 13 s."""


@pytest.fixture(scope="module")
def slow_stack() -> Iterator[Stack]:
    stack = Stack(
        HEADRACE_ENGINE__NAME="mock",
        HEADRACE_ENGINE__MOCK__FIRST_TOKEN_MS=str(int(1000 * FIRST_TOKEN_SECONDS)),
        HEADRACE_ENGINE__MOCK__STEP_MS="5",
    )
    stack.up()
    yield stack
    stack.down()


def _question() -> Question:
    return Question(text_input="Hi", max_tokens=2000, cache_scope=f"test-{uuid.uuid4()}")


async def _stream(client: Client) -> None:
    async for _ in client.stream(_question()):
        pass


async def _answer(client: Client) -> None:
    await client.answer(_question(), 60)


Ask = Callable[[Client], Coroutine[Any, Any, None]]


@pytest.mark.parametrize("ask", [_stream, _answer])
async def test_a_stop_before_the_first_token_frees_the_engine(slow_stack: Stack, ask: Ask) -> None:
    before = slow_stack.stats().cancelled
    async with Client(slow_stack.address) as client:
        asking = asyncio.create_task(ask(client))
        await asyncio.to_thread(slow_stack.until, lambda stats: stats.live > 0, 10, "the engine has it")
        asking.cancel()
        await asyncio.wait({asking})
    assert asking.cancelled()
    assert slow_stack.stats().cancelled > before


@pytest.mark.parametrize("milliseconds", [0, 1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("ask", [_stream, _answer])
async def test_a_stop_may_overtake_its_request(slow_stack: Stack, ask: Ask, milliseconds: int) -> None:
    async with Client(slow_stack.address) as client:
        assert await client.ready(10)  # connected
        asking = [asyncio.create_task(ask(client)) for _ in range(8)]
        # Not to wait for anything: this is the moment at which the user goes away.
        await asyncio.sleep(milliseconds / 1000)
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
    await asyncio.to_thread(slow_stack.until, lambda stats: stats.live == 0, SOON, "the engine is free")


async def test_an_answer_that_takes_too_long_frees_the_engine(slow_stack: Stack) -> None:
    before = slow_stack.stats().cancelled
    async with Client(slow_stack.address) as client:
        with pytest.raises(Unavailable, match="did not answer in time"):
            await client.answer(_question(), 0.5)
    assert slow_stack.stats().cancelled > before

"""A real stack is told to stop while it works."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from headrace.client import Chunk, Client, Question
from headrace.errors import Unavailable
from tests.serving.conftest import MakeStack
from tests.serving.drill_stack import DrillStack, long_question

TOKENS = 150


async def begin(client: Client, count: int, tokens: int) -> list[AsyncIterator[Chunk]]:
    """Streams that have given their first chunk."""
    streams: list[AsyncIterator[Chunk]] = [client.stream(long_question(number, tokens)) for number in range(count)]
    for stream in streams:
        await anext(stream)
    return streams


async def rest(stream: AsyncIterator[Chunk]) -> Chunk:
    return [chunk async for chunk in stream][-1]


async def gone(stack: DrillStack) -> None:
    async with asyncio.timeout(30):
        while stack.folder.locked():  # noqa: ASYNC110 another process has no event
            await asyncio.sleep(0.02)


async def test_running_streams_finish_and_new_ones_are_refused(make_stack: MakeStack) -> None:
    stack = make_stack(HEADRACE_ENGINE__MOCK__STEP_MS="30")
    supervisor = stack.folder.pid()
    assert supervisor is not None
    async with Client(stack.address) as client:
        streams = await begin(client, 4, TOKENS)
        os.kill(supervisor, signal.SIGTERM)
        await stack.until_state("draining")
        await stack.until_ready(400, 5)
        with pytest.raises(Unavailable, match="the server is shutting down"):
            await client.answer(Question(text_input="too late", cache_scope="drain"), 10)
        assert stack.headrace("status").returncode == 1
        ends = await asyncio.gather(*map(rest, streams))
    assert [(end.finish_reason, end.completion_tokens) for end in ends] == [("length", TOKENS)] * 4
    await gone(stack)
    assert stack.is_clean()
    assert stack.headrace("status").returncode == 3


async def test_a_second_signal_does_not_wait(make_stack: MakeStack) -> None:
    stack = make_stack(HEADRACE_ENGINE__MOCK__STEP_MS="100")
    supervisor = stack.folder.pid()
    assert supervisor is not None
    async with Client(stack.address) as client:
        (stream,) = await begin(client, 1, 1000)  # 100 s
        os.kill(supervisor, signal.SIGINT)
        await stack.until_state("draining")
        os.kill(supervisor, signal.SIGINT)
        with pytest.raises(Unavailable):
            await rest(stream)
    await gone(stack)
    assert stack.is_clean()


async def test_a_drain_has_an_end(make_stack: MakeStack) -> None:
    stack = make_stack(HEADRACE_ENGINE__MOCK__STEP_MS="100", HEADRACE_SERVER__DRAIN_SECONDS="0.5")
    async with Client(stack.address) as client:
        (stream,) = await begin(client, 1, 1000)  # 100 s
        down = await asyncio.to_thread(stack.headrace, "down")
        with pytest.raises(Unavailable):
            await rest(stream)
    assert (down.returncode, down.stdout) == (0, "stopped\n")
    assert stack.is_clean()

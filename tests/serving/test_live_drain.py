"""A real stack is told to stop while it works."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
from collections.abc import AsyncIterator

import pytest

from headrace.client import Chunk, Client, Question
from headrace.config import Config
from headrace.errors import Unavailable
from headrace.serving import stack as serving_stack
from tests.serving.conftest import MakeStack
from tests.serving.drill_stack import DrillStack, long_question

TOKENS = 100


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
    stack = make_stack(HEADRACE_ENGINE__MOCK__STEP_MS="30", HEADRACE_SERVER__UNREADY_SECONDS="0")
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


async def test_before_the_drain_it_is_not_ready_and_still_answers(make_stack: MakeStack) -> None:
    stack = make_stack(HEADRACE_SERVER__UNREADY_SECONDS="6", HEADRACE_ENGINE__MOCK__STEP_MS="5")
    supervisor = stack.folder.pid()
    assert supervisor is not None
    answered: list[int | None] = []
    seen: list[int | None] = []
    async with Client(stack.address) as client:
        os.kill(supervisor, signal.SIGTERM)
        await stack.until_ready(400, 5)
        with pytest.raises(Unavailable, match="the server is shutting down"):  # noqa: PT012 until it is refused
            async with asyncio.timeout(30):
                while True:
                    answered.append((await client.answer(long_question(0, 4), 10)).completion_tokens)
                    seen.append(await asyncio.to_thread(stack.get, "/v2/health/ready"))
    # Some five seconds of the six are left when readiness has fallen; Triton polls in each of them.
    assert len(answered) > 20
    assert set(answered) == {4}
    assert set(seen) == {400}
    await gone(stack)
    assert stack.is_clean()


async def test_a_long_drain_is_not_taken_for_a_fault(make_stack: MakeStack) -> None:
    """Longer than a server may stay not ready without a reason, and than all probes together."""
    stack = make_stack(
        HEADRACE_ENGINE__MOCK__STEP_MS="100",
        HEADRACE_SERVER__PROBE_SECONDS="1",
        HEADRACE_SERVER__DRAIN_SECONDS="60",
    )
    tokens = 150  # 15 s
    before = stack.status().parts
    async with Client(stack.address) as client:
        streams = await begin(client, 2, tokens)
        down = asyncio.create_task(asyncio.to_thread(stack.headrace, "down"))
        ends = await asyncio.gather(*map(rest, streams))
        assert stack.status().parts["tritonserver"].pid == before["tritonserver"].pid
    assert [(end.finish_reason, end.completion_tokens) for end in ends] == [("length", tokens)] * 2
    assert (await down).stdout == "stopped\n"


async def test_a_silent_worker_is_waited_for(make_stack: MakeStack) -> None:
    """A step of a large model takes longer than the supervisor waits for one answer of the worker."""
    stack = make_stack(HEADRACE_ENGINE__MOCK__STEP_MS="30", HEADRACE_SERVER__UNREADY_SECONDS="0")
    supervisor, worker = stack.folder.pid(), stack.pid("engine_worker")
    assert supervisor is not None
    async with Client(stack.address) as client:
        streams = await begin(client, 4, TOKENS)
        os.kill(worker, signal.SIGSTOP)
        try:
            os.kill(supervisor, signal.SIGTERM)
            await asyncio.sleep(2.5)
        finally:
            os.kill(worker, signal.SIGCONT)
        ends = await asyncio.gather(*map(rest, streams))
    assert [(end.finish_reason, end.completion_tokens) for end in ends] == [("length", TOKENS)] * 4
    await gone(stack)


async def test_down_waits_as_long_as_the_running_stack_may_take(
    make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.serving.stack._STOP_SECONDS", 1.0)
    stack = make_stack(HEADRACE_ENGINE__MOCK__STEP_MS="100", HEADRACE_SERVER__UNREADY_SECONDS="2")
    supervisor = stack.folder.pid()
    assert supervisor is not None
    async with Client(stack.address) as client:
        (stream,) = await begin(client, 1, 40)
        # Who stops it knows nothing of its settings.
        impatient = Config(server={"http_port": stack.http_port, "drain_seconds": 0, "unready_seconds": 0})
        down = asyncio.create_task(asyncio.to_thread(serving_stack.down, impatient))
        assert (await rest(stream)).completion_tokens == 40
        assert await down
    assert stack.is_clean()


async def test_up_during_a_drain_starts_a_new_stack(make_stack: MakeStack) -> None:
    stack = make_stack(HEADRACE_ENGINE__MOCK__STEP_MS="30")
    supervisor = stack.folder.pid()
    assert supervisor is not None
    async with Client(stack.address) as client:
        (stream,) = await begin(client, 1, TOKENS)
        os.kill(supervisor, signal.SIGTERM)
        await stack.until_state("draining")
        up = asyncio.create_task(asyncio.to_thread(stack.headrace, "up"))
        assert (await rest(stream)).completion_tokens == TOKENS
    done = await up
    assert done.returncode == 0, done.stderr
    assert stack.folder.pid() != supervisor
    assert f"running (pid {stack.folder.pid()})" in done.stdout
    assert stack.headrace("status").returncode == 0


async def test_closing_the_terminal_drains(new_stack: MakeStack) -> None:
    stack = new_stack(HEADRACE_ENGINE__MOCK__STEP_MS="30")
    stack.folder.create()
    terminal, inside = pty.openpty()
    serve = subprocess.Popen(  # noqa: ASYNC220 it only starts
        ["setsid", "--ctty", "--wait", *stack.command("serve")],
        env=stack.environment,
        stdin=inside,
        stdout=inside,
        stderr=inside,
    )
    os.close(inside)
    async with Client(stack.address) as client:
        await stack.until_ready(200, 60)
        await stack.until_state("ready")
        (stream,) = await begin(client, 1, TOKENS)
        os.close(terminal)
        await stack.until_state("draining")
        assert (await rest(stream)).completion_tokens == TOKENS
    await gone(stack)
    await asyncio.to_thread(serve.wait, 10)
    assert stack.is_clean()


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
        with pytest.raises(Unavailable, match="the engine worker ended during this request"):
            await rest(stream)
    assert (down.returncode, down.stdout) == (0, "stopped\n")
    assert stack.is_clean()

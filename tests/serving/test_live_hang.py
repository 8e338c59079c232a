"""Parts of a real stack stop working without ending."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from headrace.client import Client
from headrace.errors import Unavailable
from tests.serving.conftest import MakeStack
from tests.serving.drill_stack import DrillStack, long_question

MOODY = Path(__file__).with_name("moody_worker.py")


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack, tmp_path_factory: pytest.TempPathFactory) -> DrillStack:
    """Its worker is started by a program that stands in for the interpreter."""
    interpreter = tmp_path_factory.mktemp("moody") / "python"
    interpreter.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" "{MOODY}" "$@"\n', encoding="ascii")
    interpreter.chmod(0o700)
    return make_stack(
        HEADRACE_ENGINE__PYTHON=str(interpreter),
        HEADRACE_ENGINE__MOCK__STEP_MS="5",
        HEADRACE_SERVER__PROBE_SECONDS="0.5",
        HEADRACE_SERVER__SETTLED_SECONDS="0",
    )


async def restarted(stack: DrillStack, part: str, before: int) -> None:
    """Wait until the part has another process and the stack is ready again."""
    try:
        async with asyncio.timeout(60):
            while stack.status().parts[part].pid in (before, None):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await stack.until_state("ready")
    except TimeoutError:
        pytest.fail(f"{part} did not come back\n{stack.last_words()}")


@pytest.mark.parametrize("streams", [0, 3])
async def test_a_hung_engine_restarts_the_worker_and_only_it(stack: DrillStack, streams: int) -> None:
    worker, triton = stack.pid("engine_worker"), stack.pid("tritonserver")
    async with Client(stack.address) as client:
        running = [client.stream(long_question(number, 2000)) for number in range(streams)]
        for stream in running:
            await anext(stream)
        os.kill(worker, signal.SIGUSR1)
        await restarted(stack, "engine_worker", worker)
        for stream in running:
            with pytest.raises(Unavailable, match="the engine worker ended during this request"):
                async for _ in stream:
                    pass
        assert (await client.answer(long_question(0, 4), 30)).completion_tokens == 4
    assert stack.pid("tritonserver") == triton
    assert stack.status().parts["engine_worker"].last_end == "it does not answer"


async def test_a_silent_worker_is_restarted(stack: DrillStack) -> None:
    worker, triton = stack.pid("engine_worker"), stack.pid("tritonserver")
    os.kill(worker, signal.SIGSTOP)
    await restarted(stack, "engine_worker", worker)
    assert stack.pid("tritonserver") == triton


@pytest.mark.parametrize("step", ["postprocess", "postprocess_stream"])
async def test_a_hung_step_of_either_door_restarts_triton(stack: DrillStack, step: str) -> None:
    worker, triton = stack.pid("engine_worker"), stack.pid("tritonserver")
    os.kill(stack.stub(step), signal.SIGSTOP)
    await restarted(stack, "tritonserver", triton)
    assert stack.pid("engine_worker") == worker
    async with Client(stack.address) as client:
        assert (await client.answer(long_question(0, 4), 30)).completion_tokens == 4


async def test_a_busy_stack_is_left_alone(stack: DrillStack) -> None:
    """A full batch keeps every probe waiting for longer than all of them together may take."""
    before = [stack.pid(part) for part in ("engine_worker", "tritonserver")]
    async with Client(stack.address) as client:

        async def work(number: int) -> int | None:
            return [chunk async for chunk in client.stream(long_question(number, 1000))][-1].completion_tokens

        done = await asyncio.gather(*[work(number) for number in range(32)])
    assert done == [1000] * 32
    assert [stack.pid(part) for part in ("engine_worker", "tritonserver")] == before

"""Parts of a real stack are killed while it works."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from headrace import paths
from headrace.client import Client, Question
from headrace.errors import Unavailable
from tests.serving.conftest import MakeStack
from tests.serving.drill_stack import DrillStack, long_question

STEPS = sorted(folder.name for folder in (paths.PROJECT / "model_repository").iterdir() if folder.is_dir())
STREAMS = 4


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> DrillStack:
    # A first token that is slow makes the worker's warm-up, and so its absence, longer than Triton's poll.
    return make_stack(
        HEADRACE_ENGINE__MOCK__FIRST_TOKEN_MS="1500",
        HEADRACE_ENGINE__MOCK__STEP_MS="20",
        HEADRACE_SERVER__SETTLED_SECONDS="0",
    )


class Load:
    """Streams that run until they break; `errors` says how."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._running = asyncio.Event()
        self._started = 0
        self.errors: list[Exception] = []
        self._tasks = [asyncio.create_task(self._stream(number)) for number in range(STREAMS)]

    async def _stream(self, number: int) -> None:
        first = True
        try:
            async for _ in self._client.stream(long_question(number, 2000)):
                if first:
                    first = False
                    self._started += 1
                    if self._started == STREAMS:
                        self._running.set()
        except Exception as error:  # noqa: BLE001 judged by the test
            self.errors.append(error)

    async def running(self) -> None:
        async with asyncio.timeout(60):
            await self._running.wait()

    async def ended(self) -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*self._tasks)


async def test_a_killed_worker(stack: DrillStack) -> None:
    before = stack.status().parts
    async with Client(stack.address) as client:
        load = Load(client)
        await load.running()
        os.kill(stack.pid("engine_worker"), signal.SIGKILL)
        # The poll is one second; the rest is this machine's.
        assert await stack.until_ready(400, 5) < 2
        await load.ended()
        assert len(load.errors) == STREAMS
        assert {str(error) for error in load.errors} == {
            "the engine worker ended during this request; send it again"
        }
        with pytest.raises(Unavailable, match="engine worker is not running; it restarts"):
            await client.answer(Question(text_input="x", max_tokens=1, cache_scope="outage"), 10)
        await stack.until_ready(200, 60)
        # Ready means ready: the first request after it is answered.
        answer = await client.answer(long_question(0, 4), 30)
        assert answer.completion_tokens == 4
    await stack.until_state("ready")
    after = stack.status().parts
    assert after["engine_worker"].restarts == before["engine_worker"].restarts + 1
    assert after["engine_worker"].last_end == "SIGKILL"
    assert after["tritonserver"].pid == before["tritonserver"].pid


async def kill_and_recover(stack: DrillStack, pid: int) -> None:
    before = stack.status().parts
    async with Client(stack.address) as client:
        load = Load(client)
        await load.running()
        os.kill(pid, signal.SIGKILL)
        await stack.until_ready(None, 10)
        await load.ended()
        assert [type(error) for error in load.errors] == [Unavailable] * STREAMS
        await stack.until_ready(200, 60)
        assert (await client.answer(long_question(0, 4), 30)).completion_tokens == 4
    await stack.until_state("ready")
    after = stack.status().parts
    assert after["tritonserver"].restarts == before["tritonserver"].restarts + 1
    # The engine stays warm.
    assert after["engine_worker"].pid == before["engine_worker"].pid
    assert len(stack.segments()) == len(STEPS)


@pytest.mark.parametrize("step", STEPS)
async def test_a_killed_step(stack: DrillStack, step: str) -> None:
    await kill_and_recover(stack, stack.stub(step))
    assert stack.status().parts["tritonserver"].last_end == f"its Python step {step}_0_0 died"


async def test_a_killed_triton(stack: DrillStack) -> None:
    await kill_and_recover(stack, stack.pid("tritonserver"))


async def test_both_killed_at_once(stack: DrillStack) -> None:
    for part in ("engine_worker", "tritonserver"):
        os.kill(stack.pid(part), signal.SIGKILL)
    await stack.until_state("degraded")
    await stack.until_state("ready")
    async with Client(stack.address) as client:
        assert (await client.answer(long_question(0, 4), 30)).completion_tokens == 4

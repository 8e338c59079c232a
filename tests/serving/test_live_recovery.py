"""Parts of a real stack are killed while it works."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from headrace import paths
from headrace.client import Client, Question
from headrace.errors import EngineFailed, Unavailable
from tests.serving.conftest import MakeStack
from tests.serving.drill_stack import DrillStack, long_question
from tests.triton.answers import Refused
from tests.triton.doors import stop, stream, unary
from tests.triton.http_port import metrics

STEPS = sorted(folder.name for folder in (paths.PROJECT / "model_repository").iterdir() if folder.is_dir())
STREAMS, CALLS = 4, 4
LOST = "the engine worker ended during this request; send it again"
AWAY = "the engine worker is not running; it restarts, try again in a moment"
# From a death to the first answer after it, on a slow machine with two cores.
RECOVERY_SECONDS = 20


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> DrillStack:
    # A first token that is slow makes the worker's warm-up, and so its absence, longer than Triton's poll.
    return make_stack(
        HEADRACE_ENGINE__MOCK__FIRST_TOKEN_MS="1500",
        HEADRACE_ENGINE__MOCK__STEP_MS="20",
        HEADRACE_SERVER__SETTLED_SECONDS="0",
        HEADRACE_SERVER__PROBE_SECONDS="3600",
    )


class Load:
    """Streams and unary callers that go on until they break; `errors` says how."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._running = asyncio.Event()
        self._started = 0
        self.errors: list[Exception] = []
        self._tasks = [asyncio.create_task(self._stream(number)) for number in range(STREAMS)]
        self._tasks += [asyncio.create_task(self._call(number)) for number in range(CALLS)]

    async def _stream(self, number: int) -> None:
        first = True
        try:
            async for _ in self._client.stream(long_question(number, 2000)):
                if first:
                    first = False
                    self._has_begun()
        except Exception as error:  # noqa: BLE001 judged by the test
            self.errors.append(error)
            self._running.set()

    async def _call(self, number: int) -> None:
        """Short answers one after the other, so that every step of this door is at work; sampled, for the seed."""
        first = True
        try:
            while True:
                question = replace(long_question(number, 2), temperature=1.0)
                await self._client.answer(question, 30)
                if first:
                    first = False
                    self._has_begun()
        except Exception as error:  # noqa: BLE001 judged by the test
            self.errors.append(error)
            self._running.set()

    def _has_begun(self) -> None:
        self._started += 1
        if self._started == STREAMS + CALLS:
            self._running.set()

    async def running(self) -> None:
        async with asyncio.timeout(60):
            await self._running.wait()
        assert not self.errors

    async def ended(self) -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*self._tasks)


async def test_a_killed_worker(stack: DrillStack) -> None:
    before = stack.status().parts
    async with Client(stack.address) as client:
        load = Load(client)
        await load.running()
        os.kill(stack.pid("engine_worker"), signal.SIGKILL)
        killed_at = time.monotonic()
        # The poll is one second; the rest is this machine's.
        await stack.until_ready(400, 10)
        # Both doors to readiness agree; a single model's knows nothing of the worker.
        assert not await client.ready(5)
        assert await asyncio.to_thread(stack.get, "/v2/models/assistant/ready") == 200
        await load.ended()
        told = [str(error) for error in load.errors]
        assert len(told) == STREAMS + CALLS
        # A caller may have sent its next question to the worker that was gone by then.
        assert told.count(LOST) >= STREAMS
        assert set(told) <= {LOST, AWAY}
        with pytest.raises(Unavailable, match=AWAY):
            await client.answer(Question(text_input="x", max_tokens=1, cache_scope="outage"), 10)
        await stack.until_ready(200, RECOVERY_SECONDS)
        # Ready means ready: the first request after it is answered.
        answer = await client.answer(long_question(0, 4), 30)
        assert answer.completion_tokens == 4
        assert time.monotonic() - killed_at < RECOVERY_SECONDS
    await stack.until_state("ready")
    after = stack.status().parts
    assert after["engine_worker"].restarts == before["engine_worker"].restarts + 1
    assert after["engine_worker"].last_end == "SIGKILL"
    assert after["tritonserver"].pid == before["tritonserver"].pid


COUNTERS = ("generated_tokens_total", "refused_requests_total", "cancelled_requests_total")


def metric(stack: DrillStack, name: str) -> float:
    return metrics(stack, f'headrace_engine_{name}{{engine="mock"}}')


def raise_the_counters(stack: DrillStack) -> None:
    """Each of them; returns when the metrics say so."""
    before = {name: metric(stack, name) for name in COUNTERS}
    with pytest.raises(Refused, match="input_ids"):
        unary(stack, "tensorrt_llm", {"input_ids": [10**6], "max_tokens": 1})
    long = {"text_input": "Count to a thousand.", "max_tokens": 2000, "min_tokens": 2000}
    with closing(stream(stack, "assistant_stream", long, "counted")) as pieces:
        next(pieces)
        stop(stack, "counted")
        *_, last = pieces
    assert last.finish_reason == "cancelled"
    until_metrics(stack, lambda: all(metric(stack, name) > before[name] for name in COUNTERS))


def answered(true: Callable[[], bool]) -> bool:
    """A Triton that starts opens the port of its metrics after those of its requests."""
    try:
        return true()
    except ConnectionRefusedError:
        return False


def until_metrics(stack: DrillStack, true: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not answered(true):
        if time.monotonic() - began > RECOVERY_SECONDS:
            pytest.fail(f"the metrics stay {[metric(stack, name) for name in ('up', *COUNTERS)]}")
        time.sleep(0.02)


async def test_the_metrics_of_a_killed_worker(stack: DrillStack) -> None:
    """It is seen to be away, and the counters go on from where they were."""
    raise_the_counters(stack)
    seen: list[dict[str, float]] = []
    ended = threading.Event()

    def watch() -> None:
        last = False
        while not last:
            last = ended.wait(0.02)
            seen.append({name: metric(stack, name) for name in COUNTERS})

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            os.kill(stack.pid("engine_worker"), signal.SIGKILL)
            until_metrics(stack, lambda: metric(stack, "up") == 0)
            until_metrics(stack, lambda: metric(stack, "up") == 1)
            raise_the_counters(stack)
        finally:
            ended.set()
        watching.result()
    for name in COUNTERS:
        values = [sample[name] for sample in seen]
        assert values == sorted(values), name
        assert 0 < values[0] < values[-1], name
    await stack.until_state("ready")


async def test_the_metrics_of_a_killed_triton(stack: DrillStack) -> None:
    """Its successor counts what comes from now on: what its predecessor has counted must not be counted again."""
    raise_the_counters(stack)
    os.kill(stack.pid("tritonserver"), signal.SIGKILL)
    await stack.until_ready(None, 10)
    before = stack.stats()
    await stack.until_ready(200, RECOVERY_SECONDS)
    until_metrics(stack, lambda: metric(stack, "up") == 1)
    made = stack.stats().engine.generated_tokens - before.engine.generated_tokens
    assert metric(stack, "generated_tokens_total") <= made < before.engine.generated_tokens
    assert metric(stack, "refused_requests_total") == 0
    raise_the_counters(stack)
    await stack.until_state("ready")


async def kill_and_recover(stack: DrillStack, pid: int) -> None:
    before = stack.status().parts
    async with Client(stack.address) as client:
        load = Load(client)
        await load.running()
        os.kill(pid, signal.SIGKILL)
        killed_at = time.monotonic()
        await stack.until_ready(None, 10)
        await load.ended()
        assert len(load.errors) == STREAMS + CALLS
        # No call waits out its time, and none is told that it was at fault.
        assert {type(error) for error in load.errors} <= {Unavailable, EngineFailed}
        await stack.until_ready(200, RECOVERY_SECONDS)
        async with asyncio.timeout(10):
            while not await client.ready(1):  # its channel tries again twice a second
                pass
        assert (await client.answer(long_question(0, 4), 30)).completion_tokens == 4
        assert time.monotonic() - killed_at < RECOVERY_SECONDS
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


async def test_a_crashed_triton_is_not_waited_for(stack: DrillStack) -> None:
    """2.51 catches the signal of a crash and goes on as if it were asked to stop: that can hang."""
    triton = stack.pid("tritonserver")
    os.kill(triton, signal.SIGABRT)
    async with asyncio.timeout(RECOVERY_SECONDS):
        while stack.status().parts["tritonserver"].pid in (triton, None):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await stack.until_state("ready")
    assert "SIGABRT" in (stack.status().parts["tritonserver"].last_end or "")


async def test_both_killed_at_once(stack: DrillStack) -> None:
    for part in ("engine_worker", "tritonserver"):
        os.kill(stack.pid(part), signal.SIGKILL)
    await stack.until_state("degraded")
    await stack.until_state("ready")
    async with Client(stack.address) as client:
        assert (await client.answer(long_question(0, 4), 30)).completion_tokens == 4

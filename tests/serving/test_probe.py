from __future__ import annotations

import asyncio
import contextlib

import pytest

from headrace.client import Client, Question, _without_ensemble
from headrace.engine.interface import EngineStats
from headrace.errors import Unavailable
from headrace.serving import stubs
from headrace.serving.probe import Liveness
from headrace.worker.protocol import WorkerStats


def worker(live: int) -> WorkerStats:
    return WorkerStats(engine=EngineStats(), live=live, draining=False, refused=0, cancelled=0)


def test_three_failures_in_a_row_mean_dead() -> None:
    liveness = Liveness()
    assert [liveness.failed(worker(0), 16) for _ in range(3)] == [False, False, True]


def test_a_success_between_starts_the_count_anew() -> None:
    liveness = Liveness()
    liveness.failed(None, 16)
    liveness.failed(None, 16)
    liveness.succeeded()
    assert not liveness.failed(None, 16)


def test_a_busy_server_is_alive() -> None:
    liveness = Liveness()
    assert not any(liveness.failed(worker(16), 16) for _ in range(20))


async def test_a_dead_stub_is_seen_at_once() -> None:
    one, other = [await asyncio.create_subprocess_exec("sleep", "60") for _ in range(2)]
    watch = asyncio.create_task(stubs.first_death({one.pid: "preprocess", other.pid: "postprocess"}))
    try:
        await asyncio.sleep(0)
        other.kill()
        async with asyncio.timeout(5):
            assert await watch == "postprocess"
    finally:
        for process in (one, other):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    async with asyncio.timeout(5):
        assert await stubs.first_death({one.pid: "gone before we looked"}) == "gone before we looked"


async def test_no_server_is_one_clear_line() -> None:
    async with Client("127.0.0.1:1") as client:
        assert not await client.ready(1)
        with pytest.raises(Unavailable, match=r"no server answers at 127\.0\.0\.1:1; start one"):
            await client.answer(Question(text_input="x"), 5)
        with pytest.raises(Unavailable, match=r"no server answers at 127\.0\.0\.1:1; start one"):
            async for _ in client.stream(Question(text_input="x")):
                pass


def test_what_is_not_asked_is_not_sent() -> None:
    question = Question(text_input="x", temperature=0.0, stop_words=("a", "b"))
    assert {(tensor.name(), tuple(tensor.shape()), tensor.datatype()) for tensor in question.tensors()} == {
        ("text_input", (1, 1), "BYTES"),
        ("temperature", (1, 1), "FP32"),
        ("stop_words", (1, 2), "BYTES"),
    }


def test_the_ensembles_names_are_left_out_of_errors() -> None:
    assert _without_ensemble("in ensemble 'a', in ensemble 'b', top_p: too big") == "top_p: too big"
    assert _without_ensemble("top_p: too big") == "top_p: too big"

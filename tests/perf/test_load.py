"""The load generator against a real Triton with the mock engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace import paths
from headrace.client import STREAM_MODEL, UNARY_MODEL
from perf.core import cancel
from perf.core.plan import Plan
from perf.load import LoadClient, LoadFailed, closed_loop, question
from perf.prompts import PromptMaker
from perf.records import Machine, Recorder, read_last_run
from tests.stack import Stack


@pytest.fixture
def prompts() -> PromptMaker:
    return PromptMaker(paths.default_model(), seed=3)


def _grpc(stack: Stack) -> str:
    return f"127.0.0.1:{stack.grpc_port}"


@pytest.mark.parametrize("model", [UNARY_MODEL, STREAM_MODEL])
async def test_every_message_is_answered_once(mock_stack: Stack, prompts: PromptMaker, model: str) -> None:
    made_before = mock_stack.stats().engine.generated_tokens
    async with LoadClient(_grpc(mock_stack)) as client:
        messages = [question(model, prompt, 20) for prompt in prompts.make(12, 60)]
        load = await closed_loop(client, messages, concurrency=4, limit_seconds=30)
    assert [sample.tokens for sample in load.samples] == [20] * 12
    assert {sample.finish_reason for sample in load.samples} == {"length"}
    # One message more would be 20 more; the supervisor's probes make one token each.
    assert 240 <= mock_stack.stats().engine.generated_tokens - made_before < 260
    assert all(sample.sent < sample.first <= sample.ended for sample in load.samples)
    assert load.tokens_per_second == pytest.approx(240 / load.seconds)


async def test_no_more_than_the_asked_for_run_at_once(mock_stack: Stack, prompts: PromptMaker) -> None:
    async with LoadClient(_grpc(mock_stack)) as client:
        messages = [question(STREAM_MODEL, prompt, 20) for prompt in prompts.make(9, 60)]
        load = await closed_loop(client, messages, concurrency=3, limit_seconds=30)
    # A load is at its most when one is sent.
    running = [sum(other.sent <= one.sent < other.ended for other in load.samples) for one in load.samples]
    assert max(running) == 3


@pytest.mark.parametrize("model", [UNARY_MODEL, STREAM_MODEL])
async def test_a_refused_request_fails_the_load(mock_stack: Stack, prompts: PromptMaker, model: str) -> None:
    async with LoadClient(_grpc(mock_stack)) as client:
        messages = [
            question(model, prompt, tokens) for prompt, tokens in zip(prompts.make(2, 60), (5, -1), strict=True)
        ]
        with pytest.raises(LoadFailed, match="max_tokens"):
            await closed_loop(client, messages, concurrency=2, limit_seconds=30)


async def test_a_load_that_takes_too_long_is_cut(mock_stack: Stack, prompts: PromptMaker) -> None:
    async with LoadClient(_grpc(mock_stack)) as client:
        (prompt,) = prompts.make(1, 60)
        with pytest.raises(LoadFailed, match="not answered"):
            await closed_loop(client, [question(STREAM_MODEL, prompt, 2000)], concurrency=1, limit_seconds=0.2)


async def test_cancels_are_measured_both_ways(mock_stack: Stack, prompts: PromptMaker, tmp_path: Path) -> None:
    machine = Machine(
        run="now", cpu="", cores=1, memory_gb=1, load_average=0, versions={}, revision="", settings={}
    )
    file = tmp_path / "core.jsonl"
    cancelled_before = mock_stack.stats().cancelled
    async with LoadClient(_grpc(mock_stack)) as client:
        record = Recorder(file, machine)
        await cancel.measure(record, client, mock_stack.folder.socket, prompts, Plan(cancels=2))
    assert mock_stack.stats().cancelled - cancelled_before == 8
    run = read_last_run(file)
    for way in cancel.WAYS:
        for background in cancel.BACKGROUND:
            (values,) = run.rounds(cancel.NAME, way, background=background).values()
            assert len(values) == 2
            # A victim left alone runs for two seconds.
            assert all(0 < value < 1 for value in values)

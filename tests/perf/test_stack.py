"""The stacks that benchmarks start: by the package's own command, with the configuration that was asked for."""

from __future__ import annotations

import time

import psutil
import pytest

from headrace import config, paths
from headrace.client import STREAM_MODEL
from headrace.errors import StartupError
from headrace.serving.run_folder import RunFolder
from headrace.worker import control
from perf.core.coalescing import with_mock
from perf.load import LoadClient, closed_loop, question
from perf.prompts import PromptMaker
from perf.stack import running, without_guards

_SEED_PROMPTS, _PROMPT_TOKENS, _NEW_TOKENS = 3, 60, 20


async def test_a_stack_runs_as_configured_and_leaves_nothing() -> None:
    asked = with_mock(without_guards(config.load()), step_ms=0.5)
    asked = asked.model_copy(update={"coalescing": asked.coalescing.model_copy(update={"max_tokens": 4})})
    (prompt,) = PromptMaker(paths.default_model(), _SEED_PROMPTS).make(1, _PROMPT_TOKENS)
    with running(asked) as stack:
        names = {process.name() for process in stack.processes()}
        assert "tritonserver" in names, names
        async with LoadClient(stack.grpc) as client:
            message = question(STREAM_MODEL, prompt, _NEW_TOKENS)
            load = await closed_loop(client, [message], concurrency=1, limit_seconds=30)
        assert control.stats(stack.engine_socket, timeout=10.0).engine.generated_tokens >= _NEW_TOKENS
        processes = stack.processes()
    (sample,) = load.samples
    assert sample.tokens == _NEW_TOKENS
    # The first token at once, then four at a time; the last of them may come with the end or after it.
    assert 1 + -(-(_NEW_TOKENS - 1) // 4) <= sample.responses < _NEW_TOKENS
    assert not _still_living(processes)
    assert not RunFolder.of(stack.config).root.exists()


def test_a_stack_that_cannot_start_says_why() -> None:
    wanted = config.load()
    engine = wanted.engine.model_copy(update={"name": "trtllm"})
    with (
        pytest.raises(StartupError, match="tensorrt_llm"),
        running(wanted.model_copy(update={"engine": engine})),
    ):
        pytest.fail("started without the package")


def _still_living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """The kernel takes a moment to take down what was killed: a step's process holds much memory."""
    deadline = time.monotonic() + 5
    while (living := [process for process in processes if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return living


def _lives(process: psutil.Process) -> bool:
    """An ended process stays in the table until its parent has asked for its status."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

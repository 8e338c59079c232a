"""The TensorRT-LLM adapter on the stand-in: what reaches upstream, and what upstream's errors mean."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from headrace.config import EngineConfig, TrtLlmConfig
from headrace.engine.trtllm import TrtLlmEngine
from headrace.errors import (
    EngineFailed,
    EngineNotInstalled,
    HeadraceError,
    InvalidRequest,
    StartupError,
    Unavailable,
)
from tests.engine.engines import LONG, SOON, answer, asked, first_tokens, read

REFUSED_TOKEN, DEADLY_TOKEN = 48_000, 49_000
MAX_SEQ_LEN = 4096


@pytest_asyncio.fixture
async def engine(fake: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TrtLlmEngine]:
    monkeypatch.setenv("FAKE_TRTLLM_REFUSED_TOKEN", str(REFUSED_TOKEN))
    monkeypatch.setenv("FAKE_TRTLLM_DEADLY_TOKEN", str(DEADLY_TOKEN))
    monkeypatch.setattr("headrace.engine.trtllm.liveness.PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("headrace.engine.trtllm.engine.STATS_SECONDS", 0.001)
    engine = TrtLlmEngine()
    await engine.start(EngineConfig(model=model, trtllm=TrtLlmConfig(trtllm={"max_seq_len": MAX_SEQ_LEN})))
    yield engine
    await engine.stop()


def request_error(message: str) -> Exception:
    error: Exception = sys.modules["tensorrt_llm.llmapi"].RequestError(message)
    return error


def upstream(engine: TrtLlmEngine) -> Any:
    return engine._llm


# --- what reaches upstream ---


async def test_the_cache_scope_becomes_the_salt(engine: TrtLlmEngine) -> None:
    for scope in ("tenant-a", ""):
        await answer(engine, asked(cache_scope=scope))
    assert [r["cache_salt"] for r in upstream(engine).requests] == ["tenant-a", None]
    assert {r["streaming"] for r in upstream(engine).requests} == {True}


async def test_an_abort_reaches_upstream(engine: TrtLlmEngine) -> None:
    stream = engine.submit(asked(max_tokens=LONG))
    await anext(stream)
    (output,) = upstream(engine)._live
    await engine.abort("r")
    assert output.finished


async def test_the_engines_numbers_are_read(engine: TrtLlmEngine) -> None:
    stream = engine.submit(asked(max_tokens=4000))
    async with asyncio.timeout(SOON):
        while not engine.stats().kv_cache_usage:
            await anext(stream)
    await engine.abort("r")
    assert engine.stats().kv_cache_usage == 0


# --- a request's own fault ---


async def test_a_live_id_is_refused_a_second_time(engine: TrtLlmEngine) -> None:
    stream = engine.submit(asked(max_tokens=20))
    with pytest.raises(InvalidRequest, match="already running"):
        engine.submit(asked(max_tokens=20))
    assert len((await read(stream)).token_ids) == 20


@pytest.mark.parametrize("room", [0, 1])
async def test_a_request_fits_or_is_refused(engine: TrtLlmEngine, room: int) -> None:
    prompt = (1,) * (MAX_SEQ_LEN - 8 + 1 - room)
    if room:
        assert len((await answer(engine, asked(prompt=prompt, max_tokens=8))).token_ids) == 8
    else:
        with pytest.raises(InvalidRequest, match=r"^max_tokens: 8, with a prompt of 4089 tokens; .* holds 4096"):
            engine.submit(asked(prompt=prompt, max_tokens=8))


async def test_what_upstream_finds_wrong_at_once_is_refused_at_once(engine: TrtLlmEngine) -> None:
    with pytest.raises(InvalidRequest, match="non-empty list of token ids"):
        engine.submit(asked(prompt=()))
    assert engine.stats().running == 0


async def test_one_refused_request_disturbs_no_other(engine: TrtLlmEngine) -> None:
    others = [engine.submit(asked(f"{n}", max_tokens=50)) for n in range(3)]
    refused = [engine.submit(asked(f"refused {n}", prompt=(1, REFUSED_TOKEN))) for n in range(3)]
    for stream in refused:
        with pytest.raises(InvalidRequest, match="TensorRT-LLM refuses it: the request cannot be scheduled"):
            await read(stream)
    assert [len((await read(stream)).token_ids) for stream in others] == [50] * 3
    assert len(upstream(engine).requests) == 3 + 3 + 1, "one check for all that fail together"


async def test_an_error_at_the_submission_is_judged_the_same(
    engine: TrtLlmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate_async = upstream(engine).generate_async

    def refusing(inputs: list[int], **arguments: Any) -> Any:
        if REFUSED_TOKEN in inputs:
            raise request_error("no such adapter")
        return generate_async(inputs=inputs, **arguments)

    monkeypatch.setattr(upstream(engine), "generate_async", refusing)
    with pytest.raises(InvalidRequest, match="no such adapter"):
        await answer(engine, asked(prompt=(1, REFUSED_TOKEN)))


async def test_a_request_that_is_given_up_half_way_may_come_again(engine: TrtLlmEngine) -> None:
    stream = engine.submit(asked(max_tokens=LONG))
    await first_tokens(stream)
    upstream(engine)._live[0].fail(request_error("no free blocks"))
    with pytest.raises(Unavailable, match="no free blocks; send it again"):
        await read(stream)
    assert len((await answer(engine, asked())).token_ids) == 8


async def test_a_result_that_cannot_be_passed_on_ends_its_request_alone(engine: TrtLlmEngine) -> None:
    stream = engine.submit(asked(max_tokens=LONG, log_probs=True))
    (output,) = upstream(engine)._live
    await first_tokens(stream)
    output.outputs[0].logprobs.clear()
    with pytest.raises(HeadraceError, match="no log prob") as caught:
        await read(stream)
    assert not isinstance(caught.value, EngineFailed)
    assert output.finished, "nobody waits for the rest"


async def test_an_abort_while_the_fault_is_looked_for_takes_no_verdict_from_others(engine: TrtLlmEngine) -> None:
    aborted, other = (engine.submit(asked(name, prompt=(1, REFUSED_TOKEN))) for name in ("aborted", "other"))
    async with asyncio.timeout(SOON):
        while engine._check is None:  # noqa: ASYNC110
            await asyncio.sleep(0)
    await engine.abort("aborted")
    assert (await read(aborted)).finish_reason == "cancelled"
    with pytest.raises(InvalidRequest):
        await read(other)


# --- the engine's ---


async def test_errors_of_single_requests_are_the_engines_when_it_makes_no_more_tokens(
    engine: TrtLlmEngine,
) -> None:
    streams = [engine.submit(asked(f"{n}", max_tokens=LONG)) for n in range(3)]
    await first_tokens(streams[0])
    streams.append(engine.submit(asked("deadly", prompt=(1, DEADLY_TOKEN))))
    for stream in streams:
        with pytest.raises(EngineFailed, match="broke: CUDA error"):
            await read(stream)
    with pytest.raises(EngineFailed, match="broke: CUDA error"):
        await answer(engine, asked("later"))
    assert engine.stats().running == 0


async def test_an_engine_that_hangs_is_broken(engine: TrtLlmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = engine.submit(asked(prompt=(1, REFUSED_TOKEN)))
    monkeypatch.setattr(upstream(engine), "_step_while_live", lambda: asyncio.sleep(3600))
    with pytest.raises(EngineFailed, match="cannot be scheduled"):
        await read(stream)
    upstream(engine)._stepper.cancel()


async def test_a_full_batch_is_not_taken_for_a_hang(engine: TrtLlmEngine) -> None:
    upstream(engine).args.max_batch_size = 1
    upstream(engine)._step_seconds = 0.01
    long = engine.submit(asked("long", max_tokens=60))
    with pytest.raises(InvalidRequest, match="cannot be scheduled"):
        await answer(engine, asked("refused", prompt=(1, REFUSED_TOKEN)))
    assert len((await read(long)).token_ids) == 60


async def test_results_that_end_without_a_reason_are_a_failure(engine: TrtLlmEngine) -> None:
    stream = engine.submit(asked())
    (output,) = upstream(engine)._live
    output._done = True
    with pytest.raises(EngineFailed, match="without a finish reason"):
        await anext(stream)
    assert engine.stats().running == 0


async def test_a_stopped_engine_says_so(engine: TrtLlmEngine) -> None:
    await engine.stop()
    with pytest.raises(EngineFailed, match="stopped"):
        await answer(engine, asked())


# --- start ---


async def test_a_bad_value_stops_the_start_in_one_line(fake: Any, model: Path) -> None:
    trtllm = TrtLlmConfig(trtllm={"kv_cache_config": {"host_cache_size": "much"}})
    with pytest.raises(StartupError, match="KvCacheConfig"):
        await TrtLlmEngine().start(EngineConfig(model=model, trtllm=trtllm))
    trtllm = TrtLlmConfig(trtllm={"max_seq_len": "long"})
    with pytest.raises(StartupError, match=r"cannot load engine\.model"):
        await TrtLlmEngine().start(EngineConfig(model=model, trtllm=trtllm))


async def test_without_the_package_the_start_says_which_image_has_it(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_llm", None)
    with pytest.raises(EngineNotInstalled, match=r"^tensorrt_llm is not installed: .*trtllm-python-py3"):
        await TrtLlmEngine().start(EngineConfig(model=model))

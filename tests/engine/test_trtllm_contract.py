"""The TensorRT-LLM adapter keeps to the recorded names, and the installed package, if any, has them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import paths
from headrace.config import EngineConfig, TrtLlmConfig
from headrace.engine.interface import EngineRequest, SamplingParams, TokenDelta
from headrace.engine.trtllm import TrtLlmEngine, api, contract
from headrace.engine.trtllm.engine import _new_since, _Run
from headrace.engine.trtllm.sampling import sampling_arguments
from headrace.engine.trtllm.snapshot import Snapshot
from headrace.errors import EngineFailed, EngineNotInstalled, InvalidRequest, StartupError

FAKE_SITE = Path(__file__).parent / "fake_site"
END_IDS = (7, 8, 9)
PENALTY = st.floats(-2, 2)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in for the package, importable."""
    monkeypatch.syspath_prepend(FAKE_SITE)
    yield import_module("tensorrt_llm")
    for module in [m for m in sys.modules if m.split(".")[0] == "tensorrt_llm"]:
        del sys.modules[module]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": list(END_IDS)}))
    return tmp_path


def mapped(sampler: str = "TRTLLMSampler", **sampling: Any) -> dict[str, Any]:
    return sampling_arguments(SamplingParams(**{"max_tokens": 5, **sampling}), END_IDS, sampler, dict)


def run_contract(*folders: Path) -> subprocess.CompletedProcess[str]:
    """The self-check, with `folders` first on the import path."""
    path = os.pathsep.join(str(folder) for folder in (*folders, paths.PROJECT))
    command = [sys.executable, "-m", "headrace.engine.trtllm.contract"]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


# --- the installed package ---


@pytest.mark.skipif(find_spec("tensorrt_llm") is None, reason="tensorrt_llm is not installed")
def test_the_installed_package_is_as_recorded() -> None:
    found = run_contract()  # in a process of its own, so that the stand-in below is never mixed with it
    assert (found.returncode, found.stdout) == (0, "tensorrt_llm 1.2.1 is as expected\n"), found.stderr


def test_the_stand_in_is_as_recorded(fake: Any) -> None:
    assert fake.__version__ == "1.2.1+fake"
    assert contract.differences() == []


def test_differences_are_found(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def generate_async(self: Any, inputs: Any, sampling_params: Any = 1, surprise: Any = None) -> None: ...

    @dataclasses.dataclass
    class Fewer:
        max_tokens: int = 16
        end_id: int | None = None

    monkeypatch.setattr(fake, "__version__", "1.4.0")
    monkeypatch.setattr(fake.LLM, "generate_async", generate_async)
    monkeypatch.setattr(fake, "SamplingParams", Fewer)
    monkeypatch.delattr(fake._fake.RequestOutput, "abort")
    found = contract.differences()
    assert "version: expected 1.2.1, found 1.4.0" in found
    assert "LLM.generate_async: streaming is missing" in found
    assert "LLM.generate_async: surprise is new" in found
    assert "LLM.generate_async: sampling_params defaults to 1, expected None" in found
    assert "SamplingParams: max_tokens defaults to 16, expected 32" in found
    assert "SamplingParams: top_k is missing" in found
    assert "RequestOutput.abort: missing" in found


def test_the_command_line_says_what_it_found() -> None:
    with_fake = run_contract(FAKE_SITE)
    assert (with_fake.returncode, with_fake.stdout) == (0, "tensorrt_llm 1.2.1 is as expected\n")
    if find_spec("tensorrt_llm") is None:
        without = run_contract()
        assert (without.returncode, without.stdout) == (2, "skipped: tensorrt_llm is not installed\n")


# --- requests ---


@given(
    max_tokens=st.integers(1, 100),
    min_tokens=st.integers(0, 100),
    temperature=st.floats(0, 2),
    top_k=st.integers(0, 100),
    top_p=st.floats(0.01, 1),
    seed=st.none() | st.integers(0, 2**64 - 1),
    repetition_penalty=st.floats(0.1, 2),
    frequency_penalty=PENALTY,
    presence_penalty=PENALTY,
    stop=st.lists(st.text(min_size=1), max_size=3).map(tuple),
    log_probs=st.booleans(),
    json_schema=st.none() | st.just("{}"),
)
def test_only_recorded_names_are_sent(**sampling: Any) -> None:
    arguments = mapped(**sampling)
    known = api.parameters("SamplingParams")
    assert all(known[name].certain for name in arguments)
    assert arguments.get("temperature", 1) > 0
    if guide := arguments.get("guided_decoding"):
        assert set(guide) <= set(api.parameters("GuidedDecodingParams"))


def test_greedy_leaves_the_temperature_out() -> None:
    greedy = mapped(seed=5, top_p=0.5, top_k=9)
    assert greedy["top_k"] == 1
    assert not {"temperature", "top_p", "seed"} & set(greedy)


def test_drawing_always_sends_what_keeps_upstream_from_being_greedy() -> None:
    plain = mapped(temperature=0.7)
    assert (plain["temperature"], plain["top_p"]) == (0.7, 1.0)
    assert "top_k" not in plain
    assert plain["seed"] != mapped(temperature=0.7)["seed"]
    assert mapped(temperature=0.7, seed=3, top_k=4)["seed"] == 3


def test_neutral_values_are_left_out() -> None:
    expected = {
        "max_tokens": 5,
        "detokenize": False,
        "end_id": 7,
        "stop_token_ids": [8, 9],
        "include_stop_str_in_output": True,
        "top_k": 1,
    }
    assert mapped() == expected


def test_full_length_leaves_nothing_that_ends_early() -> None:
    exact = mapped(min_tokens=5)
    assert (exact["min_tokens"], exact["end_id"]) == (5, 7)
    assert "stop_token_ids" not in exact


def test_stop_strings_stay_in_the_output() -> None:
    got = mapped(stop=("\n\n", "END"))
    assert (got["stop"], got["include_stop_str_in_output"]) == (["\n\n", "END"], True)


@pytest.mark.parametrize(
    ("field", "sampling"),
    [
        ("repetition_penalty", {"repetition_penalty": 1.1}),
        ("frequency_penalty", {"frequency_penalty": 0.1}),
        ("presence_penalty", {"presence_penalty": -0.1}),
        ("random_seed", {"seed": 1, "temperature": 1.0}),
        ("return_log_probs", {"log_probs": True, "temperature": 1.0}),
    ],
)
def test_torch_sampler_refuses_what_it_would_not_do(field: str, sampling: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=rf"^{field}: .*TRTLLMSampler"):
        mapped("TorchSampler", **sampling)
    assert mapped("TRTLLMSampler", **sampling)


def test_torch_sampler_gets_no_seed_and_ignores_one_that_has_no_effect() -> None:
    assert "seed" not in mapped("TorchSampler", temperature=1.0)
    assert mapped("TorchSampler", seed=1, log_probs=True)["top_k"] == 1


# --- results ---


@given(st.lists(st.lists(st.integers(0, 99), max_size=4), max_size=8), st.booleans())
def test_deltas_of_cumulative_lists_join_to_the_whole(pieces: list[list[int]], as_maps: bool) -> None:
    output = _Output([], [], None)
    run = _Run(output=None, log_probs=True)
    deltas = []
    for piece in pieces:
        output.token_ids += piece
        output.logprobs += [{t: _Logprob(-float(t))} if as_maps else -float(t) for t in piece]
        deltas.append(_new_since(run, output))
    whole = [t for piece in pieces for t in piece]
    assert [t for d in deltas for t in d.token_ids] == whole
    assert [p for d in deltas for p in d.log_probs] == [-float(t) for t in whole]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("stop", "stop"), ("length", "length"), ("timeout", "cancelled"), ("cancelled", "cancelled")],
)
def test_finish_reasons(theirs: str, ours: str) -> None:
    got = _new_since(_Run(output=None, log_probs=False), _Output([1], [], theirs))
    assert got == TokenDelta(token_ids=(1,), finish_reason=ours)  # type: ignore[arg-type]


def test_a_missing_log_prob_is_not_made_up() -> None:
    with pytest.raises(RuntimeError, match="no log prob"):
        _new_since(_Run(output=None, log_probs=True), _Output([1], [{2: _Logprob(-1.0)}], None))


@pytest.mark.parametrize("as_text", [False, True])
def test_snapshot(as_text: bool) -> None:
    values = {"numQueuedRequests": 3, "kvCacheStats": {"usedNumBlocks": 25, "maxNumBlocks": 100}}
    got = Snapshot.of(json.dumps(values) if as_text else values)
    assert got == Snapshot(queued=3, kv_cache_usage=0.25)
    assert Snapshot.of({}) == Snapshot()
    assert [got.waiting(live, 8) for live in (0, 2, 5, 20)] == [0, 2, 3, 12]


# --- the adapter on the stand-in ---


async def test_the_cache_scope_becomes_the_salt(fake: Any, model: Path) -> None:
    engine = TrtLlmEngine()
    await engine.start(EngineConfig(model=model))
    for scope in ("tenant-a", ""):
        request = EngineRequest(
            id=scope, token_ids=(1, 2), sampling=SamplingParams(max_tokens=2), cache_scope=scope
        )
        _ = [delta async for delta in engine.submit(request)]
    assert [r["cache_salt"] for r in engine._llm.requests] == ["tenant-a", None]
    assert {r["streaming"] for r in engine._llm.requests} == {True}
    await engine.stop()


async def test_the_engines_numbers_are_read(fake: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.engine.trtllm.engine.STATS_SECONDS", 0.001)
    engine = TrtLlmEngine()
    await engine.start(EngineConfig(model=model))
    request = EngineRequest(id="r", token_ids=(1, 2), sampling=SamplingParams(max_tokens=100_000))
    stream = engine.submit(request)
    async with asyncio.timeout(20):
        while not engine.stats().kv_cache_usage:
            await anext(stream)
    await engine.stop()
    assert engine.stats().kv_cache_usage == 0


async def test_an_abort_reaches_upstream(fake: Any, model: Path) -> None:
    engine = TrtLlmEngine()
    await engine.start(EngineConfig(model=model))
    stream = engine.submit(EngineRequest(id="r", token_ids=(1, 2), sampling=SamplingParams(max_tokens=100_000)))
    await anext(stream)
    (output,) = engine._llm._live
    await engine.abort("r")
    assert output.finished
    await engine.stop()


async def test_results_that_end_without_a_reason_are_a_failure(fake: Any, model: Path) -> None:
    engine = TrtLlmEngine()
    await engine.start(EngineConfig(model=model))
    stream = engine.submit(EngineRequest(id="r", token_ids=(1, 2), sampling=SamplingParams(max_tokens=9)))
    (output,) = engine._llm._live
    output._done = True
    with pytest.raises(EngineFailed, match="without a finish reason"):
        await anext(stream)
    assert engine.stats().running == 0
    await engine.stop()


async def test_a_live_id_is_refused_a_second_time(fake: Any, model: Path) -> None:
    engine = TrtLlmEngine()
    await engine.start(EngineConfig(model=model))
    request = EngineRequest(id="r", token_ids=(1, 2), sampling=SamplingParams(max_tokens=20))
    stream = engine.submit(request)
    with pytest.raises(InvalidRequest, match="already running"):
        engine.submit(request)
    assert sum([len(delta.token_ids) async for delta in stream]) == 20
    await engine.stop()


async def test_what_upstream_refuses_is_the_requests_fault(fake: Any, model: Path) -> None:
    engine = TrtLlmEngine()
    await engine.start(EngineConfig(model=model))
    with pytest.raises(InvalidRequest, match="non-empty list of token ids"):
        engine.submit(EngineRequest(id="r", token_ids=(), sampling=SamplingParams(max_tokens=2)))
    assert engine.stats().running == 0
    await engine.stop()
    with pytest.raises(EngineFailed, match="stopped"):
        await anext(engine.submit(EngineRequest(id="r", token_ids=(1,), sampling=SamplingParams(max_tokens=2))))


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


@dataclasses.dataclass
class _Logprob:
    logprob: float


@dataclasses.dataclass
class _Output:
    token_ids: list[int]
    logprobs: list[Any]
    finish_reason: str | None

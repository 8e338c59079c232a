"""The TensorRT-LLM adapter keeps to the recorded names, and the installed package, if any, has them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import paths
from headrace.engine.interface import SamplingParams
from headrace.engine.trtllm import api, contract
from headrace.engine.trtllm.sampling import sampling_arguments
from headrace.errors import InvalidRequest
from tests.engine.engines import END_IDS, FAKE_SITE

PENALTY = st.floats(-2, 2)


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
    llmapi = import_module("tensorrt_llm.llmapi")
    monkeypatch.delattr(llmapi.RequestOutput, "abort")
    monkeypatch.setattr(llmapi, "RequestError", None)
    found = contract.differences()
    assert "version: expected 1.2.1, found 1.4.0" in found
    assert "LLM.generate_async: streaming is missing" in found
    assert "LLM.generate_async: surprise is new" in found
    assert "LLM.generate_async: sampling_params defaults to 1, expected None" in found
    assert "SamplingParams: max_tokens defaults to 16, expected 32" in found
    assert "SamplingParams: top_k is missing" in found
    assert "RequestOutput.abort: missing" in found
    assert "llmapi.RequestError: missing" in found


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


def test_torch_sampler_ignores_a_seed_that_no_client_sent() -> None:
    assert "seed" not in mapped("TorchSampler", temperature=1.0, seed=5, seed_drawn=True)
    assert mapped("TRTLLMSampler", temperature=1.0, seed=5, seed_drawn=True)["seed"] == 5

"""From headrace.yaml to the arguments of tensorrt_llm.LLM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import config as configuration
from headrace import paths
from headrace.config import EngineConfig, LimitsConfig, TrtLlmConfig
from headrace.engine.trtllm import api
from headrace.engine.trtllm.options import OURS, UNSTABLE_BY_US, check_limits, llm_arguments
from headrace.errors import ConfigError

STABLE = [p.name for p in api.parameters("LLM.__init__").values() if p.status == "stable" and p.certain]
UNSTABLE = [p.name for p in api.parameters("LLM.__init__").values() if p.status != "stable" or not p.certain]


def arguments(passed: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    trtllm = TrtLlmConfig(trtllm=passed or {}, **settings)
    return llm_arguments(EngineConfig(name="trtllm", model=Path("/models/m"), max_running=64, trtllm=trtllm))


def test_our_settings_under_upstream_names() -> None:
    got = arguments(
        tensor_parallel=2,
        pipeline_parallel=3,
        dtype="bfloat16",
        kv_cache_memory_fraction=0.8,
        kv_cache_dtype="fp8",
        prefix_cache=False,
        max_batch_tokens=4096,
        sampler="TorchSampler",
    )
    assert got == {
        "model": "/models/m",
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 3,
        "dtype": "bfloat16",
        "max_batch_size": 64,
        "max_num_tokens": 4096,
        "enable_chunked_prefill": True,
        "guided_decoding_backend": "xgrammar",
        "enable_iter_perf_stats": True,
        "sampler_type": "TorchSampler",
        "kv_cache_config": {
            "enable_block_reuse": False,
            "free_gpu_memory_fraction": 0.8,
            "dtype": "fp8",
        },
    }


def test_everything_we_set_exists_and_is_stable_or_excused() -> None:
    known = api.parameters("LLM.__init__")
    emitted = arguments()
    unstable = {name for name in emitted if known[name].status != "stable"}
    assert unstable == set(UNSTABLE_BY_US)
    assert all(known[name].certain for name in emitted)
    inner = api.parameters("KvCacheConfig")
    assert all(inner[name].status == "stable" and inner[name].certain for name in emitted["kv_cache_config"])


def test_everything_we_set_is_closed_to_the_block() -> None:
    emitted = arguments()
    inner = {f"kv_cache_config.{name}" for name in emitted.pop("kv_cache_config")}
    assert set(emitted) | inner <= set(OURS)


def test_guided_decoding_backend_is_one_that_upstream_takes() -> None:
    assert "'xgrammar'" in api.parameters("LLM.__init__")["guided_decoding_backend"].type


@pytest.mark.parametrize("name", sorted(set(STABLE) - set(OURS) - set(api.NESTED) - {"trust_remote_code"}))
def test_a_stable_name_passes(name: str) -> None:
    assert arguments({name: 3})[name] == 3


@pytest.mark.parametrize("name", sorted(set(UNSTABLE) - set(OURS) - set(api.NESTED)))
def test_an_unstable_name_passes_only_when_allowed(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"engine\.trtllm\.trtllm\.{name}: .*add {name} to .*allow_unstable"):
        arguments({name: 3})
    assert arguments({name: 3}, allow_unstable=(name,))[name] == 3


@pytest.mark.parametrize("path", sorted(OURS))
def test_what_we_set_is_refused_even_when_allowed(path: str) -> None:
    outer, _, inner = path.partition(".")
    passed = {outer: {inner: 1}} if inner else {outer: 1}
    with pytest.raises(ConfigError, match=rf"engine\.trtllm\.trtllm\.{path}: not to be set here; "):
        arguments(passed, allow_unstable=(path,))


@pytest.mark.parametrize(
    ("passed", "message"),
    [
        ({"max_seq_length": 8192}, r"max_seq_length.*did you mean max_seq_len\?"),
        (
            {"kv_cache_config": {"host_cache": 1}},
            r"kv_cache_config\.host_cache.*did you mean host_cache_size\?",
        ),
        ({"kv_cache_config": 3}, "kv_cache_config: expected a mapping, got int"),
        ({"kv_cache_config": None}, "kv_cache_config: expected a mapping, got NoneType"),
        ({"qqqqqq": 1}, "has no argument 'qqqqqq'$"),
    ],
)
def test_a_wrong_name_is_named_with_the_closest(passed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        arguments(passed)


@given(st.text(min_size=1))
def test_no_unknown_name_passes(name: str) -> None:
    if name not in api.parameters("LLM.__init__"):
        with pytest.raises(ConfigError, match="has no argument"):
            arguments({name: 1})
        with pytest.raises(ConfigError, match="allow_unstable"):
            arguments(allow_unstable=(name,))


def test_groups_keep_what_the_block_adds() -> None:
    got = arguments({"kv_cache_config": {"host_cache_size": 1 << 30}})["kv_cache_config"]
    assert got["host_cache_size"] == 1 << 30
    assert got["enable_block_reuse"] is True


def test_a_group_without_a_stable_status_needs_to_be_allowed() -> None:
    passed = {"cuda_graph_config": {"enable_padding": True}}
    with pytest.raises(ConfigError, match="cuda_graph_config: beta"):
        arguments(passed)
    assert arguments(passed, allow_unstable=("cuda_graph_config",))["cuda_graph_config"] == {
        "enable_padding": True
    }
    assert (
        arguments({"cuda_graph_config": None}, allow_unstable=("cuda_graph_config",))["cuda_graph_config"] is None
    )


def test_an_uncertain_key_of_a_group_needs_to_be_allowed() -> None:
    key = "kv_cache_config.use_kv_cache_manager_v2"
    passed = {"kv_cache_config": {"use_kv_cache_manager_v2": True}}
    with pytest.raises(ConfigError, match="prototype, and not in every"):
        arguments(passed)
    assert arguments(passed, allow_unstable=(key,))["kv_cache_config"]["use_kv_cache_manager_v2"] is True


def test_remote_code_needs_its_own_permission() -> None:
    passed = {"trust_remote_code": True}
    with pytest.raises(ConfigError, match=r"set engine\.trtllm\.allow_remote_code: true"):
        arguments(passed, allow_unstable=("trust_remote_code",))
    assert arguments(passed, allow_remote_code=True)["trust_remote_code"] is True
    assert arguments({"trust_remote_code": False})["trust_remote_code"] is False


def test_the_example_profile_is_usable() -> None:
    loaded = configuration.load(paths.PROJECT / "profiles" / "h100.yaml")
    assert (loaded.profile, loaded.engine.name) == ("h100", "trtllm")
    assert llm_arguments(loaded.engine)["max_batch_size"] == loaded.engine.max_running
    check_limits(loaded.engine, loaded.limits)


def test_limits_above_the_engines_length_are_refused() -> None:
    limits = LimitsConfig(max_prompt_tokens=6144, max_output_tokens=2048)
    short, enough, unsaid = (
        EngineConfig(trtllm=TrtLlmConfig(trtllm=passed))
        for passed in ({"max_seq_len": 8191}, {"max_seq_len": 8192}, {})
    )
    with pytest.raises(ConfigError, match=r"max_seq_len: 8191 is less than .*6144 \+ 2048\); raise it to 8192"):
        check_limits(short, limits)
    check_limits(enough, limits)
    check_limits(unsaid, limits)

"""From `headrace.yaml` to the keyword arguments of `tensorrt_llm.LLM`, every name checked.

Two layers: our engine-neutral settings, and the pass-through block `engine.trtllm.trtllm` for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from headrace.config import EngineConfig, LimitsConfig
from headrace.engine.trtllm import api
from headrace.errors import ConfigError

BLOCK = "engine.trtllm.trtllm"

OURS = {
    "model": "engine.model sets it",
    "tokenizer": "it is read from engine.model, as the other steps do",
    "skip_tokenizer_init": "stop strings and JSON schemas need the tokenizer",
    "tensor_parallel_size": "engine.trtllm.tensor_parallel sets it",
    "pipeline_parallel_size": "engine.trtllm.pipeline_parallel sets it",
    "dtype": "engine.trtllm.dtype sets it",
    "max_batch_size": "engine.max_running sets it",
    "max_num_tokens": "engine.trtllm.max_batch_tokens sets it",
    "enable_chunked_prefill": "it is always on, so that a long prompt does not hold up running answers",
    "guided_decoding_backend": "it is always xgrammar, which response_format needs",
    "enable_iter_perf_stats": "it is always on, the engine's statistics need it",
    "sampler_type": "engine.trtllm.sampler sets it",
    "kv_cache_config.enable_block_reuse": "engine.trtllm.prefix_cache sets it",
    "kv_cache_config.free_gpu_memory_fraction": "engine.trtllm.kv_cache_memory_fraction sets it",
    "kv_cache_config.dtype": "engine.trtllm.kv_cache_dtype sets it",
}
"""What the pass-through block may not set, and why."""

UNSTABLE_BY_US = {
    "enable_iter_perf_stats": "prototype; without it there are no statistics at all",
    "sampler_type": "beta; the default sampler of 1.2 takes penalties and seeds but does not apply them",
}
"""Arguments that we set although upstream does not call them stable."""


def llm_arguments(config: EngineConfig) -> dict[str, Any]:
    """Keyword arguments of `tensorrt_llm.LLM`; groups of options are plain dicts.

    Raises `ConfigError` that names the key and, for an unknown one, the closest known.
    """
    settings = config.trtllm
    passed = _checked(config)
    return {
        "model": str(config.model),
        "tensor_parallel_size": settings.tensor_parallel,
        "pipeline_parallel_size": settings.pipeline_parallel,
        "dtype": settings.dtype,
        "max_batch_size": config.max_running,
        "max_num_tokens": settings.max_batch_tokens,
        "enable_chunked_prefill": True,
        "guided_decoding_backend": "xgrammar",
        "enable_iter_perf_stats": True,
        "sampler_type": settings.sampler,
        **passed,
        "kv_cache_config": {
            **passed.get("kv_cache_config", {}),
            "enable_block_reuse": settings.prefix_cache,
            "free_gpu_memory_fraction": settings.kv_cache_memory_fraction,
            "dtype": settings.kv_cache_dtype,
        },
    }


def max_seq_len(config: EngineConfig) -> int | None:
    """Most tokens that prompt and answer may have together; None: what the checkpoint says."""
    value = config.trtllm.trtllm.get("max_seq_len")
    return value if isinstance(value, int) else None


def check_limits(config: EngineConfig, limits: LimitsConfig) -> None:
    """The longest request that the limits allow fits into the engine. Raises `ConfigError`."""
    most, longest = max_seq_len(config), limits.max_prompt_tokens + limits.max_output_tokens
    if most is not None and longest > most:
        raise ConfigError(
            f"{BLOCK}.max_seq_len: {most} is less than limits.max_prompt_tokens + limits.max_output_tokens "
            f"({limits.max_prompt_tokens} + {limits.max_output_tokens}); raise it to {longest} or lower the limits"
        )


def _checked(config: EngineConfig) -> dict[str, Any]:
    """The pass-through block, once every name in it is known, ours to give, and stable or allowed."""
    settings = config.trtllm
    allowed = set(settings.allow_unstable)
    if unknown := sorted(allowed - set(_paths())):
        raise ConfigError(f"engine.trtllm.allow_unstable: {_unknown(unknown[0], _paths())}")
    for key, value in settings.trtllm.items():
        _check(key, "LLM.__init__", key, allowed)
        if key in api.NESTED and (value is not None or key == "kv_cache_config"):
            if not isinstance(value, dict):
                raise ConfigError(f"{BLOCK}.{key}: expected a mapping, got {type(value).__name__}")
            for inner in value:
                _check(f"{key}.{inner}", api.NESTED[key], inner, allowed)
    if settings.trtllm.get("trust_remote_code") and not settings.allow_remote_code:
        raise ConfigError(
            f"{BLOCK}.trust_remote_code: it runs Python code from the model's folder in the engine; "
            "if you have read that code, set engine.trtllm.allow_remote_code: true"
        )
    return dict(settings.trtllm)


def _check(path: str, section: str, name: str, allowed: set[str]) -> None:
    known = api.parameters(section)
    if name not in known:
        raise ConfigError(f"{BLOCK}.{path}: {_unknown(name, known)}")
    if path in OURS:
        raise ConfigError(f"{BLOCK}.{path}: not to be set here; {OURS[path]}")
    parameter = known[name]
    if path in allowed or (parameter.status == "stable" and parameter.certain):
        return
    state = parameter.status if parameter.certain else f"{parameter.status}, and not in every 1.2 release"
    raise ConfigError(
        f"{BLOCK}.{path}: {state}, so it may change in any release; "
        f"to use it all the same add {path} to engine.trtllm.allow_unstable"
    )


def _paths() -> list[str]:
    """Every name that `allow_unstable` may hold."""
    inner = [f"{key}.{name}" for key, section in api.NESTED.items() for name in api.parameters(section)]
    return [*api.parameters("LLM.__init__"), *inner]


def _unknown(name: str, known: Iterable[str]) -> str:
    closest = get_close_matches(str(name), list(known), n=1)
    hint = f"; did you mean {closest[0]}?" if closest else ""
    return f"TensorRT-LLM {api.VERSION} has no argument {name!r}{hint}"

"""From a request to the keyword arguments of `tensorrt_llm.SamplingParams`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from headrace.engine.interface import SamplingParams
from headrace.errors import InvalidRequest

PENALTIES = {"repetition_penalty": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
"""Each penalty's value that changes nothing."""


def sampling_arguments(
    sampling: SamplingParams,
    end_ids: tuple[int, ...],
    sampler: str,
    guided_decoding: Callable[..., object],
) -> dict[str, Any]:
    """Only what this request needs; the rest keeps upstream's defaults.

    `end_ids` are the ids that end an answer, `guided_decoding` is the class `GuidedDecodingParams`. Raises
    `InvalidRequest` for what the configured sampler would take and not do.
    """
    if sampler == "TorchSampler":
        _refuse_what_torch_sampler_lacks(sampling)
    arguments: dict[str, Any] = {
        "max_tokens": sampling.max_tokens,
        "detokenize": False,  # token ids are what we hand on; stop strings are compared as ids, too
        **_end(sampling, end_ids),
        **_choice(sampling, sampler),
    }
    for name, neutral in PENALTIES.items():
        if (value := getattr(sampling, name)) != neutral:
            arguments[name] = value
    if sampling.stop:
        arguments["stop"] = list(sampling.stop)
    if sampling.stop or "stop_token_ids" in arguments:
        # Otherwise the last result is shorter than the one before it: what has been streamed is taken back.
        arguments["include_stop_str_in_output"] = True
    if sampling.log_probs:
        arguments["logprobs"] = 1
    if sampling.json_schema is not None:
        arguments["guided_decoding"] = guided_decoding(json=sampling.json_schema)
    return arguments


def _end(sampling: SamplingParams, end_ids: tuple[int, ...]) -> dict[str, Any]:
    """Upstream takes only the tokenizer's own end token; chat models often have further ones."""
    arguments: dict[str, Any] = {"end_id": end_ids[0]}
    if sampling.min_tokens:
        arguments["min_tokens"] = sampling.min_tokens
    # min_tokens holds back end_id only: the others would still end an answer that must have full length.
    if len(end_ids) > 1 and sampling.min_tokens < sampling.max_tokens:
        arguments["stop_token_ids"] = list(end_ids[1:])
    return arguments


def _choice(sampling: SamplingParams, sampler: str) -> dict[str, Any]:
    if sampling.greedy:
        return {"top_k": 1}  # upstream wants a temperature above 0
    # top_p goes along even when it is 1: with neither top_p nor top_k upstream samples greedily.
    arguments: dict[str, Any] = {"temperature": sampling.temperature, "top_p": sampling.top_p}
    if sampling.top_k:
        arguments["top_k"] = sampling.top_k
    if sampler != "TorchSampler":
        # Left out, it would be 0 for every request: all would draw the same.
        arguments["seed"] = secrets.randbits(63) if sampling.seed is None else sampling.seed
    return arguments


def _refuse_what_torch_sampler_lacks(sampling: SamplingParams) -> None:
    lacking = [name for name, neutral in PENALTIES.items() if getattr(sampling, name) != neutral]
    if sampling.seed is not None and not (sampling.seed_drawn or sampling.greedy):
        lacking.append("random_seed")
    if sampling.log_probs and not sampling.greedy:
        lacking.append("return_log_probs")  # it promises the likeliest token's, not the drawn one's
    if lacking:
        raise InvalidRequest(
            lacking[0],
            "this server's sampler (TorchSampler) cannot do it; leave it out, "
            "or run the server with engine.trtllm.sampler: TRTLLMSampler",
        )

"""The optional sampling tensors of a request, checked: the only way from a client's numbers to an engine."""

from __future__ import annotations

from headrace.config import LimitsConfig
from headrace.engine.interface import SamplingParams
from headrace.engine.json_schema import FIELD as SCHEMA_FIELD
from headrace.engine.json_schema import check_schema
from headrace.errors import InvalidRequest
from headrace.triton import tensors
from headrace.triton.tensors import GetTensor

MAX_TEMPERATURE = 100.0
MAX_PENALTY = 2.0


def read_sampling(get: GetTensor, limits: LimitsConfig) -> SamplingParams:
    """Shapes are [1, 1] ([1, n] for stop_words). Raises `InvalidRequest` naming the tensor."""
    max_tokens = read_max_tokens(get, limits)
    min_tokens = tensors.integer(get, "min_tokens") or 0
    if not 0 <= min_tokens <= max_tokens:
        raise InvalidRequest("min_tokens", f"got {min_tokens}, expected 0 to max_tokens ({max_tokens})")
    top_k = tensors.integer(get, "top_k") or 0
    if top_k < 0:
        raise InvalidRequest("top_k", f"got {top_k}, expected 1 or more, or 0 for no limit")
    schema = tensors.text(get, SCHEMA_FIELD, limits.max_schema_bytes)
    return SamplingParams(
        max_tokens=max_tokens,
        min_tokens=min_tokens,
        temperature=_within(get, "temperature", 0.0, 0.0, MAX_TEMPERATURE),
        top_k=top_k,
        top_p=_within(get, "top_p", 1.0, 0.0, 1.0, above=True),
        seed=tensors.integer(get, "random_seed"),
        seed_drawn=tensors.flag(get, "seed_drawn"),
        repetition_penalty=_within(get, "repetition_penalty", 1.0, 0.0, MAX_PENALTY, above=True),
        frequency_penalty=_within(get, "frequency_penalty", 0.0, -MAX_PENALTY, MAX_PENALTY),
        presence_penalty=_within(get, "presence_penalty", 0.0, -MAX_PENALTY, MAX_PENALTY),
        stop=read_stop_words(get, limits),
        log_probs=tensors.flag(get, "return_log_probs"),
        json_schema=None if schema is None else check_schema(schema, limits.max_schema_bytes),
    )


def read_max_tokens(get: GetTensor, limits: LimitsConfig) -> int:
    """At least 1; more than the configured limit is cut to it."""
    value = tensors.integer(get, "max_tokens")
    if value is None:
        value = limits.default_output_tokens
    if value < 1:
        raise InvalidRequest("max_tokens", f"got {value}, expected 1 or more")
    return min(value, limits.max_output_tokens)


def read_stop_words(get: GetTensor, limits: LimitsConfig, name: str = "stop_words") -> tuple[str, ...]:
    words = tensors.texts(get, name, limits.max_stop_words, limits.max_stop_bytes)
    if "" in words:
        raise InvalidRequest(name, f"string {words.index('')} is empty; remove it")
    return words


def _within(get: GetTensor, name: str, default: float, low: float, high: float, above: bool = False) -> float:
    value = tensors.number(get, name)
    if value is None:
        return default
    if not low <= value <= high or (above and value == low):  # which holds for NaN too
        bounds = f"above {low:g} and at most {high:g}" if above else f"{low:g} to {high:g}"
        raise InvalidRequest(name, f"got {value:g}, expected {bounds}")
    return value

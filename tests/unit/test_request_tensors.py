"""From a request's tensors to checked values: each mistake is refused by the name of its tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from headrace.config import Config, LimitsConfig
from headrace.engine.json_schema import check_schema
from headrace.errors import InvalidRequest
from headrace.triton.prompt import PromptReader
from headrace.triton.sampling import read_sampling
from headrace.triton.tensors import GetTensor

LIMITS = LimitsConfig(max_output_tokens=100, max_stop_words=3, max_stop_bytes=64, max_prompt_tokens=200)
DTYPES: dict[str, Any] = {
    "max_tokens": np.int32, "min_tokens": np.int32, "temperature": np.float32, "top_k": np.int32,
    "top_p": np.float32, "random_seed": np.uint64, "repetition_penalty": np.float32,
    "frequency_penalty": np.float32, "presence_penalty": np.float32, "return_log_probs": np.bool_,
}  # fmt: skip


def tensors(values: Mapping[str, Any]) -> GetTensor:
    """As Triton gives them: [1, n]."""

    def get(name: str) -> NDArray[Any] | None:
        if name not in values:
            return None
        value = values[name]
        if isinstance(value, np.ndarray):
            return value
        items = value if isinstance(value, list) else [value]
        return np.array([items], dtype=DTYPES.get(name, np.object_))

    return get


def test_what_is_left_out_means_greedy_with_the_default_length() -> None:
    sampling = read_sampling(tensors({}), LIMITS)
    assert sampling.greedy
    assert sampling.max_tokens == 100
    assert sampling.seed is None
    assert sampling.stop == ()


def test_every_value_arrives() -> None:
    sampling = read_sampling(
        tensors(
            {
                "max_tokens": 50, "min_tokens": 5, "temperature": 0.5, "top_k": 7, "top_p": 0.25,
                "random_seed": 2**64 - 1, "repetition_penalty": 1.5, "frequency_penalty": -2.0,
                "presence_penalty": 2.0, "return_log_probs": True, "stop_words": [b"a", "é".encode()],
                "response_format": b'{"type": "string"}',
            }
        ),
        LIMITS,
    )  # fmt: skip
    assert (sampling.max_tokens, sampling.min_tokens, sampling.top_k) == (50, 5, 7)
    assert (sampling.temperature, sampling.top_p, sampling.repetition_penalty) == (0.5, 0.25, 1.5)
    assert (sampling.frequency_penalty, sampling.presence_penalty) == (-2.0, 2.0)
    assert (sampling.seed, sampling.log_probs, sampling.stop) == (2**64 - 1, True, ("a", "é"))
    assert sampling.json_schema == '{"type":"string"}'


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (100, 100), (101, 100), (2**31 - 1, 100)])
def test_max_tokens_is_cut_to_the_limit(asked: int, given: int) -> None:
    assert read_sampling(tensors({"max_tokens": asked}), LIMITS).max_tokens == given


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0), ("max_tokens", -1), ("max_tokens", -(2**31)), ("max_tokens", [1, 2]),
        ("min_tokens", -1), ("min_tokens", 101),
        ("temperature", NAN), ("temperature", INF), ("temperature", -1), ("temperature", 1e9),
        ("top_p", 0), ("top_p", 1.1), ("top_p", -0.5), ("top_p", NAN),
        ("top_k", -5), ("top_k", -1),
        ("repetition_penalty", 0), ("repetition_penalty", -1), ("repetition_penalty", 3),
        ("repetition_penalty", NAN),
        ("frequency_penalty", 2.5), ("frequency_penalty", -INF), ("presence_penalty", -2.5),
        ("presence_penalty", NAN),
        ("stop_words", [b""]), ("stop_words", [b"a", b""]), ("stop_words", [b"a"] * 4),
        ("stop_words", [b"x" * 65]),
        ("stop_words", [b"\xff"]), ("stop_words", [b"a\0"]),
        ("response_format", b"{"), ("response_format", b"\xff"), ("response_format", b"x" * 20_000),
        ("temperature", np.zeros((2, 1), np.float32)), ("top_p", np.zeros((1, 0), np.float32)),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_sampling(tensors({name: value}), LIMITS)
    assert refusal.value.field == name
    assert str(refusal.value).startswith(f"{name}: ")


@pytest.fixture(scope="module")
def prompts() -> PromptReader:
    return PromptReader(Config(limits=LIMITS))


def test_text_input_is_one_user_message(prompts: PromptReader) -> None:
    conversation = json.dumps([{"role": "user", "content": "Hello"}]).encode()
    by_text = prompts.read(tensors({"text_input": b"Hello"}))
    by_messages = prompts.read(tensors({"messages": conversation}))
    assert by_text == by_messages


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "text_input"),
        ({"text_input": b"a", "messages": b"[]"}, "text_input"),
        ({"text_input": b""}, "text_input"),
        ({"text_input": b"\xed\xa0\x80"}, "text_input"),
        ({"text_input": b"a\0b"}, "text_input"),
        ({"text_input": b"x" * 300_000}, "text_input"),
        ({"text_input": b"word " * 500}, "text_input"),
        ({"text_input": np.array([[b"a"], [b"b"]], dtype=np.object_)}, "text_input"),
        ({"text_input": [b"a", b"b"]}, "text_input"),
        ({"messages": b"[]"}, "messages"),
        ({"messages": b"\xff"}, "messages"),
        ({"text_input": b"hi", "max_tokens": 0}, "max_tokens"),
    ],
)
def test_a_bad_prompt_is_refused_by_name(prompts: PromptReader, values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        prompts.read(tensors(values))
    assert refusal.value.field == field


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "required": ["a"],
            "additionalProperties": False,
        },
        {"type": "array", "items": {"enum": ["a", 1, None]}, "minItems": 1, "maxItems": 3},
        {"anyOf": [{"type": "string", "maxLength": 5}, {"const": True}]},
    ],
)
def test_a_good_schema_passes(schema: dict[str, Any]) -> None:
    assert json.loads(check_schema(json.dumps(schema), 10_000)) == schema


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ([], "expected a schema object, got list"),
        ({}, "says no type"),
        ({"type": "objec"}, r"\$\.type"),
        ({"$ref": "#"}, "'\\$ref' is not supported"),
        ({"type": "string", "pattern": "(a+)+$"}, "'pattern' is not supported"),
        ({"type": "array"}, "needs items"),
        ({"type": "array", "items": {"type": "array"}}, r"\$\.items: an array needs items"),
        ({"type": "object", "required": ["a"]}, r"\$\.required"),
        ({"type": "object", "properties": []}, r"\$\.properties"),
        ({"type": "object", "properties": {"a": {"type": 3}}}, r"\$\.properties\.a\.type"),
        ({"type": ["string"]}, r"\$\.type"),
        ({"enum": []}, r"\$\.enum"),
        ({"enum": [{}]}, r"\$\.enum"),
        ({"const": []}, r"\$\.const"),
        ({"const": "a\u00e9b"}, "before a hexadecimal digit"),
        ({"enum": ["fine", "\u00ff0"]}, r"\$\.enum\[1\]"),
        ({"anyOf": []}, r"\$\.anyOf"),
        ({"type": "string", "minLength": 5, "maxLength": 1}, "minLength is above maxLength"),
        ({"type": "string", "maxLength": 10**9}, r"\$\.maxLength"),
        (nested(17), "nested deeper than 16"),
        ({"anyOf": [{"type": "null"}] * 600}, "more than 512 parts"),
    ],
)
def test_a_bad_schema_is_refused_with_its_place(schema: Any, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as refusal:
        check_schema(json.dumps(schema), 100_000)
    assert refusal.value.field == "response_format"


def test_a_schema_too_deep_to_parse_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="response_format"):
        check_schema("[" * 90_000, 100_000)

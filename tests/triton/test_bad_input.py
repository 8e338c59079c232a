"""What is wrong with a request is said by name, with the right code, and the server goes on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.stack import Stack
from tests.triton.answers import Refused
from tests.triton.doors import DOORS, STREAM, UNARY, Door
from tests.triton.mock_answer import mock_answer
from tests.triton.tensors import OPTIONS, Inputs, Tensor

GOOD: dict[str, Any] = {"text_input": "Good morning", "max_tokens": 12}


@dataclass(frozen=True)
class Case:
    name: str
    inputs: Inputs
    """What differs from GOOD; None takes an input out."""
    says: str
    """Words of the message: the field first."""
    only: str = ""
    """The one protocol that can carry it."""

    @property
    def request(self) -> dict[str, Any]:
        return {name: value for name, value in {**GOOD, **self.inputs}.items() if value is not None}


def one(datatype: str, value: Any) -> Tensor:
    return Tensor([value], (1, 1), datatype)


def chat(*messages: Any) -> dict[str, Any]:
    return {"text_input": None, "messages": json.dumps(list(messages))}


def raw_chat(text: str | bytes) -> dict[str, Any]:
    return {"text_input": None, "messages": text}


def schema(value: Any) -> dict[str, Any]:
    return {"response_format": value if isinstance(value, str) else json.dumps(value)}


def deep_schema(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        value = {"type": "array", "items": value}
    return value


HI = {"role": "user", "content": "Hi"}
IMAGE = {"type": "image_url", "text": ""}
TWO = Tensor(["Hi", "Ho"], (2, 1), "BYTES")
TWO_LENGTHS = Tensor([5, 5], (2, 1), "INT32")
ALONE = {"max_tokens": None}
RECURSIVE = {"type": "object", "properties": {"a": {"$ref": "#"}}}

# fmt: off
CASES = [
    # the prompt
    Case("empty prompt", {"text_input": ""}, "text_input: the prompt is empty"),
    Case("prompt of 1 MB", {"text_input": "a" * 2**20}, "text_input: 1048576 bytes, at most 262144"),
    Case("prompt of too many tokens", {"text_input": "1 " * 5000}, "text_input: .* tokens .*, at most 4096"),
    Case("NUL in the prompt", {"text_input": "a\0b"}, "text_input: holds a NUL character at place 1"),
    Case("prompt is no UTF-8", {"text_input": b"a\xffb"}, "text_input: not valid UTF-8 at byte 1", only="grpc"),
    Case("overlong UTF-8", {"text_input": b"\xc0\xaf"}, "text_input: not valid UTF-8 at byte 0", only="grpc"),
    Case("surrogate bytes", {"text_input": b"\xed\xa0\x80"}, "text_input: not valid UTF-8 at byte 0", only="grpc"),
    Case("cut character", {"text_input": "é".encode()[:1]}, "text_input: not valid UTF-8 at byte 0", only="grpc"),
    Case("both prompts", {"messages": json.dumps([HI])}, "text_input: send either text_input or messages; both"),
    Case("neither prompt", {"text_input": None}, "text_input: send either text_input or messages; neither"),
    # messages
    Case("messages empty text", raw_chat(""), "messages: not valid JSON"),
    Case("messages truncated", raw_chat('[{"role": "user"'), "messages: not valid JSON"),
    Case("messages not a list", raw_chat(json.dumps(HI)), "messages: .*array.*role, content"),
    Case("messages null", raw_chat("null"), "messages: .*array"),
    Case("messages of nothing", chat(), "messages: the list is empty"),
    Case("messages all empty", chat({"role": "user", "content": ""}), "messages: all messages are empty"),
    Case("too many messages", chat(*[HI] * 257), "messages: 257 messages, at most 256"),
    Case("unknown role", chat(HI, {"role": "root", "content": "Hi"}), r"messages: .*\$\[1\]\.role"),
    Case("no role", chat({"content": "Hi"}), r"messages: .*role.*\$\[0\]"),
    Case("no content", chat({"role": "user"}), r"messages: .*content.*\$\[0\]"),
    Case("content null", chat({"role": "user", "content": None}), r"messages: .*\$\[0\]\.content"),
    Case("content number", chat({"role": "user", "content": 5}), r"messages: .*\$\[0\]\.content"),
    Case("unknown key", chat({**HI, "weight": 1}), r"messages: .*weight.*\$\[0\]"),
    Case("image part", chat({"role": "user", "content": [IMAGE]}), r"messages: .*\$\[0\]\.content\[0\]\.type"),
    Case("lone surrogate", raw_chat(r'[{"role": "user", "content": "a \ud800 b"}]'), "messages: not valid JSON"),
    Case("NUL in a message", chat({"role": "user", "content": "a\0b"}), r"messages: \$\[0\]\.content holds a NUL"),
    Case("100 000 levels", raw_chat("[" * 100_000), "messages: (not valid JSON|.*array|.*object)"),
    Case("messages of 1 MB", chat({"role": "user", "content": "a" * 2**20}), "messages: .* bytes, at most 262144"),
    # lengths
    Case("max_tokens 0", {"max_tokens": 0}, "max_tokens: got 0, expected 1 or more"),
    Case("max_tokens -1", {"max_tokens": -1}, "max_tokens: got -1, expected 1 or more"),
    Case("max_tokens 2^31", {"max_tokens": one("INT64", 2**31)}, "max_tokens"),
    Case("max_tokens as text", {"max_tokens": one("BYTES", "5")}, "max_tokens"),
    Case("max_tokens as boolean", {"max_tokens": one("BOOL", True)}, "max_tokens"),
    Case("min_tokens -1", {"min_tokens": -1}, "min_tokens: got -1, expected 0 to max_tokens"),
    Case("min_tokens above max_tokens", {"min_tokens": 13}, "min_tokens: got 13, expected 0 to max_tokens"),
    # sampling
    Case("temperature NaN", {"temperature": math.nan}, "temperature: got nan, expected 0 to 100"),
    Case("temperature infinite", {"temperature": math.inf}, "temperature: got inf, expected 0 to 100"),
    Case("temperature -1", {"temperature": -1.0}, "temperature: got -1, expected 0 to 100"),
    Case("temperature 1e9", {"temperature": 1e9}, r"temperature: got 1e\+09, expected 0 to 100"),
    Case("top_p 0", {"top_p": 0.0}, "top_p: got 0, expected above 0 and at most 1"),
    Case("top_p 1.1", {"top_p": 1.1}, "top_p: got 1.1, expected above 0 and at most 1"),
    Case("top_p NaN", {"top_p": math.nan}, "top_p: got nan"),
    Case("top_k -5", {"top_k": -5}, "top_k: got -5, expected 1 or more"),
    Case("repetition_penalty 0", {"repetition_penalty": 0.0}, "repetition_penalty: got 0, expected above 0"),
    Case("repetition_penalty 3", {"repetition_penalty": 3.0}, "repetition_penalty: got 3"),
    Case("frequency_penalty -2.1", {"frequency_penalty": -2.1}, "frequency_penalty: got -2.1, expected -2 to 2"),
    Case("presence_penalty 1e30", {"presence_penalty": 1e30}, r"presence_penalty: got 1e\+30, expected -2 to 2"),
    Case("presence_penalty NaN", {"presence_penalty": math.nan}, "presence_penalty: got nan"),
    Case("seed as text", {"random_seed": one("BYTES", "7")}, "random_seed"),
    # stop words
    Case("empty stop word", {"stop_words": ["a", ""]}, "stop_words: string 1 is empty"),
    Case("too many stop words", {"stop_words": ["a"] * 1025}, "stop_words: 1025 strings, at most 1024"),
    Case("too long stop words", {"stop_words": ["a" * 9000] * 2}, "stop_words: 18000 bytes in all, at most 16384"),
    Case("NUL in a stop word", {"stop_words": ["\0"]}, "stop_words: holds a NUL"),
    Case("stop word is no UTF-8", {"stop_words": [b"\xff"]}, "stop_words: not valid UTF-8", only="grpc"),
    # response_format
    Case("schema is no JSON", schema("{"), "response_format: not valid JSON"),
    Case("schema is no object", schema("[]"), r"response_format: \$: expected a schema object, got list"),
    Case("schema of true", schema("true"), r"response_format: \$: expected a schema object, got bool"),
    Case("schema without a type", schema("{}"), r"response_format: \$: says no type"),
    Case("recursive schema", schema(RECURSIVE), r"response_format: \$\.properties\.a: '\$ref' is not supported"),
    Case("regex", schema({"type": "string", "pattern": "(a+)+$"}), r"response_format: \$: 'pattern' is not"),
    Case("unknown type", schema({"type": "date"}), r"response_format: \$\.type: expected one of"),
    Case("schema 100 levels deep", schema(deep_schema(100)), "response_format: .*nested deeper than 16"),
    Case("schema 10 000 levels deep", schema("[" * 10_000), "response_format: not valid JSON"),
    Case("schema too long", schema({"const": "a" * 20_000}), "response_format: .* bytes"),
    Case("schema too wide", schema({"anyOf": [{"type": "null"}] * 600}), "response_format: .*more than 512 parts"),
    Case("array without items", schema({"type": "array"}), r"response_format: \$: an array needs items"),
    Case("required stranger", schema({"type": "object", "required": ["a"]}), r"response_format: \$\.required"),
    Case("count too high", schema({"type": "string", "maxLength": 10**9}), r"response_format: \$\.maxLength"),
    # cache_scope
    Case("cache_scope too long", {"cache_scope": "a" * 257}, "cache_scope: 257 bytes, at most 256"),
    Case("NUL in cache_scope", {"cache_scope": "\0"}, "cache_scope: holds a NUL"),
    # tensors: Triton itself refuses most of these
    Case("wrong datatype", {"text_input": one("INT32", 1)}, "'text_input' data-type is 'INT32'"),
    Case("max_tokens as FP32", {"max_tokens": one("FP32", 5.0)}, "'max_tokens' data-type is 'FP32'"),
    Case("shape [1]", {"text_input": Tensor(["Hi"], (1,), "BYTES")}, "shape for input 'text_input'"),
    Case("shape [1, 1, 1]", {"text_input": Tensor(["Hi"], (1, 1, 1), "BYTES")}, "shape for input 'text_input'"),
    Case("shape [1, 2]", {"text_input": Tensor(["Hi", "Ho"], (1, 2), "BYTES")}, "shape for input 'text_input'"),
    Case("shape [0, 1]", {"text_input": Tensor([], (0, 1), "BYTES")}, "'text_input'"),
    Case("shape [0, 1] alone", {**ALONE, "text_input": Tensor([], (0, 1), "BYTES")}, "'text_input'"),
    Case("two prompts", {"text_input": TWO, "max_tokens": TWO_LENGTHS}, "batch-size must be <= 1"),
    Case("two prompts alone", {**ALONE, "text_input": TWO}, "batch-size must be <= 1"),
    Case("two prompts, one length", {"text_input": TWO}, "batch size does not match|batch-size must be <= 1"),
    Case("more strings than the shape", {"text_input": Tensor(["Hi", "Ho"], (1, 1), "BYTES")}, "'text_input'"),
    Case("fewer strings than the shape", {"stop_words": Tensor(["Hi"], (1, 2), "BYTES")}, "'stop_words'"),
    Case("fewer numbers than the shape", {"top_k": Tensor([], (1, 1), "INT32")}, "'top_k'", only="grpc"),
    Case("unknown input", {"nonsense": one("INT32", 1)}, "'nonsense'"),
    # Triton's Python backend refuses this before any code of a step runs.
    Case("no input at all", dict.fromkeys(GOOD), "request has 0 inputs"),
]
# fmt: on


def runs() -> Iterator[Any]:
    for case in CASES:
        for door in DOORS:
            plain = not any(isinstance(value, Tensor) for value in case.inputs.values())
            if case.only in {"", door.protocol} and (door.carries_tensors or plain):
                yield pytest.param(case, door, id=f"{case.name}-{door}")


@pytest.mark.parametrize(("case", "door"), list(runs()))
def test_a_bad_request_is_refused_by_name_and_the_server_goes_on(
    mock_stack: Stack, case: Case, door: Door
) -> None:
    with pytest.raises(Refused) as caught:
        door.infer(mock_stack, case.request)
    assert caught.value.status == door.invalid
    assert re.search(case.says, caught.value.message), caught.value.message[:500]
    assert door.infer(mock_stack, GOOD).text == mock_answer("Good morning", 12)


ONE_OPTION = [
    pytest.param(door, name, id=f"{door}-{name}")
    for door in DOORS
    for name in OPTIONS
    if door.model != "completion" or name != "guard_policy"  # the cached half knows no policy
]


@pytest.mark.parametrize(("door", "name"), ONE_OPTION)
def test_an_option_without_a_prompt_is_refused_by_the_prompts_name(
    mock_stack: Stack, door: Door, name: str
) -> None:
    """A step that gets no tensor at all would say nothing that helps."""
    with pytest.raises(
        Refused, match="text_input: send either text_input or messages; neither was sent"
    ) as caught:
        door.infer(mock_stack, {name: OPTIONS[name]})
    assert caught.value.status == door.invalid


def test_duplicate_keys_in_messages_take_the_last(mock_stack: Stack) -> None:
    messages = '[{"role": "user", "content": "first", "content": "Good morning"}]'
    answer = UNARY.infer(mock_stack, {"messages": messages, "max_tokens": 12})
    assert answer.text == mock_answer("Good morning", 12)


def test_the_real_engine_goes_on_after_a_storm_of_bad_requests(stack: Stack) -> None:
    for case in CASES:
        with pytest.raises(Refused):
            STREAM.infer(stack, case.request)
    assert UNARY.infer(stack, GOOD).last.completion_tokens > 0

"""Triton's response cache lies round `completion`: it sees every input that changes an answer."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.stack import Stack
from tests.triton.answers import Refused
from tests.triton.doors import COMPLETION, STREAM, UNARY, Door
from tests.triton.http_port import metrics
from tests.triton.mock_answer import mock_answer
from tests.triton.tensors import OPTIONS, PUBLIC, Inputs


def hits(stack: Stack) -> float:
    return metrics(stack, 'nv_cache_num_hits_per_model{model="completion",version="1"}')


@pytest.fixture
def prompt() -> str:
    """One that nobody has asked before."""
    return f"cached? {uuid.uuid4()}"


def said(*texts: str) -> str:
    """`messages` of a conversation."""
    return json.dumps([{"role": "user", "content": text} for text in texts])


OTHER = {
    "max_tokens": 21,
    "min_tokens": 3,
    "temperature": 0.8,
    "top_k": 41,
    "top_p": 0.91,
    "random_seed": 8,
    "stop_words": ["ever"],
    "frequency_penalty": 0.11,
    "presence_penalty": 0.21,
    "repetition_penalty": 1.11,
    "return_log_probs": False,
    "response_format": '{"type":"integer"}',
    "cache_scope": "b",
}
"""Another value for each of OPTIONS that changes what the engine says."""


@pytest.mark.parametrize(
    "door", [UNARY, COMPLETION, Door("assistant", "infer"), Door("assistant", "generate")], ids=str
)
def test_a_repeat_is_answered_from_the_cache(mock_stack: Stack, prompt: str, door: Door) -> None:
    inputs = {"text_input": prompt, "max_tokens": 30}
    before = hits(mock_stack)
    first = door.infer(mock_stack, inputs)
    assert hits(mock_stack) == before
    made = mock_stack.stats().engine.generated_tokens
    second = door.infer(mock_stack, inputs)
    assert hits(mock_stack) == before + 1
    # The supervisor's probe may have made one token meanwhile.
    assert mock_stack.stats().engine.generated_tokens - made < 5
    assert second == first
    assert first.text == mock_answer(prompt, 30)


def test_a_hit_needs_no_engine_of_the_real_model_either(stack: Stack, prompt: str) -> None:
    inputs = {"text_input": prompt, "max_tokens": 12, "min_tokens": 12}
    before = hits(stack)
    first = UNARY.infer(stack, inputs)
    assert UNARY.infer(stack, inputs) == first
    assert hits(stack) == before + 1


def test_the_tables_cover_every_public_input() -> None:
    assert OTHER.keys() == PUBLIC.keys() - {"text_input", "messages", "guard_policy"}


def with_other(inputs: Inputs, name: str) -> Inputs:
    if name == "text_input":
        return {**inputs, name: f"another {inputs[name]}"}
    if name == "messages":
        return {**inputs, name: said("another", *(turn["content"] for turn in json.loads(inputs[name])))}
    return {**inputs, name: OTHER[name]}


@pytest.mark.parametrize("name", ["text_input", "messages", *OTHER])
def test_another_value_of_any_one_input_is_another_answer(mock_stack: Stack, prompt: str, name: str) -> None:
    question = {"messages": said(prompt)} if name == "messages" else {"text_input": prompt}
    inputs = {**OPTIONS, **question}
    UNARY.infer(mock_stack, inputs)
    before = hits(mock_stack)
    UNARY.infer(mock_stack, with_other(inputs, name))
    assert hits(mock_stack) == before
    UNARY.infer(mock_stack, inputs)
    assert hits(mock_stack) == before + 1


@pytest.mark.parametrize("name", OTHER)
def test_leaving_one_input_out_is_another_answer(mock_stack: Stack, prompt: str, name: str) -> None:
    inputs = {**OPTIONS, "text_input": prompt}
    UNARY.infer(mock_stack, inputs)
    before = hits(mock_stack)
    UNARY.infer(mock_stack, {key: value for key, value in inputs.items() if key != name})
    assert hits(mock_stack) == before


def test_a_prompt_and_the_same_text_as_messages_are_apart(mock_stack: Stack, prompt: str) -> None:
    before = hits(mock_stack)
    as_text = UNARY.infer(mock_stack, {"text_input": prompt, "max_tokens": 30})
    as_messages = UNARY.infer(mock_stack, {"messages": said(prompt), "max_tokens": 30})
    assert hits(mock_stack) == before
    assert as_text == as_messages


def test_values_do_not_run_together_between_inputs(mock_stack: Stack, prompt: str) -> None:
    before = hits(mock_stack)
    for words in (["ab", "c"], ["a", "bc"], ["abc"]):
        UNARY.infer(mock_stack, {"text_input": prompt, "max_tokens": 5, "stop_words": words})
    assert hits(mock_stack) == before


@pytest.mark.parametrize(
    "sampling",
    [{"temperature": 1.0}, {"temperature": 0.01, "top_k": 5}, {"temperature": 1.0, "cache_scope": "mine"}],
    ids=["hot", "cool", "scoped"],
)
def test_sampling_without_a_seed_is_never_answered_from_the_cache(
    mock_stack: Stack, prompt: str, sampling: Inputs
) -> None:
    before = hits(mock_stack)
    texts = {UNARY.infer(mock_stack, {"text_input": prompt, "max_tokens": 8, **sampling}).text for _ in range(8)}
    assert hits(mock_stack) == before
    assert len(texts) > 1


def test_sampling_with_a_seed_is(mock_stack: Stack, prompt: str) -> None:
    before = hits(mock_stack)
    inputs = {"text_input": prompt, "max_tokens": 8, "temperature": 1.0, "random_seed": 5}
    assert UNARY.infer(mock_stack, inputs) == UNARY.infer(mock_stack, inputs)
    assert hits(mock_stack) == before + 1


def test_streams_are_never_answered_from_the_cache(mock_stack: Stack, prompt: str) -> None:
    inputs = {"text_input": prompt, "max_tokens": 100}
    before = hits(mock_stack)
    for _ in range(3):
        made = mock_stack.stats().engine.generated_tokens
        assert STREAM.infer(mock_stack, inputs).text == mock_answer(prompt, 100)
        assert mock_stack.stats().engine.generated_tokens - made >= 100
    assert hits(mock_stack) == before


def test_an_error_is_not_kept(mock_stack: Stack, prompt: str) -> None:
    before = hits(mock_stack)
    for _ in range(3):
        with pytest.raises(Refused, match="max_tokens"):
            UNARY.infer(mock_stack, {"text_input": prompt, "max_tokens": 0})
    assert hits(mock_stack) == before

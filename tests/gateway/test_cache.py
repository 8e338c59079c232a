"""The cache of answers: what is the same request, what is kept, and for how long."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.client import Chunk, Question
from headrace.gateway.cache.key import is_deterministic, key
from headrace.gateway.cache.store import AnswerCache

QUESTION = Question(text_input="Hi", max_tokens=8, temperature=0.0)
OTHER: dict[str, Any] = {
    "text_input": "Ho",
    "messages": "[]",
    "max_tokens": 9,
    "min_tokens": 1,
    "temperature": 0.5,
    "top_k": 3,
    "top_p": 0.5,
    "random_seed": 7,
    "stop_words": ("x",),
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "repetition_penalty": 1.5,
    "return_log_probs": True,
    "response_format": "{}",
    "cache_scope": "a",
    "guard_policy": "b",
}
PLACE: dict[str, Any] = {"scope": "acme", "model_version": "1", "policy_version": "2", "whole": True}


def keyed(question: Question = QUESTION, **place: Any) -> bytes:
    return key(question, **(PLACE | place))


def test_every_input_has_a_case() -> None:
    assert OTHER.keys() == {field.name for field in fields(Question)}


@pytest.mark.parametrize(("name", "value"), OTHER.items())
def test_another_value_of_any_input_is_another_request(name: str, value: Any) -> None:
    assert keyed(replace(QUESTION, **{name: value})) != keyed()


@pytest.mark.parametrize(
    ("name", "value"),
    [("scope", "beta"), ("model_version", "2"), ("policy_version", "1"), ("whole", False)],
)
def test_another_tenant_model_policy_or_form_is_another_request(name: str, value: Any) -> None:
    assert keyed(**{name: value}) != keyed()


def test_the_same_is_the_same() -> None:
    assert keyed(replace(QUESTION)) == keyed()


@given(st.lists(st.text(), min_size=2, max_size=2), st.lists(st.text(), min_size=2, max_size=2))
def test_no_two_requests_share_a_key(one: list[str], other: list[str]) -> None:
    keys = [keyed(Question(text_input=words[0], stop_words=(words[1],))) for words in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


@pytest.mark.parametrize(
    ("temperature", "seed", "same"), [(None, None, True), (0.0, None, True), (0.1, None, False), (0.1, 7, True)]
)
def test_only_an_answer_that_would_come_again_is_kept(
    temperature: float | None, seed: int | None, same: bool
) -> None:
    assert is_deterministic(Question(text_input="Hi", temperature=temperature, random_seed=seed)) == same


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def answer(text: str) -> list[Chunk]:
    return [Chunk(text=text, finish_reason="stop")]


def test_an_answer_is_found_until_its_time_is_over() -> None:
    clock = Clock()
    cache = AnswerCache(10_000, 60.0, clock)
    cache.put(b"a", answer("Hello"))
    clock.now = 59.9
    assert cache.get(b"a") == tuple(answer("Hello"))
    clock.now = 60.0
    assert cache.get(b"a") is None
    assert (len(cache), cache.bytes) == (0, 0)


def test_what_was_used_last_stays_longest() -> None:
    cache = AnswerCache(3500, 60.0, Clock())
    for name in (b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"):
        cache.put(name, answer("x" * 30))
    cache.get(b"a")
    cache.put(b"i", answer("x" * 30))
    assert cache.get(b"a") is not None
    assert cache.get(b"b") is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3000), st.booleans())), st.integers(500, 20_000))
def test_it_never_holds_more_than_it_may(steps: list[tuple[int, int, bool]], most: int) -> None:
    cache = AnswerCache(most, 60.0, Clock())
    held: dict[bytes, int] = {}
    for name, length, reads in steps:
        if reads:
            cache.get(bytes([name]))
        else:
            cache.put(bytes([name]), answer("ö" * length))
            held[bytes([name])] = 2 * length
        assert cache.bytes <= most
        found = {one for one in held if cache.get(one) is not None}
        assert len(found) == len(cache)
        assert cache.bytes >= sum(held[one] for one in found)


def test_one_answer_does_not_push_out_all_others() -> None:
    cache = AnswerCache(10_000, 60.0, Clock())
    cache.put(b"a", answer("Hello"))
    cache.put(b"b", answer("x" * 5000))
    assert (cache.get(b"a") is None, cache.get(b"b")) == (False, None)

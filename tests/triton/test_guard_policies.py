"""Policies in a running Triton: a change judges the next request, and cached answers, anew."""

from __future__ import annotations

import pytest

from tests.guarded_stack import GuardedStack
from tests.triton.doors import STREAM, UNARY, Door
from tests.triton.guarded import ATTACK, BAD, CARD, CLEAN, fresh, repeated, told
from tests.triton.http_port import metrics
from tests.triton.mock_answer import mock_answer, prompt_ids


@pytest.mark.parametrize("door", [UNARY, STREAM], ids=str)
def test_a_new_policy_judges_the_same_request_anew(guarded_stack: GuardedStack, door: Door) -> None:
    request = repeated(f"{fresh()}Eat a papaya. {CLEAN}") | {"guard_policy": "windowed"}
    first = door.infer(guarded_stack, request)
    assert (first.last.finish_reason, told(first)["response"]["scores"]) == ("length", {"fruit": 1.0})
    hits = cache_hits(guarded_stack)
    with guarded_stack.policy(windowed={"stream": "windowed", "response": {"fruit": {"block": 0.5}}}):
        second = door.infer(guarded_stack, request)
        assert (second.last.finish_reason, "papaya" in second.text) == ("content_filter", False)
        assert told(second)["version"] != told(first)["version"]
    third = door.infer(guarded_stack, request)
    assert (third.text, told(third)["version"]) == (first.text, told(first)["version"])
    # The unary answer came from the cache each time, and was judged each time.
    assert cache_hits(guarded_stack) - hits == (2 if door is UNARY else 0)


def test_a_bad_policy_file_leaves_the_old_one_in_force(guarded_stack: GuardedStack) -> None:
    request = repeated(fresh() + CLEAN + BAD) | {"guard_policy": "windowed"}
    with guarded_stack.policy(windowed={"stream": "sideways"}):
        for door in (UNARY, STREAM):
            assert door.infer(guarded_stack, request).last.finish_reason == "content_filter"


def test_a_policy_without_rules_changes_nothing(guarded_stack: GuardedStack) -> None:
    text = f"{ATTACK} {CARD} {BAD}"
    for door in (UNARY, STREAM):
        answer = door.infer(guarded_stack, repeated(text, 2) | {"guard_policy": "off"})
        assert answer.text == mock_answer(text, 2 * len(prompt_ids(text)))
        assert told(answer)["action"] == "allow"


def test_what_is_only_detected_goes_through(guarded_stack: GuardedStack) -> None:
    answer = UNARY.infer(guarded_stack, repeated(ATTACK) | {"guard_policy": "detect"})
    assert (answer.text, told(answer)["action"]) == (mock_answer(ATTACK, len(prompt_ids(ATTACK))), "flag")


def cache_hits(stack: GuardedStack) -> float:
    return metrics(stack, 'nv_cache_num_hits_per_model{model="completion",version="1"}')

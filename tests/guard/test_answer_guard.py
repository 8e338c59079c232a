"""Answers that came whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import InvalidRequest
from headrace.guard.live import LivePolicy
from headrace.guard.record import DecisionLog
from headrace.guard.verdict import PromptVerdict
from headrace.triton.answer_guard import AnswerGuard, GuardedText
from tests.guard.step_inputs import POLICY, inputs
from tests.guard.verdicts import prompt_verdict

CLEAN = "All is well. " * 50


def judged(live: LivePolicy, text: str, policy: str = "windowed", **more: Any) -> GuardedText:
    (found,) = AnswerGuard(live, DecisionLog(None)).judge([arrived(text, policy, **more)])
    assert isinstance(found, GuardedText)
    return found


def arrived(text: str, policy: str = "windowed", *, blocked: bool = False, **more: Any) -> Any:
    verdict = prompt_verdict(policy, blocked=blocked).json()
    values = {"text_output": text, "finish_reason": "stop", "log_probs": (-0.5, -0.25), "prompt_verdict": verdict}
    return inputs(**values | more)


@pytest.mark.parametrize("policy", ["windowed", "buffered", "async", "off"])
def test_a_clean_answer_goes_through_as_it_is(live: LivePolicy, policy: str) -> None:
    found = judged(live, CLEAN, policy)
    assert (found.text, found.finish_reason, found.log_probs.values) == (CLEAN, "stop", (-0.5, -0.25))
    assert json.loads(found.guard)["action"] == "allow"


@pytest.mark.parametrize("policy", ["windowed", "buffered", "async"])
@pytest.mark.parametrize("text", ["bomb", CLEAN + "a bomb. " + CLEAN, '{"plan": "a bomb"}', CLEAN * 20 + "bomb"])
def test_a_bad_one_becomes_the_refusal_whatever_the_mode(live: LivePolicy, policy: str, text: str) -> None:
    found = judged(live, text, policy)
    assert (found.text, found.finish_reason, len(found.log_probs)) == ("No.", "content_filter", 0)
    told = json.loads(found.guard)
    assert (told["action"], told["prompt"]["action"], told["response"]["action"]) == ("block", "allow", "block")
    assert told["response"]["scores"]["weapon"] == 1.0


def test_what_is_to_be_redacted_is(live: LivePolicy) -> None:
    found = judged(live, CLEAN + "please do, please.")
    assert found.text == CLEAN + "[WORD] do, [WORD]."
    assert json.loads(found.guard)["response"]["redactions"] == {"word": 2}


def test_a_blocked_prompt_answers_with_the_refusal(live: LivePolicy) -> None:
    (found,) = AnswerGuard(live, DecisionLog(None)).judge(
        [arrived("", blocked=True, finish_reason="content_filter")]
    )
    assert isinstance(found, GuardedText)
    assert (found.text, found.finish_reason) == ("No.", "content_filter")
    assert json.loads(found.guard)["prompt"]["action"] == "block"


def test_one_that_cannot_be_judged_is_an_error_for_itself_alone(live: LivePolicy) -> None:
    gone = PromptVerdict.read(prompt_verdict("windowed").json().replace("windowed", "gone")).json()
    found = AnswerGuard(live, DecisionLog(None)).judge(
        [arrived("fine"), arrived("fine", prompt_verdict=gone), arrived("bomb")]
    )
    fine, lost, bad = found
    assert isinstance(fine, GuardedText)
    assert fine.text == "fine"
    assert isinstance(lost, InvalidRequest)
    assert lost.field == "guard_policy"
    assert isinstance(bad, GuardedText)
    assert bad.text == "No."


def test_a_phrase_over_the_ends_of_sentences_is_found(with_terms: LivePolicy) -> None:
    verdict = prompt_verdict("windowed").json()
    text = "Theodora is it. Ask acme. secret. project now."
    arrived = inputs(text_output=text, finish_reason="stop", log_probs=0.0, prompt_verdict=verdict)
    (found,) = AnswerGuard(with_terms, DecisionLog(None)).judge([arrived])
    assert isinstance(found, GuardedText)
    assert found.text == "[WORD] is it. Ask [WORD] now."


def test_a_guard_of_answers_judges_by_the_policy_of_now(live: LivePolicy, policy_file: Path) -> None:
    guard = AnswerGuard(live, DecisionLog(None))
    verdict = prompt_verdict("windowed").json()
    arrived = inputs(text_output="An apple.", finish_reason="stop", log_probs=0.0, prompt_verdict=verdict)
    texts = []
    for levels in ("{flag: 0.5}", "{block: 0.5}", "{flag: 0.5}"):
        draft = policy_file.with_suffix(".new")
        draft.write_text(POLICY.replace("fruit: {flag: 0.5}", f"fruit: {levels}"))
        draft.replace(policy_file)
        (found,) = guard.judge([arrived])
        assert isinstance(found, GuardedText)
        texts.append(found.text)
    assert texts == ["An apple.", "No.", "An apple."]

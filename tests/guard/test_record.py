"""Records of decisions: all that led to one, and never the text."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace.config import LimitsConfig
from headrace.guard.live import LivePolicy
from headrace.guard.record import KEY_ENV, DecisionLog
from headrace.guard.verdict import Verdict
from headrace.triton.answer_guard import AnswerGuard
from headrace.triton.prompt_guard import PromptGuard
from headrace.triton.stream_guard import StreamGuard
from tests.guard.rails import Silent
from tests.guard.step_inputs import POLICY, inputs
from tests.guard.verdicts import prompt_verdict

KEY = "a key"
DECISIONS = DecisionLog.from_environment({KEY_ENV: KEY})


def hashed(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def prompt_records(live: LivePolicy, decisions: DecisionLog, **values: Any) -> list[Any]:
    with structlog.testing.capture_logs() as logs:
        PromptGuard(live, LimitsConfig(), decisions, lambda _: None).judge([inputs(**values)])
    return [entry for entry in logs if entry["event"] == "guard decision"]


def test_a_blocked_prompt_leaves_all_that_led_to_it_but_the_text(live: LivePolicy) -> None:
    (record,) = prompt_records(live, DECISIONS, text_input="Build a bomb, please")
    version = live.judge().policy("windowed")[1].version
    assert live.judge().backends("windowed", "prompt").keys() == {"fruit", "weapon", "word"}
    assert record == {
        "event": "guard decision",
        "log_level": "info",
        "request_id": "an-id",
        "direction": "prompt",
        "policy": "windowed",
        "version": version,
        "action": "block",
        "scores": {"weapon": 1.0, "word": 1.0},
        "thresholds": {"weapon": {"block": 0.5}, "word": {"redact": 0.5}},
        "backends": live.judge().backends("windowed", "prompt"),
        "text_hmac": hashed("Build a bomb, please\0"),
    }


def test_what_is_allowed_leaves_none(live: LivePolicy) -> None:
    assert not prompt_records(live, DECISIONS, text_input="Build a house")


def test_without_a_key_there_is_no_hash(live: LivePolicy) -> None:
    (record,) = prompt_records(live, DecisionLog.from_environment({}), text_input="Build a bomb")
    assert record["text_hmac"] is None


def test_a_conversation_is_one_text(live: LivePolicy) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "user", "content": "A bomb"}]
    (record,) = prompt_records(live, DECISIONS, messages=json.dumps(messages))
    assert record["text_hmac"] == hashed("Hi\0A bomb\0")


@pytest.mark.parametrize("policy", ["windowed", "buffered"])
def test_an_answer_leaves_the_same_record_whole_and_in_pieces(live: LivePolicy, policy: str) -> None:
    pieces = ["Say it, ", "ple", "ase. ", "An apple."]
    verdict = prompt_verdict(policy).json()
    with structlog.testing.capture_logs() as whole:
        AnswerGuard(live, DECISIONS).judge(
            [inputs(text_output="".join(pieces), finish_reason="stop", prompt_verdict=verdict, log_probs=0.0)]
        )
    guard = StreamGuard(live, DECISIONS, lambda _: None)
    with structlog.testing.capture_logs() as streamed:
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            guard.judge([inputs(
                stream_id=5, text_output=piece, finish_reason="stop" if last else "", prompt_tokens=1,
                completion_tokens=1, log_probs=0.0, prompt_verdict="" if number else verdict,
            )], lambda *_, **__: None)  # fmt: skip
    assert whole == streamed
    assert [entry["action"] for entry in whole] == ["redact"]
    assert whole[0]["text_hmac"] == hashed("".join(pieces))
    assert not any("apple" in str(value) for value in {**whole[0], "backends": ""}.values())


def test_each_prompt_and_each_answer_is_counted_once(live: LivePolicy) -> None:
    counted: list[tuple[str, str]] = []
    decisions = DecisionLog(None, lambda verdict: counted.append((verdict.direction, verdict.action)))
    prompts = PromptGuard(live, LimitsConfig(), decisions, lambda _: None)
    prompts.judge([inputs(text_input=text) for text in ("hello", "an apple", "a bomb")])
    assert counted == [("prompt", "allow"), ("prompt", "flag"), ("prompt", "block")]
    counted.clear()
    passed, blocked = prompt_verdict("windowed").json(), prompt_verdict("windowed", blocked=True).json()
    answer = {"finish_reason": "stop", "log_probs": 0.0}
    AnswerGuard(live, decisions).judge(
        [
            inputs(text_output="fine", prompt_verdict=passed, **answer),
            inputs(text_output="a bomb", prompt_verdict=passed, **answer),
            inputs(text_output="", prompt_verdict=blocked, **answer),
        ]
    )
    assert counted == [("response", "allow"), ("response", "block")]
    counted.clear()
    chunk = {"stream_id": 5, "prompt_tokens": 1, "completion_tokens": 1, "log_probs": 0.0}
    streams = StreamGuard(live, decisions, lambda _: None)
    for text, finish, verdict in (("It is ", "", passed), ("a bomb. ", "", ""), ("so", "stop", "")):
        streams.judge(
            [inputs(text_output=text, finish_reason=finish, prompt_verdict=verdict, **chunk)],
            lambda *_, **__: None,
        )
    assert counted == [("response", "block")]


def test_a_failure_that_is_let_through_leaves_a_record(live: LivePolicy) -> None:
    verdict = Verdict("windowed", "v", "prompt", errors=("pii",))
    decisions = DecisionLog(None)
    with structlog.testing.capture_logs() as logs:
        decisions.write("an-id", verdict, live.judge().policy("windowed")[1], {}, decisions.hash())
    assert [(entry["action"], entry["errors"]) for entry in logs] == [("allow", ["pii"])]


def test_a_record_of_an_answer_has_the_thresholds_of_answers(policy_file: Path) -> None:
    policy_file.write_text(POLICY.replace("response: {weapon: {block: 0.5}", "response: {weapon: {block: 0.75}"))
    live = LivePolicy(policy_file, Silent())
    verdict = prompt_verdict("windowed").json()
    with structlog.testing.capture_logs() as logs:
        AnswerGuard(live, DECISIONS).judge(
            [inputs(text_output="A bomb.", finish_reason="stop", prompt_verdict=verdict, log_probs=0.0)]
        )
    assert [entry["thresholds"] for entry in logs if "thresholds" in entry] == [{"weapon": {"block": 0.75}}]
    live.close()


def test_a_record_has_the_hash_of_the_prompt_as_it_came_in(live: LivePolicy) -> None:
    (record,) = prompt_records(live, DECISIONS, text_input="Say it, please")
    assert (record["action"], record["text_hmac"]) == ("redact", hashed("Say it, please\0"))

"""What the guards tell of what they found: metrics, and the decisions in the log."""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import Any

import pytest

from tests.guarded_stack import GuardedStack
from tests.triton.doors import STREAM, UNARY, Door
from tests.triton.guarded import ATTACK, CLEAN, SOON, repeated, told
from tests.triton.http_port import metrics


def test_what_was_found_is_counted(guarded_stack: GuardedStack) -> None:
    def count() -> float:
        labels = 'action="block",category="injection",direction="prompt",step="safety_filter_prompt"'
        return metrics(guarded_stack, f"headrace_guard_decisions_total{{{labels}}}")

    UNARY.infer(guarded_stack, {"text_input": ATTACK})
    before = count()
    for door in (UNARY, STREAM):
        door.infer(guarded_stack, {"text_input": ATTACK})
    assert count() == before + 2


@pytest.mark.parametrize(("door", "step"), [(UNARY, "response"), (STREAM, "response_stream")], ids=str)
def test_what_was_found_in_answers_is_counted_as_such(guarded_stack: GuardedStack, door: Door, step: str) -> None:
    labels = f'action="flag",category="fruit",direction="response",step="safety_filter_{step}"'
    request = repeated(f"Eat a papaya. {CLEAN}") | {"guard_policy": "buffered"}
    door.infer(guarded_stack, request)
    before = metrics(guarded_stack, f"headrace_guard_decisions_total{{{labels}}}")
    door.infer(guarded_stack, request)
    assert metrics(guarded_stack, f"headrace_guard_decisions_total{{{labels}}}") > before


def test_prompts_and_answers_are_counted_by_verdict(guarded_stack: GuardedStack) -> None:
    def count(direction: str, action: str, step: str) -> float:
        labels = f'action="{action}",direction="{direction}",policy="detect",step="safety_filter_{step}"'
        return metrics(guarded_stack, f"headrace_guard_verdicts_total{{{labels}}}")

    request = {"text_input": ATTACK, "max_tokens": 4, "guard_policy": "detect"}
    kinds = [
        ("prompt", "flag", "prompt"),
        ("response", "allow", "response"),
        ("response", "allow", "response_stream"),
    ]
    for door in (UNARY, STREAM):
        door.infer(guarded_stack, request)
    before = [count(*kind) for kind in kinds]
    for door in (UNARY, STREAM):
        door.infer(guarded_stack, request)
    assert [count(*kind) for kind in kinds] == [before[0] + 2, before[1] + 1, before[2] + 1]


def test_a_rail_that_takes_too_long_is_what_the_policy_says_and_counted(guarded_stack: GuardedStack) -> None:
    def count(name: str) -> float:
        labels = 'direction="prompt",rail="injection",step="safety_filter_prompt"'
        return metrics(guarded_stack, f"headrace_guard_rail_{name}{{{backend},{labels}}}")

    rules = {"prompt": {"injection": {"block": 0.85}}, "time_limit_ms": 0.001}
    with guarded_stack.policy(closed=rules | {"on_error": "block"}, open=rules | {"on_error": "allow"}):
        backend = f'backend="{injection_backend(guarded_stack)}"'
        before = {name: count(name) for name in ("errors_total", "texts_total", "seconds_count")}
        for policy, reason in (("closed", "content_filter"), ("open", "length")):
            # Words that no head has seen take long: tens of milliseconds, for a limit of a microsecond.
            text = " ".join(uuid.uuid4().hex for _ in range(100))
            request = {"text_input": text, "max_tokens": 4, "guard_policy": policy}
            answer = UNARY.infer(guarded_stack, request)
            assert answer.last.finish_reason == reason
            assert told(answer)["prompt"]["errors"] == ["injection"]
        assert {name: count(name) - before[name] for name in before} == dict.fromkeys(before, 2)


def records(stack: GuardedStack, request_id: str, count: int) -> list[dict[str, Any]]:
    """What the log says of a request. A step's lines take a moment to get there."""
    began = time.monotonic()
    while True:
        entries = map(json.loads, stack.folder.log_file.read_text("utf-8").splitlines())
        found = [entry for entry in entries if entry.get("request_id") == request_id]
        if len(found) >= count:
            return found
        if time.monotonic() - began > 5 * SOON:
            pytest.fail(f"{len(found)} records of {request_id} instead of {count}")
        time.sleep(0.02)


def injection_backend(stack: GuardedStack) -> str:
    """As the records name it."""
    UNARY.infer(stack, {"text_input": ATTACK}, "named")
    backend: str = records(stack, "named", 1)[0]["backends"]["injection"]
    return backend


def test_a_decision_is_recorded_without_the_text(guarded_stack: GuardedStack) -> None:
    request_id = f"recorded-{uuid.uuid4()}"
    for door in (UNARY, STREAM):
        door.infer(guarded_stack, {"text_input": f"{ATTACK} Ref {request_id[-8:]}."}, request_id)
    found = records(guarded_stack, request_id, 2)
    assert [record["message"] for record in found] == ["guard decision"] * 2
    for record in found:
        assert (record["action"], record["scores"].keys()) == ("block", {"injection"})
        assert record["thresholds"]["injection"]["block"] <= record["scores"]["injection"]
        assert re.fullmatch("rules . . head [0-9a-f]{16}", record["backends"]["injection"])
        assert len(record["text_hmac"]) == 64
    assert "Ignore all previous" not in guarded_stack.folder.log_file.read_text("utf-8")

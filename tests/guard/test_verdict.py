"""A verdict: how its parts add up, and what is told of it."""

from __future__ import annotations

from headrace.guard.verdict import PromptVerdict, Verdict


def test_verdicts_of_parts_add_up() -> None:
    first = Verdict("p", "1", "response", "redact", {"a": 0.9}, {"a": 2}, ("pii",))
    last = Verdict("p", "2", "response", "flag", {"a": 0.4, "b": 0.5}, {"a": 1}, ())
    assert first.merged(last) == Verdict("p", "2", "response", "redact", {"a": 0.9, "b": 0.5}, {"a": 3}, ("pii",))


def test_a_summary_tells_what_failed() -> None:
    shown = Verdict("p", "v", "prompt", scores={"b": 0.123456, "a": 1.0}, errors=("pii",)).summary()
    assert shown == {"action": "allow", "scores": {"a": 1.0, "b": 0.1235}, "errors": ["pii"]}


def test_a_prompts_verdict_travels_with_its_version() -> None:
    verdict = Verdict("p", "v1", "prompt", "flag", {"a": 0.5})
    read = PromptVerdict.read(PromptVerdict.of(verdict).json())
    assert (read.policy, read.version, read.blocked) == ("p", "v1", False)

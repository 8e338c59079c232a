from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from typing import Any
from unittest.mock import ANY

import pytest

from headrace.errors import ConfigError, InvalidRequest
from headrace.guard.judge import MOST_CHARACTERS, Asked, Judge, redacted
from headrace.guard.policy import Action, Direction, PolicyFile
from headrace.guard.rail import Rail, Scores, Span
from headrace.guard.windows import Window


class Digits:
    """Points at every run of digits."""

    name, categories, points, backend = "digits", frozenset({"number"}), True, "test"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        found = []
        for text in texts:
            places = [place for place, character in enumerate(text) if character.isdigit()]
            found.append(Scores.of_spans([Span(place, place + 1, "number") for place in places]))
        return found


class Mood:
    """Scores by the number in the text."""

    name, categories, points, backend = "mood", frozenset({"mood"}), False, "test"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores({"mood": text.count("!") / 10}) for text in texts]


class Feeling(Mood):
    """Has a feeling for numbers, but cannot say where they stand."""

    name, categories = "feeling", frozenset({"number"})


class Broken(Mood):
    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        raise RuntimeError("no weights")


class Slow(Mood):
    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        time.sleep(1)
        return super().score_batch(texts)


class Counting:
    def __init__(self) -> None:
        self.rails: list[tuple[str, Direction, int, str | None]] = []
        self.decisions: list[tuple[Direction, str, Action]] = []

    def rail(self, rail: Rail, direction: Direction, texts: int, seconds: float, error: str | None) -> None:
        self.rails.append((rail.name, direction, texts, error))

    def decision(self, direction: Direction, category: str, action: Action) -> None:
        self.decisions.append((direction, category, action))


def judge(*rails: Rail, observer: Counting | None = None, **policy: Any) -> Judge:
    file = PolicyFile.model_validate({"default": "only", "policies": {"only": policy}})
    return Judge(file, rails or (Digits(), Mood()), observer or Counting())


def ask(text: str, before: str = "", direction: Direction = "response") -> Asked:
    return Asked("only", direction, Window(before, text))


LEVELS = {"number": {"redact": 0.5}, "mood": {"flag": 0.2, "block": 0.5}}


@pytest.mark.parametrize(
    ("text", "action", "shown"),
    [
        ("all well", "allow", "all well"),
        ("so so!!", "flag", "so so!!"),
        ("call 1", "redact", "call [NUMBER]"),
        ("bad!!!!!", "block", ""),
        ("call 1!!!!!", "block", ""),
    ],
)
def test_scores_lead_to_actions(text: str, action: Action, shown: str) -> None:
    (one,) = judge(response=LEVELS).judge([ask(text)])
    assert (one.verdict.action, one.text) == (action, shown)


def test_what_lies_in_the_context_was_decided_before() -> None:
    (one,) = judge(response=LEVELS).judge([ask(" and done", before="call 1")])
    assert (one.verdict.action, one.text) == ("allow", " and done")


def test_a_batch_is_one_call_of_each_rail_that_is_needed() -> None:
    observer = Counting()
    judge_ = judge(observer=observer, prompt={"mood": {"block": 0.5}}, response=LEVELS)
    asked = [ask("a"), ask("b!!!!!", direction="prompt"), ask("c 3")]
    assert [one.verdict.action for one in judge_.judge(asked)] == ["allow", "block", "redact"]
    assert sorted(observer.rails, key=str) == [
        ("digits", "response", 2, None),
        ("mood", "prompt", 1, None),
        ("mood", "response", 2, None),
    ]
    assert observer.decisions == [("prompt", "mood", "block"), ("response", "number", "redact")]


def test_each_time_limit_and_each_load_that_a_rail_can_carry_is_one_call() -> None:
    observer = Counting()
    policy = {"response": {"mood": {"block": 0.5}}}
    policies = {"only": policy, "hasty": {**policy, "time_limit_ms": 50}}
    file = PolicyFile.model_validate({"default": "only", "policies": policies})
    long = "x" * (MOST_CHARACTERS // 2)
    asked = [ask(f"{number}{long}") for number in range(5)]
    asked += [Asked("hasty", "response", Window("", f"quick {number}")) for number in range(3)]
    judged = Judge(file, [Mood()], observer).judge([*asked, ask("bad!!!!!")])
    assert [one.verdict.action for one in judged] == ["allow"] * 8 + ["block"]
    assert sorted(texts for _, _, texts, _ in observer.rails) == [1, 1, 1, 1, 2, 3]


def test_the_rails_of_a_judge_work_on_under_other_policies() -> None:
    first = judge(Slow(), response={"mood": {"block": 0.5}}, time_limit_ms=20)
    assert first.judge([ask("a")])[0].verdict.errors == ("mood",)
    second = first.under(
        PolicyFile.model_validate({"default": "only", "policies": {"only": {"prompt": {"mood": {"flag": 0.5}}}}})
    )
    # It is still busy with what it was asked before.
    assert second.judge([ask("b", direction="prompt")])[0].verdict.errors == ("mood",)
    with pytest.raises(ConfigError, match="no rail finds moods"):
        first.under(
            PolicyFile.model_validate(
                {"default": "only", "policies": {"only": {"prompt": {"moods": {"flag": 0.5}}}}}
            )
        )


@pytest.mark.parametrize(("on_error", "action", "shown"), [("block", "block", ""), ("allow", "allow", "hello")])
def test_a_rail_that_fails_is_what_the_policy_says_and_counted(on_error: str, action: str, shown: str) -> None:
    observer = Counting()
    (one,) = judge(Broken(), observer=observer, on_error=on_error, response={"mood": {"block": 0.5}}).judge(
        [ask("hello")]
    )
    assert (one.verdict.action, one.text, one.verdict.errors) == (action, shown, ("mood",))
    ((*call, error),) = observer.rails
    # Where it was raised, and none of its words: they may hold the text.
    assert (call, error) == (["mood", "response", 1], ANY)
    assert re.fullmatch(r"RuntimeError at test_judge\.py:\d+", str(error))
    assert observer.decisions == ([("response", "error", "block")] if on_error == "block" else [])


def test_detect_only_changes_nothing_and_tells_all() -> None:
    observer = Counting()
    (one,) = judge(observer=observer, detect_only=True, response=LEVELS).judge([ask("call 1!!!!!")])
    assert (one.verdict.action, one.text) == ("flag", "call 1!!!!!")
    assert set(one.verdict.scores) == {"number", "mood"}
    assert set(observer.decisions) == {("response", "number", "flag"), ("response", "mood", "flag")}


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ({"response": {"moods": {"block": 0.5}}}, "policy only: no rail finds moods; there are mood, number"),
        ({"prompt": {"mood": {"redact": 0.5}}}, "policy only: mood cannot be redacted"),
        ({"response": {"number": {"redact": 0.5}}}, "policy only: number cannot be redacted"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused(policy: dict[str, Any], says: str) -> None:
    before = threading.active_count()
    with pytest.raises(ConfigError, match=says):
        judge(Digits(), Mood(), Feeling(), **policy)
    assert threading.active_count() == before


def test_an_unknown_policy_names_the_field() -> None:
    with pytest.raises(InvalidRequest, match=r"^guard_policy: no policy 'other'; there are only"):
        judge(response=LEVELS).policy("other")


def test_spans_that_overlap_are_one_tag_of_the_longest() -> None:
    spans = [Span(0, 4, "a"), Span(2, 9, "b"), Span(12, 13, "c"), Span(-3, 1, "d")]
    assert redacted("0123456789ab!", spans) == ("[B]9ab[C]", {"b": 1, "c": 1})


class Runs(Digits):
    """Points at every run of digits as a whole."""

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [
            Scores.of_spans([Span(*run.span(), "number") for run in re.finditer(r"\d+", text)]) for text in texts
        ]


class Both(Mood):
    """Finds two things at once."""

    name, categories = "both", frozenset({"mood", "number"})

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores({"mood": 1.0, "number": 1.0}) for _ in texts]


def test_spans_within_a_longer_one_do_not_end_it() -> None:
    spans = [Span(0, 9, "a"), Span(1, 2, "b"), Span(3, 4, "c")]
    assert redacted("0123456789", spans) == ("[A]9", {"a": 1})


def test_what_begins_in_the_context_is_taken_out_of_the_window() -> None:
    (one,) = judge(Runs(), response={"number": {"redact": 0.5}}).judge([ask("23 and 4", before="call 1")])
    assert one.text == "[NUMBER] and [NUMBER]"


@pytest.mark.parametrize(
    ("on_error", "action", "shown"), [("block", "block", ""), ("allow", "redact", "call [NUMBER]")]
)
def test_one_rail_that_fails_beside_others_is_what_the_policy_says(on_error: str, action: str, shown: str) -> None:
    (one,) = judge(Digits(), Broken(), on_error=on_error, response=LEVELS).judge([ask("call 1")])
    assert (one.verdict.action, one.text, one.verdict.errors) == (action, shown, ("mood",))


def test_detect_only_lets_through_what_a_rail_failed_for() -> None:
    (one,) = judge(Broken(), detect_only=True, response={"mood": {"block": 0.5}}).judge([ask("hello")])
    assert (one.verdict.action, one.text, one.verdict.errors) == ("flag", "hello", ("mood",))


def test_what_is_exempt_leads_to_nothing_though_its_rail_looks_for_more() -> None:
    levels = {"mood": {"block": 0.5}, "number": {"flag": 0.5}}
    asked = Asked("only", "prompt", Window("", "x"), frozenset({"mood"}))
    (one,) = judge(Both(), prompt=levels).judge([asked])
    assert (one.verdict.action, one.verdict.scores) == ("flag", {"number": 1.0})


class Sure(Digits):
    """Is surer of later digits."""

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [
            Scores.of_spans([Span(m.start(), m.end(), "number", int(m[0]) / 10) for m in re.finditer(r"\d", text)])
            for text in texts
        ]


def test_every_span_that_reaches_the_threshold_is_taken_out_and_no_other() -> None:
    (one,) = judge(Sure(), response={"number": {"redact": 0.5}}).judge([ask("3 5 7 9")])
    assert one.text == "3 [NUMBER] [NUMBER] [NUMBER]"


def test_a_record_names_the_rails_that_this_direction_needs() -> None:
    both = judge(Digits(), Mood(), prompt={"mood": {"flag": 0.5}}, response=LEVELS)
    assert both.backends("only", "prompt") == {"mood": "test"}
    assert both.backends("only", "response") == {"digits": "test", "mood": "test"}


class Calmer(Mood):
    """Sees half of what the other one sees."""

    name = "calmer"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores({"mood": text.count("!") / 20}) for text in texts]


@pytest.mark.parametrize("both", [(Mood(), Calmer()), (Calmer(), Mood())], ids=["first", "last"])
def test_of_two_rails_for_one_category_the_one_that_sees_more_counts(both: Any) -> None:
    (one,) = judge(*both, response={"mood": {"flag": 0.2, "block": 0.5}}).judge([ask("bad!!!!!")])
    assert (one.verdict.action, one.verdict.scores) == ("block", {"mood": 0.5})

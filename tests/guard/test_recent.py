"""A text that was judged lately is not judged again, until the policy changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.guard.judge import Asked, Judge
from headrace.guard.policy import PolicyFile
from headrace.guard.rail import Scores
from headrace.guard.recent import Recent
from headrace.guard.windows import Window

POLICY = PolicyFile.model_validate(
    {
        "default": "a",
        "policies": {
            "a": {"prompt": {"bad": {"block": 0.5}}, "response": {"bad": {"flag": 0.5}}},
            "b": {"prompt": {"bad": {"flag": 0.5}}},
        },
    }
)


class Rail:
    name, categories, points, backend = "words", frozenset({"bad"}), False, "test"

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.broken = False

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        self.texts += texts
        if self.broken:
            raise RuntimeError("broken")
        return [Scores({"bad": 0.9 if "bad" in text else 0.0}) for text in texts]


class Counter:
    def __init__(self) -> None:
        self.decisions: list[tuple[str, ...]] = []

    def rail(self, *_: Any) -> None:
        pass

    def decision(self, *decision: str) -> None:
        self.decisions.append(decision)


def asked(text: str, policy: str = "a", before: str = "") -> Asked:
    return Asked(policy, "prompt", Window(before, text))


def test_a_text_is_judged_once_and_counted_each_time() -> None:
    rail, counter = Rail(), Counter()
    judge = Judge(POLICY, [rail], counter)
    first = judge.judge([asked("bad"), asked("good"), asked("bad")])
    again = judge.judge([asked("good"), asked("bad")])
    assert rail.texts == ["bad", "good"]
    assert [one.verdict.action for one in first] == ["block", "allow", "block"]
    assert again == [first[1], first[0]]
    assert counter.decisions == [("prompt", "bad", "block")] * 3
    judge.close()


def test_another_policy_direction_context_or_exemption_is_another_question() -> None:
    rail = Rail()
    judge = Judge(POLICY, [rail], Counter())
    same = [
        asked("bad"),
        asked("bad", "b"),
        asked("bad", before="so "),
        Asked("a", "response", Window("", "bad")),
        Asked("a", "prompt", Window("", "bad"), frozenset({"other"})),
    ]
    judge.judge(same)
    assert len(rail.texts) == len(same)
    judge.close()


def test_what_a_broken_rail_could_not_judge_is_judged_again() -> None:
    rail = Rail()
    judge = Judge(POLICY, [rail], Counter())
    rail.broken = True
    assert judge.judge([asked("good")])[0].verdict.action == "block"
    rail.broken = False
    assert judge.judge([asked("good")])[0].verdict.action == "allow"
    judge.close()


@given(st.lists(st.text("ab", max_size=12), max_size=60))
def test_it_holds_no_more_than_it_may(keys: list[str]) -> None:
    recent: Recent[str, int] = Recent(most=30)
    for number, key in enumerate(keys):
        recent.keep(key, number)
        held = [one for one in dict.fromkeys(keys) if recent.get(one) is not None]
        assert sum(map(len, held)) <= 30
        assert recent.get(key) is not None


def test_the_longest_unused_goes_first() -> None:
    recent: Recent[str, int] = Recent(most=6)
    for key in ("aa", "bb", "cc"):
        recent.keep(key, 1)
    assert recent.get("aa") == 1
    recent.keep("dd", 1)
    assert [recent.get(key) for key in ("aa", "bb", "cc", "dd")] == [1, None, 1, 1]
    recent.keep("x" * 7, 1)
    assert recent.get("x" * 7) is None

"""A rail that raises, hangs or answers nonsense is a failure that its policy decides on; nobody else waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from headrace.guard.rail import Scores
from headrace.guard.runner import RailFailed, RailRunner

SECONDS = 20.0


class Scripted:
    name, categories, points, backend = "scripted", frozenset({"x"}), False, "test"

    def __init__(self, answer: Callable[[Sequence[str]], list[Scores]]) -> None:
        self.score_batch = answer


def fail(texts: Sequence[str]) -> list[Scores]:
    raise ZeroDivisionError("division by zero")


def leave(texts: Sequence[str]) -> list[Scores]:
    raise SystemExit(3)


def test_scores_come_in_order() -> None:
    runner = RailRunner(Scripted(lambda texts: [Scores({"x": len(text) / 10}) for text in texts]))
    assert [scores.by_category["x"] for scores in runner.score(["a", "bbb"], SECONDS)] == [0.1, 0.3]
    runner.close()


@pytest.mark.parametrize(
    ("answer", "says"), [(fail, "ZeroDivisionError"), (leave, "SystemExit"), (lambda texts: [], "0 scores for 1")]
)
def test_a_rail_that_fails_goes_on_with_the_next_text(
    answer: Callable[[Sequence[str]], list[Scores]], says: str
) -> None:
    runner = RailRunner(Scripted(answer))
    for _ in range(2):
        with pytest.raises(RailFailed, match=says):
            runner.score(["a"], SECONDS)
    runner.close()


def test_a_rail_that_hangs_fails_at_once_until_it_is_back() -> None:
    back = threading.Event()

    def hang(texts: Sequence[str]) -> list[Scores]:
        back.wait(SECONDS)
        return [Scores() for _ in texts]

    runner = RailRunner(Scripted(hang))
    with pytest.raises(RailFailed, match="no scores within 10 ms"):
        runner.score(["a"], 0.01)
    with pytest.raises(RailFailed, match="still busy"):
        runner.score(["b"], SECONDS)
    back.set()
    assert runner._late is not None
    assert runner._late.done.wait(SECONDS)
    assert runner.score(["c"], SECONDS) == [Scores()]
    runner.close()

from __future__ import annotations

import warnings

import pytest

from headrace.guard.profanity import Profanity
from headrace.guard.toxicity import ToxicityRail

RAIL = ToxicityRail()
FLAGGED = 0.7


def score(text: str) -> float:
    return RAIL.score_batch([text])[0].by_category["toxicity"]


@pytest.mark.parametrize(
    "toxic",
    [
        "shut up you stupid idiot",
        "you are a fucking moron",
        "y0u 5tup1d 1d10t, shut up",
        "shut up you stu\u200bpid idi\u200bot",
    ],
)
def test_an_insult_is_seen(toxic: str) -> None:
    assert score(toxic) >= FLAGGED
    assert score("A calm sentence about the weather. " * 300 + toxic) >= FLAGGED


@pytest.mark.parametrize(
    "harmless", ["What a beautiful day", "How do I kill a Python process?", "The capital of France is Paris."]
)
def test_harmless_words_are_let_through(harmless: str) -> None:
    assert score(harmless) < FLAGGED


def test_scores_do_not_depend_on_the_batch() -> None:
    texts = ["shut up you stupid idiot", "What a beautiful day", ""]
    together = [scores.by_category["toxicity"] for scores in RAIL.score_batch(texts)]
    assert together == pytest.approx([score(text) for text in texts])
    assert RAIL.score_batch([]) == []


def test_the_profanity_model_says_what_its_package_says() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from profanity_check import predict_prob
    texts = ["shut up you stupid idiot", "What a beautiful day", "", "x" * 3000, "you are a moron. " * 50]
    assert Profanity().probabilities(texts) == pytest.approx(predict_prob(texts), abs=1e-12)

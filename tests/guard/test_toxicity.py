from __future__ import annotations

import json
import random
import time
import warnings

import pytest

from headrace import paths
from headrace.guard import policy
from headrace.guard.profanity import Profanity
from headrace.guard.toxicity import ToxicityRail
from headrace.guard.training.patterns import ordinary_texts

RAIL = ToxicityRail()
_POLICIES = policy.read(paths.PROJECT / "policy.yaml")
LEVELS = _POLICIES.policies[_POLICIES.default].response["toxicity"]
assert LEVELS.flag is not None
assert LEVELS.block is not None
FLAGGED, BLOCKED = LEVELS.flag, LEVELS.block
INSULTS = ("You are a stupid idiot.", "Shut up, you moron.", "What a pathetic loser you are.")
CALM = "The river runs through the valley and turns to the sea, where boats lie in the evening. "
FLAT = "the river runs through the valley and past the mill to the sea where boats lie in the evening sun "


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


@pytest.mark.parametrize("insult", INSULTS)
@pytest.mark.parametrize("before", [50, 100, 200, 1_000, 10_000])
def test_no_harmless_sentences_hide_an_insult(insult: str, before: int) -> None:
    calm = (CALM * (before // len(CALM) + 1))[:before].rstrip() + ". "
    assert score(calm + insult) >= BLOCKED
    assert score(calm + insult + " " + calm) >= BLOCKED


@pytest.mark.parametrize("insult", INSULTS)
@pytest.mark.parametrize("around", [60, 100, 10_000])
def test_no_harmless_words_in_the_same_sentence_hide_an_insult(insult: str, around: int) -> None:
    flat = (FLAT * (around // len(FLAT) + 1))[:around]
    assert score(f"{flat} {insult.lower()[:-1]} {flat}") >= FLAGGED


@pytest.mark.parametrize("insult", INSULTS)
def test_an_insult_in_json_is_seen(insult: str) -> None:
    for answer in ({"status": "ok", "title": FLAT, "reply": insult}, [FLAT, {"a": [insult]}, FLAT]):
        assert score(json.dumps(answer)) >= BLOCKED


def test_long_harmless_texts_are_let_through() -> None:
    draw = random.Random(1)
    prose = [
        example.text for example in ordinary_texts() if example.source.endswith(("mail", "essays", "support"))
    ]
    texts = ["\n".join(draw.sample(prose, 12)) for _ in range(100)]
    assert sum(map(len, texts)) / len(texts) > 1_000
    flagged = sum(scores.by_category["toxicity"] >= FLAGGED for scores in RAIL.score_batch(texts))
    assert flagged <= 2


def test_words_without_end_take_bounded_work() -> None:
    draw = random.Random(2)
    began = time.process_time()
    score(" ".join(f"{draw.choice('abcdefgh')}{draw.getrandbits(40):x}" for _ in range(60_000)))
    score("idiot " * 100_000)
    assert time.process_time() - began < 30


@pytest.mark.parametrize(
    "harmless",
    [
        "What a beautiful day",
        "How do I kill a Python process?",
        "The capital of France is Paris.",
        "My cousin was called an idiot at school. How do I cheer her up?",
    ],
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


def test_the_words_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.guard.toxicity._WORDS_REMEMBERED", 100)
    rail = ToxicityRail()
    for start in range(0, 2000, 50):
        rail.score_batch([" ".join(f"w{chr(97 + number % 26)}{number:x}" for number in range(start, start + 50))])
    assert len(rail._words) <= 200


def test_an_insult_in_digits_among_harmless_words_is_seen() -> None:
    assert score(f"{FLAT * 3} y0u 4r3 4 5tup1d 1d10t {FLAT * 3}") >= FLAGGED

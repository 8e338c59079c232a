"""One answer, whole and in any pieces: the same text is shown, and the same verdict comes out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.guard.answer import GuardedAnswer
from headrace.guard.judge import Judge
from headrace.guard.policy import Policy, PolicyFile, Thresholds
from headrace.guard.rail import Scores, Span
from tests.guard.pieces import cut, texts
from tests.guard.rails import Silent

CARD = re.compile(r"4111 1111")
MODES = ("buffered", "windowed")


class CardRail:
    name, categories, points, backend = "cards", frozenset({"card"}), True, "test"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores.of_spans([Span(*m.span(), "card") for m in CARD.finditer(text)]) for text in texts]


class WordRail:
    name, categories, points, backend = "words", frozenset({"bad"}), False, "test"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores({"bad": 0.9 if "BADWORD" in text else 0.0}) for text in texts]


def judge(mode: str) -> Judge:
    levels = {"card": Thresholds(redact=0.5), "bad": Thresholds(block=0.5)}
    policy = Policy.model_validate({"stream": mode, "refusal": "No.", "response": levels})
    return Judge(PolicyFile(default="only", policies={"only": policy}), [CardRail(), WordRail()], Silent())


JUDGES = {mode: judge(mode) for mode in MODES}


def shown(judge: Judge, pieces: list[str]) -> tuple[list[str], GuardedAnswer]:
    name, policy = judge.policy(None)
    answer = GuardedAnswer(name, policy)
    texts: list[str] = []
    for piece, final in [*((piece, False) for piece in pieces), ("", True)]:
        early, asked = answer.feed(piece, final)
        settled = answer.settle(judge.judge(asked))
        texts += [early, settled.text]
        if settled.blocked:
            break
    return texts, answer


@pytest.mark.parametrize("mode", MODES)
@given(text=texts, places=st.lists(st.integers(0, 400), max_size=30))
def test_a_stream_shows_what_the_whole_answer_shows(mode: str, text: str, places: list[int]) -> None:
    whole, one = shown(JUDGES[mode], [text])
    pieces, other = shown(JUDGES[mode], cut(text, places))
    letters, last = shown(JUDGES[mode], list(text))
    assert "".join(pieces) == "".join(letters) == "".join(whole)
    assert one.verdict == other.verdict == last.verdict
    assert one.blocked == other.blocked == last.blocked == ("BADWORD" in text)


@pytest.mark.parametrize("mode", MODES)
@given(text=texts)
def test_nothing_bad_is_ever_shown(mode: str, text: str) -> None:
    whole = "".join(shown(JUDGES[mode], list(text))[0])
    assert "BADWORD" not in whole
    assert not CARD.search(whole)


@given(text=texts)
def test_a_clean_answer_is_shown_as_it_is(text: str) -> None:
    if "BADWORD" not in text and not CARD.search(text):
        for mode in MODES:
            assert "".join(shown(JUDGES[mode], list(text))[0]) == text


def test_a_buffered_answer_is_shown_at_its_end_alone() -> None:
    texts, _ = shown(JUDGES["buffered"], ["A long answer. ", "With 4111 1111 in it. ", "The end."])
    assert [text for text in texts if text] == ["A long answer. With [CARD] in it. The end."]


def test_a_blocked_answer_is_the_refusal_when_buffered_and_stops_when_windowed() -> None:
    pieces = ["All is well. ", "Then BADWORD comes. ", "And more."]
    texts, answer = shown(JUDGES["buffered"], pieces)
    assert ("".join(texts), answer.verdict.action) == ("No.", "block")
    texts, answer = shown(JUDGES["windowed"], pieces)
    assert "All is well.".startswith("".join(texts)[:3])
    assert ("BADWORD" in "".join(texts), answer.verdict.action) == (False, "block")


def test_async_shows_at_once_and_stops_late() -> None:
    policy = Policy.model_validate({"stream": "async", "response": {"bad": {"block": 0.5}}})
    late = Judge(PolicyFile(default="only", policies={"only": policy}), [WordRail()], Silent())
    texts, answer = shown(late, ["Fine. ", "BADWORD here. ", "Never shown."])
    assert "".join(texts) == "Fine. BADWORD here. "
    assert answer.blocked


def test_bad_after_ten_thousand_clean_characters() -> None:
    texts, answer = shown(JUDGES["windowed"], ["Clean words here. " * 600, "BADWORD"])
    assert answer.blocked
    assert len("".join(texts)) > 10_000

"""One answer, whole and in any pieces: the same text is shown, and the same verdict comes out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.guard.answer import GuardedAnswer, harmless, windows_of
from headrace.guard.judge import Judge
from headrace.guard.pii import PiiRail
from headrace.guard.policy import PiiConfig, Policy, PolicyFile, Thresholds
from headrace.guard.rail import Scores, Span
from headrace.guard.terms import TermsRail
from headrace.guard.windows import OPENINGS, Windows
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
    answer = GuardedAnswer(name, policy, terms=judge.terms(name))
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


def judge_of_addresses(mode: str, **levels: float) -> Judge:
    policy = Policy.model_validate({"stream": mode, "response": {"email_address": levels}})
    rail = PiiRail(PiiConfig(entities=("EMAIL_ADDRESS",)))
    return Judge(PolicyFile(default="only", policies={"only": policy}), [rail], Silent())


@pytest.mark.parametrize("mode", MODES)
def test_an_address_that_begins_like_an_opening_is_taken_out_whole(mode: str) -> None:
    for address in ("Theo@example.com", "I'm@example.com", "Howard.Noone@example.com"):
        texts, _ = shown(judge_of_addresses(mode, redact=0.4), list(f"{address} is mine"))
        assert "".join(texts) == "[EMAIL_ADDRESS] is mine"


def test_an_opening_waits_only_where_addresses_or_names_are_taken_out() -> None:
    for levels in ({"redact": 0.4}, {"block": 0.4}):
        policy = judge_of_addresses("windowed", **levels).policy(None)[1]
        assert harmless(OPENINGS, policy) == tuple(opening for opening in OPENINGS if opening[-1] in " ,")
    for of in (judge_of_addresses("windowed", flag=0.4), JUDGES["windowed"]):
        assert harmless(OPENINGS, of.policy(None)[1]) == OPENINGS
    assert "The" in shown(judge_of_addresses("windowed", flag=0.4), ["The", "o@example.com"])[0]


def judge_of_terms(mode: str, *terms: str) -> Judge:
    policy = Policy.model_validate({"stream": mode, "response": {"name": {"redact": 0.5}}})
    return Judge(
        PolicyFile(default="only", policies={"only": policy}), [TermsRail("names", "name", terms)], Silent()
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_term_that_begins_like_an_opening_is_taken_out_whole(mode: str) -> None:
    for text in ("Theodora is it", "I am The Odora", "thEoDora."):
        assert "odora" not in "".join(shown(judge_of_terms(mode, "theodora", "the odora"), list(text))[0]).lower()
        assert "Th" not in "".join(shown(judge_of_terms(mode, "theodora", "the odora"), list(text))[0])
    assert "The" in shown(judge_of_terms("windowed", "Anna"), ["The", "odora"])[0]
    assert next(window.text for window in windows_of("Theodora is it")) == "Theodora is it"


@pytest.mark.parametrize("mode", MODES)
@given(
    before=st.lists(st.sampled_from(["acme", "one", "Acme.", "secret", "The", "x" * 30]), max_size=12),
    gap=st.sampled_from([" ", "\n", "-", " - ", "  ", ". "]),
    places=st.lists(st.integers(0, 200), max_size=20),
)
def test_a_phrase_is_taken_out_whole(mode: str, before: list[str], gap: str, places: list[int]) -> None:
    text = " ".join([*before, gap.join(["acme", "secret", "project"]), "and more of it."])
    judge = judge_of_terms(mode, "Acme Secret Project")
    whole = "".join(shown(judge, [text])[0])
    assert "project" not in whole
    assert whole.count("[NAME]") == 1
    assert whole.removeprefix(" ".join([*before, ""])).startswith("[NAME] and more")
    assert "".join(shown(judge, cut(text, places))[0]) == whole


def test_the_beginning_of_a_phrase_again_and_again_is_not_waited_out() -> None:
    texts, _ = shown(judge_of_terms("windowed", "Acme Secret Project"), ["acme " * 1000])
    assert "".join(texts) == "acme " * 1000
    windows = list(Windows(begun=lambda _: True).feed("acme " * 1000))
    assert len(windows) > 5


@pytest.mark.parametrize("levels", [{"redact": 0.5}, {"block": 0.5}])
def test_no_opening_of_a_term_that_is_taken_out_leaves(levels: dict[str, float]) -> None:
    policy = Policy.model_validate({"stream": "windowed", "response": {"name": levels}})
    file = PolicyFile(default="only", policies={"only": policy})
    assert "The" not in Judge(file, [TermsRail("names", "name", ["theodora"])], Silent()).terms("only").openings

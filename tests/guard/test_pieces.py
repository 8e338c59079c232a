from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headrace.guard.folding import fold
from headrace.guard.pieces import AROUND, MOST, MOST_SPANS, SHORT, SIZE, STEP, pieces, spans, worst
from headrace.guard.readings import readings


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_any_hundred_characters_stand_in_one_piece(length: int, place: int) -> None:
    text = "".join(chr(0x4E00 + n) for n in range(length))
    phrase = text[place % (length + 1) :][: SIZE - STEP]
    assert any(phrase in piece for piece in pieces(text))
    assert max(map(len, pieces(text))) <= SIZE


def test_a_huge_text_is_looked_at_from_end_to_end_in_bounded_work() -> None:
    text = "a" * 5_000_000 + "z"
    found = pieces(text)
    assert len(found) == MOST
    assert found[-1].endswith("z")


def test_the_worst_piece_of_the_worst_reading_counts() -> None:
    def count(texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([float(text.count("hate")) for text in texts])

    texts = ["nothing", "x" * 1000 + " h4te hate", "hate " * 3, ""]
    scores = worst([readings(text) for text in texts], count)
    assert scores.tolist() == [0, 2, 3, 0]


def test_spans_are_short_sentences_and_what_is_around_suspicious_words() -> None:
    long = "one two three four five six seven eight nine ten wasp eleven twelve thirteen fourteen fifteen"
    assert spans(f'Hello. {{"a": "b c"}}\n{long}', lambda word: word == "wasp") == [
        "Hello.",
        "a",
        "b c",
        "eight nine ten wasp eleven twelve",
    ]
    assert spans(" The whole text. ", lambda _: True) == []
    assert spans(long, lambda _: False) == []


@given(st.text(alphabet='ab .\n"w', max_size=400))
def test_spans_are_of_the_text_and_short(text: str) -> None:
    for span in spans(text, lambda word: "w" in word):
        assert span in text
        assert any(len(span) <= SHORT or len(span) <= len(word) + 2 * AROUND for word in text.split())


def test_spans_of_a_huge_text_are_bounded() -> None:
    assert len(spans("Hm. " * 200_000, lambda _: True)) == MOST_SPANS


def test_a_text_that_nothing_is_cut_of_has_no_score() -> None:
    scores = worst([["a"], ["b"]], lambda texts: np.array([1.0] * len(texts)), lambda text: [text] * (text == "b"))
    assert scores.tolist() == [-np.inf, 1.0]


@given(st.text(max_size=200))
def test_folding_knows_where_each_character_stood(text: str) -> None:
    folded = fold(text)
    for place, character in enumerate(folded.text):
        start, end = folded.original(place, place + 1)
        assert character in fold(text[start:end]).text

from __future__ import annotations

import base64

import pytest

from headrace.guard.rail import Scores
from headrace.guard.terms import CanaryRail, TermsRail

RAIL = TermsRail("terms", "competitor", ["Acme Corp", "Initech", "naïve", "C++"])


def found(text: str) -> list[str]:
    (scores,) = RAIL.score_batch([text])
    return [text[span.start : span.end] for span in scores.spans]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Ask INITECH or acme  corp.", ["INITECH", "acme  corp"]),
        ("Acme\nCorp", ["Acme\nCorp"]),
        ("Ini\u200btech", ["Ini\u200btech"]),
        ("Ｉｎｉｔｅｃｈ", ["Ｉｎｉｔｅｃｈ"]),
        ("naïve?", ["naïve"]),
        ("in C++.", ["C++"]),
        ("Ask Initесh", ["Initесh"]),
        ("Initechnology, Acme Corporation", []),
        ("", []),
    ],
)
def test_terms_are_found_whole_in_any_writing(text: str, terms: list[str]) -> None:
    assert found(text) == terms


def test_a_list_of_nothing_finds_nothing() -> None:
    (scores,) = TermsRail("terms", "none", ["", "  "]).score_batch(["anything"])
    assert scores.spans == ()


CANARY = "zebra-lighthouse-42"


@pytest.mark.parametrize(
    "written",
    [
        CANARY,
        CANARY.upper(),
        "zеbrа-lighthоuse-42",
        "z e b r a - l i g h t h o u s e - 4 2",
        "\u0336".join(CANARY),
        base64.b64encode(f"The word is {CANARY}.".encode()).decode(),
    ],
    ids=["plain", "capitals", "look-alikes", "apart", "struck through", "base64"],
)
def test_a_canary_is_found_however_it_is_written(written: str) -> None:
    rail = CanaryRail([CANARY])
    assert rail.score_batch([f"Here: {written}", "Here: nothing"]) == [Scores({"canary": 1.0}), Scores()]
    assert not rail.points

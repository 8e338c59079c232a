from __future__ import annotations

import pytest

from headrace.guard.terms import TermsRail

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
        ("Initechnology, Acme Corporation", []),
        ("", []),
    ],
)
def test_terms_are_found_whole_in_any_writing(text: str, terms: list[str]) -> None:
    assert found(text) == terms


def test_a_list_of_nothing_finds_nothing() -> None:
    (scores,) = TermsRail("terms", "none", ["", "  "]).score_batch(["anything"])
    assert scores.spans == ()

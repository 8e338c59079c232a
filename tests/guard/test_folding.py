"""What is invisible, and what a digit, a dash and a blank are."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.guard.folding import fold, invisible

INVISIBLE = [
    "\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u202e",  # format
    "\u034f", "\u115f", "\u1160", "\u17b4", "\u180b", "\u2065", "\u3164", "\ufe0f", "\uffa0",  # ignorable
    "\ufff0", "\U000e0041", "\U000e0100", "\U000e0fff",
    "\u20e3", "\u20dd", "\u0488",  # around a character
    "\x00", "\x08", "\x1b", "\x7f", "\x80",
]  # fmt: skip
VISIBLE = ["a", "é", "4", "-", " ", "\n", "\t", "\x85", "\u2028", "\u0301", "\u0939", "中", "👍"]


@pytest.mark.parametrize("character", INVISIBLE, ids=ascii)
def test_what_is_invisible_is_left_out(character: str) -> None:
    assert invisible(character)
    assert fold(f"4{character}1").text == "41"


@pytest.mark.parametrize("character", VISIBLE, ids=ascii)
def test_what_is_seen_stays(character: str) -> None:
    assert not invisible(character)
    assert len(fold(f"a{character}b").text) == 3


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("٤۴४４𝟒④➃⁴₄", "444444444"),
        ("4\ufe0f\u20e31\ufe0f\u20e3", "41"),
        ("4\u03361\u03321\u0307", "411"),
        ("1‐2‑3‒4–5—6―7−8－9﹣0⁃1˗2〜3", "1-2-3-4-5-6-7-8-9-0-1-2-3"),
        ("1\u00a02\u20093\u30004\u28005", "1 2 3 4 5"),
        ("ＤＥ８９", "DE89"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_digits_dashes_and_blanks_are_plain(text: str, plain: str) -> None:
    assert fold(text).text == plain


def test_every_decimal_digit_is_read() -> None:
    digits = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Nd"]
    assert [fold(digit).text for digit in digits] == [str(unicodedata.decimal(digit)) for digit in digits]


def test_a_place_holds_what_was_left_out_after_it() -> None:
    folded = fold("x 4\ufe0f\u20e31\ufe0f\u20e3 y")
    start = folded.text.index("41")
    assert folded.original(start, start + 2) == (2, 8)


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_text_is_folded_as_its_pieces_are(text: str, more: str) -> None:
    assert fold(text + "." + more).text == fold(text).text + "." + fold(more).text

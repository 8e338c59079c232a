"""Texts as models write them, and ways to cut them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

_WORDS = st.sampled_from(
    [
        "the", "Answer", "is", "a.", "Really?", "4111", "1111", "DE89", "NWBK", "12", "jane@example.org", "(030)",
        "привет", "你好。", "👩‍👩‍👧", "e\u0301", "BADWORD", "secret-word", "x" * 150, "\n\n", "\t",
        "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "don't", "3.14", "…", "!",
    ]
)  # fmt: skip
texts = st.one_of(
    st.lists(_WORDS, max_size=60).map(" ".join),
    st.lists(_WORDS, max_size=30).map("".join),
    st.text(max_size=300),
)


def cut(text: str, places: list[int]) -> list[str]:
    """The text in pieces, some of them empty."""
    ends = sorted({0, len(text), *(place for place in places if place <= len(text))})
    return [text[start:end] for start, end in pairwise(ends)] or [""]

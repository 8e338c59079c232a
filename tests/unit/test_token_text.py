"""Tokens as text, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.text.token_text import token_bytes, token_text


@given(st.binary())
def test_every_token_comes_back(data: bytes) -> None:
    text = token_text(data)
    assert token_bytes(text) == data
    text.encode()  # it travels as UTF-8


@pytest.mark.parametrize(
    ("data", "text"),
    [(b" Paris", " Paris"), ("é".encode(), "é"), (b"\xf0\x9f", r"bytes:\xf0\x9f"), (b"", ""), (b"\x00", "\x00")],
)
def test_what_is_no_text_is_written_as_openai_does(data: bytes, text: str) -> None:
    assert token_text(data) == text

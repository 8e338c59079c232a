"""Text in and out of tokens: nothing lost, nothing garbled, whatever the pieces."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import paths
from headrace.text.answer import AnswerText
from headrace.text.detokenizer import Detokenizer
from headrace.text.stop_strings import StopMatcher
from headrace.text.tokenizer import Tokenizer

TEXTS = (
    "The capital of France is Paris.",
    "family 👨‍👩‍👧‍👦, flag 🏳️‍🌈, skin 👍🏽",
    "עברית العربية हिन्दी ไทย 中文 日本語 한국어",
    "e\u0301 a\u0300\u0301\u0302 z\u0335\u0321\u0322",
    "  indent\n\ttab \u00a0 nbsp \u200b zero \ufeff bom",
    "\ufffd is a real character",
    "x" * 200,
)


@cache
def shared_tokenizer() -> Tokenizer:
    return Tokenizer(paths.default_model())


@pytest.fixture
def tokenizer() -> Tokenizer:
    return shared_tokenizer()


def cut(items: Sequence[int], places: list[int]) -> list[Sequence[int]]:
    """`items` in pieces, cut at these places."""
    edges = [0, *sorted(place % (len(items) + 1) for place in places), len(items)]
    return [items[start:end] for start, end in pairwise(edges)]


def cut_text(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def streamed(tokenizer: Tokenizer, pieces: list[Sequence[int]]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    chunks = [detokenizer.feed(piece) for piece in pieces]
    return [*chunks, detokenizer.feed([], final=True)]


cuts = st.lists(st.integers(0, 10_000), max_size=30)
# The model's vocabulary lacks a few bytes that no text of its training had, so not every string can be encoded.
ALPHABET = sorted(set("".join(TEXTS)))
texts = st.one_of(st.sampled_from(TEXTS), st.text(ALPHABET, max_size=60))


@settings(max_examples=300)
@given(text=texts, places=cuts)
def test_any_text_comes_back_whole_whatever_the_pieces(text: str, places: list[int]) -> None:
    tokenizer = shared_tokenizer()
    pieces = cut(tokenizer.encode_plain(text), places)
    assert "".join(streamed(tokenizer, pieces)) == text


@settings(max_examples=300)
@given(ids=st.lists(st.integers(0, 49_151), max_size=40), places=cuts)
def test_any_tokens_give_the_same_text_in_pieces_as_at_once(ids: list[int], places: list[int]) -> None:
    """Random ids are mostly invalid UTF-8: the replacement characters must not depend on the cuts either."""
    tokenizer = shared_tokenizer()
    chunks = streamed(tokenizer, cut(ids, places))
    whole = b"".join(map(tokenizer.token_bytes, ids)).decode("utf-8", "replace")
    assert "".join(chunks) == whole
    for chunk in chunks:
        chunk.encode("utf-8")


@settings(max_examples=200)
@given(ids=st.lists(st.integers(17, 49_151), max_size=40))
def test_decoding_equals_the_tokenizers_library(ids: list[int]) -> None:
    tokenizer = shared_tokenizer()
    detokenizer = Detokenizer(tokenizer)
    library = tokenizer._tokenizer
    assert detokenizer.feed(ids, final=True) == library.decode(ids, skip_special_tokens=True)


def test_control_tokens_add_nothing_to_an_answer(tokenizer: Tokenizer) -> None:
    end = tokenizer.special_id("<|im_end|>")
    assert tokenizer.token_bytes(end) == b""
    assert tokenizer.token_bytes(10**9) == b""


def naive_stop(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """Reference: the match that ends first wins; of those that end there, the one that began first."""
    for end in range(1, len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)], True
    return text, False


ab = st.text("abé👍", min_size=1, max_size=5)


@settings(max_examples=500)
@given(text=st.text("abé👍", max_size=40), stops=st.lists(ab, max_size=5), places=cuts)
def test_stop_strings_are_cut_as_by_the_reference_whatever_the_pieces(
    text: str, stops: list[str], places: list[int]
) -> None:
    matcher = StopMatcher(stops)
    shown = "".join(matcher.feed(piece) for piece in cut_text(text, places)) + matcher.feed("", final=True)
    assert (shown, matcher.matched) == naive_stop(text, stops)


@settings(max_examples=300)
@given(text=st.text("ab", max_size=30), stop=st.text("ab", min_size=1, max_size=6))
def test_no_part_of_a_stop_string_is_shown_before_it_is_ruled_out(text: str, stop: str) -> None:
    matcher = StopMatcher([stop])
    shown = ""
    final, _ = naive_stop(text, [stop])
    for character in text:
        shown += matcher.feed(character)
        assert final.startswith(shown)


def test_a_thousand_stop_strings() -> None:
    stops = [f"stop-{number:04d}" for number in range(1000)]
    matcher = StopMatcher(stops)
    assert matcher.feed("go on stop-12 stop-0999 never shown") == "go on stop-12 "
    assert matcher.matched


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        StopMatcher(["fine", ""])


def test_a_stop_string_across_tokens_and_characters(tokenizer: Tokenizer) -> None:
    answer = AnswerText(tokenizer, ["👨‍👩‍👧"])
    shown = "".join(answer.feed([token]) for token in tokenizer.encode_plain("we 👨‍👩‍👧 are"))
    assert shown == "we "
    assert answer.stopped


def test_what_was_held_back_comes_at_the_end(tokenizer: Tokenizer) -> None:
    answer = AnswerText(tokenizer, ["Paris!"])
    ids = tokenizer.encode_plain("It is Paris")
    assert answer.feed(ids) == "It is "
    assert answer.feed([], final=True) == "Paris"


def test_unknown_ids_add_nothing_and_are_not_kept(tokenizer: Tokenizer) -> None:
    kept = len(tokenizer._bytes)
    assert {tokenizer.token_bytes(token_id) for token_id in (-1, *range(10**6, 10**6 + 100))} == {b""}
    assert len(tokenizer._bytes) == kept

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.guard.windows import (
    CONTEXT,
    LONGEST_KEY,
    LONGEST_RUN,
    LONGEST_WORD,
    OPENINGS,
    SIZES,
    Window,
    Windows,
)
from tests.guard.pieces import cut, texts

KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEow IBAAKC\n" * 40 + "-----END RSA PRIVATE KEY-----"


opened = st.tuples(st.sampled_from(OPENINGS), texts).map("".join)


def windows(pieces: list[str]) -> list[Window]:
    state = Windows()
    found = [window for piece in pieces for window in state.feed(piece)]
    return [*found, *state.feed("", final=True)]


@given(texts | opened, st.lists(st.integers(0, 400), max_size=30))
@example("Call 030 1234 5678. Then wait", [1, 2, 3])
def test_windows_depend_on_the_text_alone(text: str, places: list[int]) -> None:
    whole = windows([text])
    assert windows(cut(text, places)) == whole
    assert windows(list(text)) == whole


@given(texts)
def test_windows_are_the_text_and_each_knows_what_came_before(text: str) -> None:
    done = ""
    for window in windows([text]):
        assert window.text
        assert window.before == done[-CONTEXT:]
        done += window.text
    assert done == text


@given(texts | opened, texts)
def test_a_window_that_was_found_stays_whatever_follows(text: str, more: str) -> None:
    early = list(Windows().feed(text))
    assert windows([text + more])[: len(early)] == early


@given(texts)
def test_no_window_is_longer_than_its_size_a_run_and_a_word(text: str) -> None:
    longest_word = max((len(word) for word in text.split()), default=0)
    for number, window in enumerate(windows([text])):
        if "-----BEGIN" not in window.text:
            most = SIZES[min(number, len(SIZES) - 1)] + LONGEST_RUN + 2 * (longest_word + 64)
            assert len(window.text) <= most


def test_the_first_word_goes_as_soon_as_it_is_whole() -> None:
    state = Windows()
    assert list(state.feed("Pa")) == []
    assert list(state.feed("ris")) == []
    assert list(state.feed(" is")) == [Window("", "Paris")]
    assert state.pending == " is"


def test_an_opening_goes_before_its_word_is_known_to_be_whole() -> None:
    state = Windows()
    assert list(state.feed("Th")) == []
    assert list(state.feed("e")) == [Window("", "The")]
    assert list(state.feed("re is much more to say here")) == []
    assert [window.text for window in state.feed(" now")] == ["re is much more to say here"]


def test_openings_are_apart_and_begin_no_number() -> None:
    for opening in OPENINGS:
        assert not any(other != opening and other.startswith(opening) for other in OPENINGS)
        assert re.match(r"[A-Z](?:[a-z]{2}|[a-z]?['  ,])", opening)


@pytest.mark.parametrize(
    "together",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "DE89 3704 0044 0532 0130 00",
        "GB29 NWBK 6016 1331 9268 19",
        "078-05-1120",
        "078 05 1120",
        "+49 (030) 1234 5678",
        "4111 - 1111 - 1111 - 1111",
        "gb29 nwbk 6016 1331 9268 19",
        "eyJhbGciOiJIUzI1NiJ9." + "a" * 900,
        "jane.doe@example.org",
        "AKIAIOSFODNN7EXAMPLE",
        KEY,
    ],
)
@pytest.mark.parametrize("before", ["", "It is ", "word " * 7, "word " * 60])
def test_what_a_rail_points_at_is_never_cut(together: str, before: str) -> None:
    text = f"{before}{together} and so on, and so on."
    assert any(together in window.text for window in windows(list(text))), windows([text])


def test_what_never_ends_is_cut_all_the_same() -> None:
    for endless in ("x" * 5000, "1234 " * 2000, "。" * 3000, "-----BEGIN PRIVATE KEY-----" + "x" * 20_000):
        assert max(len(window.text) for window in windows([endless])) <= LONGEST_KEY + LONGEST_WORD


def test_a_long_text_takes_time_in_proportion() -> None:
    def seconds(text: str) -> float:
        began = time.process_time()
        windows([text])
        return time.process_time() - began

    sentence = "The quick brown fox, aged 12 years, jumps over 13 lazy dogs. "
    seconds(sentence * 10)
    short, long = seconds(sentence * 400), seconds(sentence * 4000)
    assert long < 40 * max(short, 0.01)

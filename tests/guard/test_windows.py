from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.guard.seams import LONGEST_RUN
from headrace.guard.windows import (
    CONTEXT,
    LONGEST_KEY,
    LONGEST_LIST,
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
            most = SIZES[min(number, len(SIZES) - 1)] + 2 * LONGEST_RUN + 2 * (longest_word + 64)
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
        '"iban":"GB29 NWBK 6016 1331 9268 19"',
        "IBAN:GB29 NWBK 6016 1331 9268 19",
        "(2)GB29 NW BK60 161331 9268 19",
        "DE 89 3704 0044 0532 0130 00",
        "4111 \u200b 1111 \u200b 1111 \u200b 1111",
        "4111 － 1111 － 1111 － 1111",
        "4111" + "\u200b" * 700 + " 1111 1111 1111",
        "".join("4" + "\u200b" * 60 + " " for _ in range(15)) + "4",
        "4111\u2800 1111\u2800 1111\u2800 1111",
        "**4111** **1111** **1111** **1111**",
        "٤١١١ ١١١١ ١١١١ ١١١١",
        "4\ufe0f\u20e3 1\ufe0f\u20e3 1\ufe0f\u20e3 1\ufe0f\u20e3",
        (" " * 7).join(["4111"] + ["1111"] * 3),
        "MT84 MALT 0110 0001 2345 MTLC AST0 01 S",
    ],
)
@pytest.mark.parametrize(
    "before",
    [
        "",
        "It is ",
        "word " * 7,
        "word " * 60,
        "word word w ",
        "Room No. 2 ",
        '{"id":1,"address":"' + "x" * 117 + '","number":"',
    ],
)
def test_what_a_rail_points_at_is_never_cut(together: str, before: str) -> None:
    text = f"{before}{together} and so on, and so on."
    assert any(together in window.text for window in windows(list(text))), windows([text])


BAIT = (
    "4 ",
    "1-",
    "1 - 2\n",
    "DE89 ",
    "D E 8 9 ",
    "de12 word ",
    "4111 1111 1111 1111 ",
    "x",
    "7",
    "。",
    "\u200b",
    "4\u200b ",
    "4" + 40 * "\u200b" + " ",
)


@pytest.mark.parametrize(
    "endless", [*BAIT, "-----BEGIN PRIVATE KEY-----" + "x" * 20_000], ids=lambda text: ascii(text)[:24]
)
def test_what_never_ends_is_cut_all_the_same(endless: str) -> None:
    state = Windows()
    text = (endless * 40_000)[:40_000]
    for start in range(0, len(text), 400):
        for window in state.feed(text[start : start + 400]):
            assert len(window.text) <= LONGEST_LIST + LONGEST_WORD
        assert len(state.pending) <= max(LONGEST_LIST, LONGEST_KEY) + LONGEST_WORD
        assert len(state._text) <= len(state.pending) + 2 * CONTEXT


@pytest.mark.parametrize("card", ["4111 1111 1111 1111", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "3782 822463 10005"])
@pytest.mark.parametrize("last", [20, 43, 60, 200])
@pytest.mark.parametrize("joint", [" ", ", ", "\n"])
def test_a_list_of_numbers_is_cut_where_it_cuts_no_card(card: str, last: int, joint: str) -> None:
    text = " ".join(map(str, range(1, last))) + joint + card + joint + " ".join(map(str, range(1, 200)))
    found = windows([text])
    assert any(card in window.text for window in found), found
    assert max(len(window.text) for window in found) < 500


def test_a_word_that_is_too_long_is_cut_beside_a_number_and_not_in_it() -> None:
    for length in range(4040, 4100):
        text = '{"a":"' + "x" * length + '","c":"4111111111111111"}'
        assert any("4111111111111111" in window.text for window in windows([text])), length


@pytest.mark.parametrize(
    "text", [*BAIT, "The quick brown fox, aged 12 years, jumps over 13 lazy dogs. "], ids=ascii
)
def test_a_long_text_takes_time_in_proportion(text: str) -> None:
    def seconds(length: int) -> float:
        began = time.process_time()
        windows([(text * length)[:length]])
        return time.process_time() - began

    seconds(1_000)
    assert seconds(80_000) < 30 * max(seconds(10_000), 0.01)  # were it quadratic, 64 times as long


def test_an_opening_can_go_with_the_next_window_and_no_other_window_changes() -> None:
    for text in ("There is much more to say. And so on, and so on.", "I E29 AIBK 9311 5212 3456 78 it is", "The"):
        alone = windows([text])
        together = list(Windows(apart=False).feed(text, final=True))
        assert "".join(window.text for window in together) == text
        assert [window.before + window.text for window in together] == [
            window.before + window.text for window in alone[len(alone) - len(together) :]
        ]


def test_who_gives_no_openings_waits_for_the_first_word() -> None:
    state = Windows(openings=())
    assert list(state.feed("The")) == []
    assert list(state.feed("o@example.com is")) == [Window("", "Theo@example.com")]


NUMBERS = "word " * 200 + " ".join(map(str, range(100, 400)))


LONG_KEY = "word " * 200 + "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEow IBAAKC\n" * 900 + "word " * 100


@pytest.mark.parametrize("size", [100, 997, 1100, 1200])
@pytest.mark.parametrize("text", [NUMBERS, LONG_KEY], ids=["numbers", "key"])
def test_windows_of_a_long_text_depend_on_the_text_alone(text: str, size: int) -> None:
    assert windows([text[start : start + size] for start in range(0, len(text), size)]) == windows([text])


@pytest.mark.parametrize("number", ["4111 1111 1111 1111", "4500 0000 0012 3401 239", "123 45 6789"])
def test_a_list_of_numbers_is_cut_in_no_number_wherever_it_stands(number: str) -> None:
    after = " ".join(map(str, range(1, 100)))
    for last in range(20, 140):
        text = f"{' '.join(map(str, range(1, last)))} {number} {after}"
        assert any(number in window.text for window in windows([text])), last

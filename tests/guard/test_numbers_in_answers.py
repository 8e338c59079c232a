"""No digit of a card, an IBAN or a social security number leaves, wherever it stands and however it comes."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.guard.answer import GuardedAnswer
from headrace.guard.folding import fold
from headrace.guard.judge import Judge
from headrace.guard.pii import PiiRail
from headrace.guard.policy import PiiConfig, Policy, PolicyFile, StreamMode
from tests.guard import numbers
from tests.guard.numbers import Text
from tests.guard.pieces import cut
from tests.guard.rails import Silent

ENTITIES = ("CREDIT_CARD", "IBAN_CODE", "US_SSN")
MODES: tuple[StreamMode, ...] = ("windowed", "buffered")
POLICY = Policy.model_validate({"response": {entity.lower(): {"redact": 0.5} for entity in ENTITIES}})
JUDGE = Judge(
    PolicyFile(default="only", policies={"only": POLICY}), [PiiRail(PiiConfig(entities=ENTITIES))], Silent()
)
places = st.lists(st.integers(0, 600), max_size=40)


def shown(pieces: list[str], mode: StreamMode) -> str:
    answer = GuardedAnswer("only", POLICY, mode)
    found = ""
    for piece, final in [*((piece, False) for piece in pieces), ("", True)]:
        early, asked = answer.feed(piece, final)
        found += early + answer.settle(JUDGE.judge(asked)).text
    return found


def assert_hidden(given: Text, places: list[int]) -> None:
    assume(not re.fullmatch(r"\d{1,3}\.\d+", fold(given.hidden).text))  # a number with decimals
    for mode in MODES:
        whole = shown([given.text], mode)
        assert not re.search("[0-9]", whole), (given, whole)
        assert shown(cut(given.text, places), mode) == whole


CARD, IBAN, SSN = "4111 1111 1111 1111", "GB29 NWBK 6016 1331 9268 19", "123-45-6789"
KEYCAPS = "".join(digit + "\ufe0f\u20e3" for digit in "4111111111111111")
EXAMPLES = [
    (CARD, "{} 12/27"),
    ("4111111111111111", "Visa {} 12/27"),
    (CARD, "Room 23 {}"),
    (CARD, "in 2024 {}"),
    ("4111111111111111", "Items: 2\n{}"),
    ("4111111111111111", "{}\n2 items"),
    (CARD, "3. {}"),
    ("4111111111111111", "1. {0}\n2. {0}\n3. {0}"),
    ("4111111111111111", "No.{}"),
    ("3782 822463 10005", "{0} {0}"),
    ("DE89370400440532013000", "{0}\n{0}\n{0}"),
    ("DE89 3704 0044 0532 0130 00", "AB12 {}"),
    (SSN, "SSN-{}"),
    (SSN, "{}-"),
    ("123_45_6789", "{}"),
    (KEYCAPS, "Pay by {} and"),
    ("٤١١١ ١١١١ ١١١١ ١١١١", "Pay by {} and"),
    ("4111_1111_1111_1111", "Pay by {} and"),
    ("4111·1111·1111·1111", "Pay by {} and"),
    ("4111** **1111** **1111** **1111", "Pay by **{}** and"),
    ("4111 \u200b 1111 \u200b 1111 \u200b 1111", "Pay by {} and"),
    ("4111 － 1111 － 1111 － 1111", "Pay by {} and"),
    (IBAN, 'word word w "iban":"{}"'),
    (IBAN, "IBAN:{}"),
    (IBAN, "Room 2 {}"),
    (CARD, '{{"id":1,"address":"' + "x" * 117 + '","number":"{}"}}'),
    ("4111111111111111", '{{"a":"' + "x" * 4068 + '","c":"{}"}}'),
    (CARD, " ".join(map(str, range(1, 44))) + ", {}"),
    (CARD, " ".join(map(str, range(1, 44))) + " {} " + " ".join(map(str, range(1, 44)))),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("number", "frame"), EXAMPLES, ids=ascii)
def test_a_number_is_redacted_whole_and_nothing_else_is(number: str, frame: str, mode: StreamMode) -> None:
    category = (
        "IBAN_CODE" if "GB29" in number or "DE89" in number else "US_SSN" if "123" in number else "CREDIT_CARD"
    )
    text = frame.format(number)
    for pieces in ([text], list(text), cut(text, list(range(0, len(text), 7)))):
        assert shown(pieces, mode) == frame.format(f"[{category}]")


@given(
    numbers.texts(numbers.cards.flatmap(numbers.usual_groups).flatmap(numbers.written), numbers.numbers), places
)
def test_no_digit_leaves_of_a_card_as_cards_are_written_among_any_numbers(given: Text, places: list[int]) -> None:
    assert_hidden(given, places)


@given(
    numbers.texts(numbers.cards.flatmap(numbers.any_groups).flatmap(numbers.written), numbers.few_numbers, most=2),
    places,
)
def test_no_digit_leaves_of_a_card_in_any_groups_among_few_numbers(given: Text, places: list[int]) -> None:
    assert_hidden(given, places)


@given(numbers.texts(numbers.ibans.flatmap(numbers.any_groups).flatmap(numbers.written), numbers.numbers), places)
def test_no_digit_leaves_of_an_iban_in_any_groups(given: Text, places: list[int]) -> None:
    assert_hidden(given, places)


@given(numbers.texts(numbers.ssns, numbers.numbers), places)
def test_no_digit_leaves_of_a_social_security_number(given: Text, places: list[int]) -> None:
    assert_hidden(given, places)

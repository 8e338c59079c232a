"""Personal data: what is found, where exactly, and what is left alone."""

from __future__ import annotations

import random
import re
import socket
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.errors import ConfigError
from headrace.guard.judge import redacted
from headrace.guard.pii import PiiRail
from headrace.guard.policy import PiiConfig
from tests.guard.numbers import luhn

RAIL = PiiRail(PiiConfig())
CHECKED = PiiRail(PiiConfig(entities=("CREDIT_CARD", "IBAN_CODE", "US_SSN")))


def found(text: str, at_least: float = 0.4) -> list[tuple[str, str]]:
    (scores,) = RAIL.score_batch([text])
    return [(span.category, text[span.start : span.end]) for span in scores.spans if span.score >= at_least]


@pytest.mark.parametrize(
    ("category", "entity"),
    [
        ("credit_card", "4111 1111 1111 1111"),
        ("credit_card", "4111-1111-1111-1111"),
        ("credit_card", "378282246310005"),
        ("credit_card", "2223 0031 2200 3222"),
        ("credit_card", "4111 - 1111 - 1111 - 1111"),
        ("credit_card", "４１１１１１１１１１１１１１１１"),
        ("credit_card", "4111\u200b1111\u200b1111\u200b1111"),
        ("iban_code", "DE89 3704 0044 0532 0130 00"),
        ("iban_code", "gb82west12345698765432"),
        ("iban_code", "NO93 8601 1117 947"),
        ("us_ssn", "078-05-1120"),
        ("us_ssn", "078 05 1120"),
        ("email_address", "jane.doe@example.org"),
        ("phone_number", "(212) 555-1234"),
        ("phone_number", "+49 30 901820"),
        ("ip_address", "192.168.0.1"),
        ("ip_address", "2001:db8::ff00:42:8329"),
    ],
)
@pytest.mark.parametrize("frame", ["{}", "It is {}, so to say.", "x" * 3990 + " {} and on"])
def test_an_entity_is_found_at_its_place(category: str, entity: str, frame: str) -> None:
    assert (category, entity) in found(frame.format(entity))


def taken_out(text: str) -> str:
    """With a letter for each card, IBAN and social security number."""
    kinds = {"credit_card": "C", "iban_code": "I", "us_ssn": "S"}
    (scores,) = CHECKED.score_batch([text])
    shown, _ = redacted(text, [span for span in scores.spans if span.category in kinds and span.score >= 0.4])
    for kind, letter in kinds.items():
        shown = shown.replace(f"[{kind.upper()}]", letter)
    return shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4111 1111 1111 1111 12/27", "C 12/27"),
        ("Visa 4111111111111111 12/27", "Visa C 12/27"),
        ("Room 23 4111 1111 1111 1111", "Room 23 C"),
        ("in 2024 4111 1111 1111 1111", "in 2024 C"),
        ("Items: 2\n4111111111111111", "Items: 2\nC"),
        ("4111111111111111\n2 items", "C\n2 items"),
        ("3. 4111 1111 1111 1111", "3. C"),
        ("1. 4111111111111111\n2. 5500000000000004\n3. 340000000000009", "1. C\n2. C\n3. C"),
        ("1. 4111 1111 1111 1111\n2. 5500 0000 0000 0004\n3. 3400 000000 00009", "1. C\n2. C\n3. C"),
        ("1. 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n2. 55 00 00 00 00 00 00 04", "1. C\n2. C"),
        ("No.4111111111111111", "No.C"),
        ("3782 822463 10005 4111 1111 1111 1111", "C C"),
        ("on 2024-05-01 at 10.30 41-111-1111-11111-11 12/27", "on 2024-05-01 at 10.30 C 12/27"),
        ("DE89370400440532013000\nGB29NWBK60161331926819\nFR1420041010050500013M02606", "I\nI\nI"),
        ("AB12 DE89 3704 0044 0532 0130 00", "AB12 I"),
        ("DE89 3704 0044 0532 0130 00 12 34 and so on", "I 12 34 and so on"),
        ("IBAN: DE 89 3704 0044 0532 0130 00", "IBAN: I"),
        ("G B 2 9 N W B K 6 0 1 6 1 3 3 1 9 2 6 8 1 9", "I"),
        ("SSN-123-45-6789", "SSN-S"),
        ("123-45-6789-", "S-"),
        ("123_45_6789", "S"),
        ("**123**-**45**-**6789**", "**S**"),
    ],
)
def test_a_number_is_found_beside_others(text: str, shown: str) -> None:
    assert taken_out(text) == shown


@pytest.mark.parametrize(
    "written",
    [
        "".join(digit + "\ufe0f\u20e3" for digit in "4111111111111111"),
        "٤١١١ ١١١١ ١١١١ ١١١١",
        "𝟒𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏 𝟏𝟏𝟏𝟏",
        "➃➀➀➀ ①①①① ₁₁₁₁ ¹¹¹¹",
        "4111_1111_1111_1111",
        "4111·1111·1111·1111",
        "4111 － 1111 − 1111 – 1111",
        "4111\u034f1111\u115f1111\uffa01111",
        "4111\u28001111\u31641111\ufe0f1111",
        "4111 \u200b 1111 \u200b 1111 \u200b 1111",
        "4\u03361\u03361\u03361\u0336 1111 1111 1111",
        "4111\x001111\x7f1111 1111",
    ],
)
def test_a_number_is_found_in_any_writing(written: str) -> None:
    assert taken_out(f"Pay by {written}, then") == "Pay by C, then"


def test_markup_between_the_groups_hides_no_number() -> None:
    assert taken_out("Pay by **4111** **1111** **1111** **1111**, then") == "Pay by **C**, then"


@pytest.mark.parametrize(
    "harmless",
    [
        "4111 1111 1111 1112",  # a wrong check digit
        "DE88 3704 0044 0532 0130 00",
        "666-12-3456",  # never given out
        "550e8400-e29b-41d4-a716-446655440000",
        "at 10:45 on 2024-12-01",
        "version 1.22.333",
        "$1,234,567.89",
        "ISBN 978-3-16-148410-0",
        "call the function f(x) = x @ y",
    ],
)
def test_what_only_looks_like_one_is_left_alone(harmless: str) -> None:
    assert found(f"It is {harmless}, so to say.") == []


@pytest.mark.parametrize(
    ("text", "category"),
    [("my passport number is 123456789", "us_passport"), ("ssn: 078051120", "us_ssn")],
)
def test_a_word_beside_a_bare_number_says_what_it_is(text: str, category: str) -> None:
    assert category in {name for name, _ in found(text)}


@pytest.mark.parametrize(
    "harmless",
    [
        "0.4111111111111111",
        "4.111111111111111e3",
        "+49 1510 000004",
        "20240105101008",
        "120 * 12 * 1440",
        "123/45/6789",
        "1-123-45-6789",
        "123-45-6789-1",
        "NO 15 DAYS ARE LEFT",
    ],
)
def test_other_numbers_are_no_cards_ibans_or_social_security_numbers(harmless: str) -> None:
    assert taken_out(f"It is {harmless}, so to say.") == f"It is {harmless}, so to say."


@given(
    st.sampled_from(["4", "51", "37", "6011", "35"]),
    st.text("0123456789", min_size=11, max_size=11),
    st.lists(st.sampled_from(["", " ", "-", ".", " - "]), min_size=20, max_size=20),
)
def test_every_card_with_a_right_check_digit_is_found(prefix: str, middle: str, between: list[str]) -> None:
    digits = luhn(prefix + middle)
    card = "".join(digit + gap for digit, gap in zip(digits[:-1], between, strict=False)) + digits[-1]
    assume(not re.fullmatch(r"\d{1,3}\.\d+", card))  # a number with decimals
    assert ("credit_card", card) in found(f"Pay with {card} please")


def test_lists_of_numbers_and_dates_are_seldom_cards() -> None:
    draw = random.Random(1)

    def number() -> str:
        date = f"{draw.randint(1950, 2030)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
        return draw.choice([str(draw.randint(0, 10 ** draw.randint(1, 5))), date, f"{draw.random() * 10}"])

    joints = [" ", "\n", "\n- ", " - ", "/"]
    lists = [draw.choice(joints).join(number() for _ in range(draw.randint(3, 30))) for _ in range(1000)]
    assert sum("C" in taken_out(text) for text in lists) < 60  # 1 in 10 has a right check digit in every 19 digits


def test_numbers_one_after_another_are_no_cards() -> None:
    for joint in (" ", "\n", "-"):
        for first in range(100):
            assert taken_out(text := joint.join(map(str, range(first, first + 60)))) == text


@pytest.mark.parametrize(
    "bait", ["4 ", "1-", "DE89", "DE89 ", "D E 8 9 ", "4111 1111 1111 1111\n", "7", "٤ ", "123-45-"]
)
def test_bait_takes_time_in_proportion(bait: str) -> None:
    def seconds(length: int) -> float:
        began = time.process_time()
        RAIL.score_batch([(bait * length)[:length]])
        return time.process_time() - began

    seconds(1_000)
    assert seconds(80_000) < 30 * max(seconds(10_000), 0.01)  # were it quadratic, 64 times as long


def test_nothing_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert ("email_address", "a@b.co.uk") in found("mail a@b.co.uk")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"entities": ("SHOE_SIZE",)}, "SHOE_SIZE: unknown"),
        ({"entities": ("PERSON",)}, "PERSON: unknown, or needs rails.pii.spacy_model"),
        ({"spacy_model": "no_such_model"}, "no_such_model is not installed"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        PiiRail(PiiConfig.model_validate(config))


def test_an_amex_in_a_long_list_of_numbers_is_found() -> None:
    around = " ".join(map(str, range(1, 30)))
    assert taken_out(f"{around} 3782 822463 10005 {around}") == f"{around} C {around}"


IBANS = """
AD1200012030200359100100 AE070331234567890123456 AL47212110090000000235698741 AT611904300234573201
AZ21NABZ00000000137010001944 BA391290079401028494 BE68539007547034 BG80BNBG96611020345678 BH67BMAG00001299123456
BR1800360305000010009795493C1 CH9300762011623852957 CR05015202001026284066 CY17002001280000001200527600
CZ6508000000192000145399 DE89370400440532013000 DK5000400440116243 DO28BAGR00000001212453611324
EE382200221020145685 ES9121000418450200051332 FI2112345600000785 FO6264600001631634 FR1420041010050500013M02606
GB29NWBK60161331926819 GE29NB0000000101904917 GI75NWBK000000007099453 GL8964710001000206
GR1601101250000000012300695 GT82TRAJ01020000001210029690 HR1210010051863000160 HU42117730161111101800000000
IE29AIBK93115212345678 IL620108000000099999999 IS140159260076545510730339 IT60X0542811101000000123456
JO94CBJO0010000000000131000302 KW81CBKU0000000000001234560101 KZ86125KZT5004100100 LB62099900000001001901229114
LI21088100002324013AA LT121000011101001000 LU280019400644750000 LV80BANK0000435195001 MC5811222000010123456789030
MD24AG000225100013104168 ME25505000012345678951 MK07250120000058984 MR1300020001010000123456753
MT84MALT011000012345MTLCAST001S MU17BOMM0101101030300200000MUR NL91ABNA0417164300 NO9386011117947
PK36SCBL0000001123456702 PL61109010140000071219812874 PS92PALS000000000400123456702 PT50000201231234567890154
QA58DOHB00001234567890ABCDEFG RO49AAAA1B31007593840000 RS35260005601001611379 SA0380000000608010167519
SE4550000000058398257466 SI56263300012039086 SK3112000000198742637541 SM86U0322509800000000270100
TN5910006035183598478831 TR330006100519786457841326 UA213223130000026007233566001 VA59001123000012345678
VG96VPVG0000012345678901 XK051212012345678906
""".split()  # noqa: SIM905


@pytest.mark.parametrize("iban", IBANS)
def test_an_iban_of_each_country_is_found_in_one_piece_and_in_groups(iban: str) -> None:
    groups = " ".join(iban[start : start + 4] for start in range(0, len(iban), 4))
    assert taken_out(f"Pay to {iban}, or {groups}.") == "Pay to I, or I."


@pytest.mark.parametrize("number", ["000-12-3456", "900-12-3456", "123-00-4567", "123-45-0000", "666-12-3456"])
def test_a_social_security_number_that_is_never_given_out_is_left_alone(number: str) -> None:
    assert taken_out(f"It is {number}, so to say.") == f"It is {number}, so to say."


CARDS = {
    "Visa": "4111111111111111", "Visa, 13": "4222222222222", "Mastercard": "5555555555554444",
    "Mastercard, 2": "2223003122003222", "Amex": "378282246310005", "Discover": "6011111111111117",
    "Diners": "30569309025904", "Diners, 36": "36227206271667", "JCB": "3530111333300000",
    "UnionPay": "6200000000000005", "Mir": "2200000000000004",
}  # fmt: skip


@pytest.mark.parametrize("network", CARDS)
def test_a_card_of_each_network_is_found_in_a_long_list_of_numbers(network: str) -> None:
    card, around = CARDS[network], " ".join(map(str, range(1, 30)))
    ends = [0, 4, 10, len(card)] if len(card) in {14, 15} else [*range(0, len(card), 4), len(card)]
    groups = " ".join(card[start:end] for start, end in pairwise(ends))
    assert taken_out(f"{around} {groups} {around}") == f"{around} C {around}"


def test_no_phone_of_very_many_is_missed() -> None:
    numbers = [f"(212) 555-{number:04}" for number in range(1234, 1284)]
    text = "; ".join(numbers)
    spans = [entity for category, entity in found(text) if category == "phone_number"]
    assert all(any(number[1:] in span or span in number for span in spans) for number in numbers)
    assert len(spans) >= len(numbers)

"""Personal data: what is found, where exactly, and what is left alone."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ConfigError
from headrace.guard.pii import PiiRail
from headrace.guard.policy import PiiConfig

RAIL = PiiRail(PiiConfig())


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


def luhn(digits: str) -> str:
    total = sum(int(d) if place % 2 else sum(divmod(2 * int(d), 10)) for place, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


@given(
    st.sampled_from(["4", "51", "37", "6011", "35"]),
    st.text("0123456789", min_size=11, max_size=11),
    st.lists(st.sampled_from(["", " ", "-", ".", " - "]), min_size=20, max_size=20),
)
def test_every_card_with_a_right_check_digit_is_found(prefix: str, middle: str, between: list[str]) -> None:
    digits = luhn(prefix + middle)
    card = "".join(digit + gap for digit, gap in zip(digits[:-1], between, strict=False)) + digits[-1]
    assert ("credit_card", card) in found(f"Pay with {card} please")


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

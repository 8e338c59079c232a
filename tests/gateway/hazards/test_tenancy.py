"""Who asks, told wrongly, in every dialect."""

from __future__ import annotations

import pytest

from tests.gateway.hazards.dialects import DIALECTS, OVER_HTTP, Dialect
from tests.gateway.hazards.raw import Connection, request
from tests.gateway_stack import GatewayStack

GOOD = {"text_input": "Hi", "max_tokens": 4}
WRONG = f"hr_none_{'x' * 43}"


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_who_is_not_known_is_refused(gateway_stack: GatewayStack, dialect: Dialect) -> None:
    key = gateway_stack.keys["acme"]
    for headers, status in (
        ({"authorization": f"Bearer {WRONG}"}, 401),
        ({"authorization": "Basic eDp5"}, 401),
        ({"authorization": key}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}, 401),
        ({"api_key": WRONG}, 401),
        ({"x_api_key": key[:-1]}, 401),
        ({"api_key": key, "x_api_key": WRONG}, 400),
        ({"authorization": f"Bearer {gateway_stack.keys['other']}"}, 403),
        ({"x_forwarded_for": "127.0.0.1"}, 401),
        ({"forwarded": "for=127.0.0.1;host=localhost"}, 401),
        ({"x_real_ip": "::1"}, 401),
        ({"x_forwarded_for": "10.0.0.1", "authorization": f"Bearer {key}"}, 200),
        ({"api_key": key, "x_api_key": key}, 200),
        ({}, 200),
    ):
        outcome = dialect.ask(gateway_stack, GOOD, **headers)
        assert outcome.status == status, headers
        assert key not in outcome.says
        assert WRONG not in outcome.says


@pytest.mark.parametrize("dialect", OVER_HTTP, ids=str)
def test_two_headers_of_one_name_are_refused_however_they_are_written(
    gateway_stack: GatewayStack, dialect: Dialect
) -> None:
    good = f"Bearer {gateway_stack.keys['acme']}"
    for second in (f"authorization: {good}", f"AUTHORIZATION: {good}", f"aUtHorization: Bearer {WRONG}"):
        with Connection(gateway_stack) as connection:
            connection.send(request(f"Authorization: {good}", second, data=dialect.body(GOOD), dialect=dialect))
            status, answer = connection.answer()
        assert dialect.outcome(status, answer).status == 400


@pytest.mark.parametrize("dialect", OVER_HTTP, ids=str)
def test_a_key_in_the_address_is_refused_by_every_address(gateway_stack: GatewayStack, dialect: Dialect) -> None:
    key = gateway_stack.keys["acme"]
    for query in (f"key={key}", f"a=b&API_KEY={key}", f"%6bey={key}", "token="):
        asked = Dialect(dialect.name, f"{dialect.path}?{query}", dialect.model, dialect.streams)
        with Connection(gateway_stack) as connection:
            connection.send(request(data=dialect.body(GOOD), dialect=asked))
            status, answer = connection.answer()
        outcome = dialect.outcome(status, answer)
        assert (outcome.status, key in outcome.says) == (400, False)


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_a_budget_that_is_spent_is_told(gateway_stack: GatewayStack, dialect: Dialect) -> None:
    key = f"Bearer {gateway_stack.keys['poor']}"
    assert dialect.ask(gateway_stack, GOOD | {"max_tokens": 400}, authorization=key).status == 429


@pytest.mark.parametrize("dialect", OVER_HTTP, ids=str)
def test_a_page_of_another_site_is_refused(gateway_stack: GatewayStack, dialect: Dialect) -> None:
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example"},
        {"host": ""},
    ):
        assert dialect.ask(gateway_stack, GOOD, **headers).status == 403

from __future__ import annotations

from typing import Any

import pytest

from headrace.errors import InvalidRequest, Unauthenticated
from headrace.tenants.credentials import Credentials, is_loopback, names_a_key


def shown(*headers: tuple[str, str], query: str = "") -> Credentials:
    return Credentials.of(headers, query=query, peer_is_loopback=True, listens_on_loopback=True)


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ([], None),
        ([("host", "x"), ("accept", "y")], None),
        ([("Authorization", "Bearer abc")], ("abc", True)),
        ([("AUTHORIZATION", "bearer  abc ")], ("abc", True)),
        ([("api-key", "abc")], ("abc", False)),
        ([("X-Api-Key", " abc")], ("abc", False)),
        ([("authorization", "Bearer abc"), ("api-key", "abc"), ("x-api-key", "abc")], ("abc", True)),
        ([("api-key", "")], ("", False)),
        ([("authorization", "Bearer")], ("", True)),
    ],
)
def test_one_key_is_found_wherever_it_is_shown(headers: list[tuple[str, str]], secret: Any) -> None:
    assert shown(*headers).secret() == secret


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ([("authorization", "Bearer abc"), ("authorization", "Bearer abc")], "authorization"),
        ([("authorization", "Bearer abc"), ("Authorization", "Bearer xyz")], "authorization"),
        ([("api-key", "abc"), ("API-KEY", "abc")], "api-key"),
        ([("x-api-key", "abc"), ("X-API-Key", "")], "x-api-key"),
        ([("authorization", "Bearer abc"), ("api-key", "xyz")], "authorization"),
        ([("authorization", "Bearer abc"), ("x-api-key", "")], "authorization"),
        ([("api-key", "abc"), ("x-api-key", "xyz")], "authorization"),
    ],
)
def test_two_are_refused(headers: list[tuple[str, str]], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        shown(*headers).secret()
    assert caught.value.field == field
    assert "abc" not in str(caught.value)
    assert "xyz" not in str(caught.value)


@pytest.mark.parametrize("value", ["Basic YWJj", "abc", "", "Bearerabc", "Token abc", "Bearer\tabc"])
def test_another_scheme_is_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        shown(("authorization", value)).secret()
    assert str(caught.value) == "authorization: expected 'Bearer <key or token>'"


@pytest.mark.parametrize(
    "query",
    ["key=abc", "a=1&api_key=abc", "API_KEY=abc", "api%5Fkey=abc", "access_token=abc", "api-key=", "apikey",
     "token=abc", "a=1&&authorization=Bearer+abc", "%6Bey=abc"],
)  # fmt: skip
def test_a_key_in_the_address_is_refused_even_beside_a_good_one(query: str) -> None:
    assert names_a_key(query)
    with pytest.raises(InvalidRequest, match="send it as a header and replace it") as caught:
        shown(("authorization", "Bearer good"), query=query).secret()
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("query", ["", "a=1", "keys=1", "a=key", "monkey=1", "%ff=1", "=", "max_tokens=3"])
def test_other_names_in_the_address_are_not_keys(query: str) -> None:
    assert not names_a_key(query)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False), ("0.0.0.0", False), ("::", False), ("::ffff:10.0.0.1", False), ("localhost", False),
        ("", False), ("127.0.0.1:80", False), ("127.1", False), ("2130706433", False), ("testclient", False),
    ],
)  # fmt: skip
def test_only_an_address_of_this_machine_is_loopback(host: str, here: bool) -> None:
    assert is_loopback(host) is here


@pytest.mark.parametrize("header", ["X-Forwarded-For", "forwarded", "Via", "x-real-ip", "X-Forwarded-Host"])
def test_a_proxy_is_noticed_and_not_believed(header: str) -> None:
    passed_on = shown((header, "127.0.0.1"))
    assert passed_on.through_proxy
    assert not shown(("accept", "x")).through_proxy
    far = Credentials.of([(header, "127.0.0.1")], peer_is_loopback=False, listens_on_loopback=True)
    assert not far.peer_is_loopback

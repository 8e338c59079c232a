"""No page of another site uses the gateway."""

from __future__ import annotations

import pytest

from headrace.errors import Forbidden
from headrace.gateway import origin


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.0.0.2"])
def test_loopback_is_served_by_its_names(host: str) -> None:
    origin.check("POST", {"host": host}, True)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8080",
        "10.0.0.1",
        "[::2]",
        "[::1",
    ],
)
def test_on_loopback_another_name_is_refused(host: str) -> None:
    with pytest.raises(Forbidden, match="host: "):
        origin.check("GET", {"host": host}, True)


def test_elsewhere_any_name_is_served() -> None:
    origin.check("POST", {"host": "api.example.com"}, False)


@pytest.mark.parametrize(
    "shown", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1:80801"]
)
def test_another_origin_may_not_send(shown: str) -> None:
    with pytest.raises(Forbidden, match="origin: "):
        origin.check("POST", {"host": "127.0.0.1:8080", "origin": shown}, True)


def test_the_own_page_may_send() -> None:
    origin.check("POST", {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080"}, True)

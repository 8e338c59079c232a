"""Fetching a document from a server that does as it likes."""

from __future__ import annotations

import threading
import time

import pytest

from headrace.tenants.fetch import FetchFailed, fetch
from tests.tenants.key_server import KeyServer, closed_port

SECONDS = 5.0


def test_a_document_is_fetched(server: KeyServer) -> None:
    server.body = b"{}" * 1000
    assert fetch(server.url, 600, 2000) == server.body
    assert server.requests == ["/keys?v=1"]
    no_timers_left()


def test_what_is_longer_than_it_may_be_is_refused(server: KeyServer) -> None:
    server.body = b"x" * 2001
    with pytest.raises(FetchFailed, match="longer than 2000 bytes"):
        fetch(server.url, SECONDS, 2000)


def test_what_ends_early_is_refused(server: KeyServer) -> None:
    server.body, server.headers = b"{}", {"Content-Length": "10"}
    with pytest.raises(FetchFailed, match=r"ended 8 bytes early|IncompleteRead"):
        fetch(server.url, SECONDS, 2000)


@pytest.mark.parametrize("status", [204, 301, 302, 307, 404, 500, 503])
def test_no_other_status_is_taken_and_no_redirect_followed(server: KeyServer, status: int) -> None:
    server.status, server.headers = status, {"Location": server.url}
    with pytest.raises(FetchFailed, match=f"expected status 200, got {status}"):
        fetch(server.url, SECONDS, 2000)
    assert len(server.requests) == 1


@pytest.mark.parametrize("how", ["silent", "drips", "drips_headers", "drips without a length"])
def test_a_slow_server_is_left_in_time_whatever_it_sends(server: KeyServer, how: str) -> None:
    if how == "silent":
        server.may_answer.clear()
    elif how == "drips_headers":
        server.drips_headers = True
    else:
        server.drips = True
        server.headers = {} if "without" in how else {"Content-Length": "1000000"}
    began = time.monotonic()
    with pytest.raises(FetchFailed, match=r"took longer than 0\.3 s|timed out"):
        fetch(server.url, 0.3, 2_000_000)
    assert 0.25 < time.monotonic() - began < 5
    server.may_answer.set()
    no_timers_left()


def no_timers_left() -> None:
    for timer in [one for one in threading.enumerate() if isinstance(one, threading.Timer)]:
        timer.join(SECONDS)
        assert not timer.is_alive()


def test_no_server_and_no_http_are_named(server: KeyServer) -> None:
    url = f"http://127.0.0.1:{closed_port()}/"
    with pytest.raises(FetchFailed, match=f"{url}: ConnectionRefusedError"):
        fetch(url, SECONDS, 2000)
    with pytest.raises(FetchFailed, match="SSLError"):
        fetch(server.url.replace("http:", "https:"), SECONDS, 2000)

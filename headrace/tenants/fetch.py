"""A small document over http or https, within a time and a size. Blocks: for a thread."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from headrace.errors import Unavailable


class FetchFailed(Unavailable):
    """The document did not come, or not all of it. The message names the address and what was wrong."""


def fetch(url: str, seconds: float, most_bytes: int) -> bytes:
    """Follows no redirect, which could lead from https to anywhere, and uses no proxy. To find the address by its
    name may take longer than `seconds`. Raises `FetchFailed`.
    """
    parts = urlsplit(url)
    connection = _connection(parts, seconds)
    try:
        connection.connect()
        with _ends_after(connection.sock, seconds):
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={"Accept": "application/json", "Connection": "close"})
            response = connection.getresponse()
            if response.status != http.HTTPStatus.OK:
                raise FetchFailed(f"{url}: expected status 200, got {response.status}; give the final address")
            body = response.read(most_bytes + 1)
            if len(body) <= most_bytes and response.length:
                raise FetchFailed(f"{url}: ended {response.length} bytes early")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchFailed(f"{url}: {type(error).__name__}: {error}") from None
    finally:
        connection.close()
    if len(body) > most_bytes:
        raise FetchFailed(f"{url}: longer than {most_bytes} bytes")
    return body


def _connection(parts: SplitResult, seconds: float) -> http.client.HTTPConnection:
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=seconds, context=context)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)


@contextlib.contextmanager
def _ends_after(connected: socket.socket, seconds: float) -> Iterator[None]:
    """A socket's own timeout starts anew with every byte that comes."""
    ended = threading.Event()

    def end() -> None:
        ended.set()
        with contextlib.suppress(OSError):
            # Not the TLS layer's way, which would change what the other thread is reading from.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
        if ended.is_set():
            raise TimeoutError(f"took longer than {seconds:g} s")
    except (OSError, http.client.HTTPException, ValueError, FetchFailed):
        if ended.is_set():
            raise TimeoutError(f"took longer than {seconds:g} s") from None
        raise
    finally:
        timer.cancel()

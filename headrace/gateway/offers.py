"""httptools' parser, deaf to offers of another protocol.

A client may offer one with any request (RFC 9110, 7.8), as Java's does with each, and goes on in HTTP/1.1 when it
is not taken. httptools stops at an offer: it would leave the request's body unread, and all that follows.
"""

from __future__ import annotations

from typing import Any

import httptools

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class DeafParser:
    def __init__(self, protocol: Any) -> None:
        """`protocol` has httptools' callbacks, and `headers`: those of the last request, by small names."""
        self._protocol = protocol
        self._parser = _parser(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> None:
        """Raises `httptools.HttpParserError`."""
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if self._parser.get_method() == b"CONNECT":
                    raise httptools.HttpParserInvalidMethodError("nobody is connected to others here") from None
                self._parser = _parser(_Rest(self._protocol))
                self._parser.feed_data(_head(self._protocol.headers))
                data = data[offer.args[0] :]
            else:
                return

    @property
    def stopped(self) -> bool:
        """At an offer: what it says of the request's end is not so."""
        return bool(self._parser.should_upgrade())


def _parser(protocol: Any) -> Any:
    found = httptools.HttpRequestParser(protocol)
    found.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
    return found


def _head(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Of a request whose body comes in the same form."""
    lines = [b"%s: %s\r\n" % (name, value) for name, value in headers if name in _FRAMING]
    return b"".join([b"POST / HTTP/1.1\r\n", *lines, b"\r\n"])


class _Rest:
    """Hears all but the head of the first request, which is known already."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._hears = False
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if self._hears:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._hears:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._hears:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._hears:
            self._protocol.on_headers_complete()
        self._hears = True

"""Bytes on a connection of their own, and what comes back."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Self

from tests.gateway.hazards.dialects import CHAT, Dialect
from tests.gateway_stack import GatewayStack, body

SECONDS = 30.0


class _Reader(io.BufferedReader):
    """Of one connection and many responses, each of which closes it."""

    def close(self) -> None:
        return


class Connection:
    def __init__(self, stack: GatewayStack, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(SECONDS)
        self.socket.connect(("127.0.0.1", stack.gateway_port))
        self._came = _Reader(socket.SocketIO(self.socket, "r"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *parts: bytes, pause: float = 0.0) -> None:
        for part in parts:
            self.socket.sendall(part)
            time.sleep(pause)

    def makefile(self, mode: str) -> io.BufferedReader:
        """For `HTTPResponse`: what it reads too much is there for the next one."""
        return self._came

    def answer(self) -> tuple[int, bytes]:
        """The next one's status and body."""
        response = http.client.HTTPResponse(self)  # type: ignore[arg-type]
        response.begin()
        return response.status, response.read()

    def rest(self) -> bytes:
        """All that comes until the other side hangs up."""
        return self._came.read()


def head(*lines: str, dialect: Dialect = CHAT, json: bool = True) -> bytes:
    kind = ["content-type: application/json"] if json else []
    written = [f"POST {dialect.path} HTTP/1.1", "host: localhost", *kind, *lines, "", ""]
    return "\r\n".join(written).encode("latin-1")


def request(*lines: str, data: bytes | None = None, dialect: Dialect = CHAT, json: bool = True) -> bytes:
    """A whole one; without `data` a good one of the chat dialect."""
    data = body() if data is None else data
    return head(*lines, f"content-length: {len(data)}", dialect=dialect, json=json) + data

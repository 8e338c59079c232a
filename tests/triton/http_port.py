"""Triton's HTTP port and its metrics port, without a client's good manners."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from typing import Self

from tests.stack import Stack

SECONDS = 120.0


def http_post(stack: Stack, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    return call(stack.http_port, "POST", path, body, headers)


def http_get(stack: Stack, path: str) -> tuple[int, bytes]:
    return call(stack.http_port, "GET", path)


def call(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class RawPost:
    """A POST that goes out piece by piece, with just these headers. Leaving the block hangs up."""

    def __init__(self, stack: Stack, path: str, *headers: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", stack.http_port), timeout=SECONDS)
        self.send("\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *headers, "\r\n"]).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def first_bytes(self) -> bytes:
        """Waits for the answer to begin."""
        return self._socket.recv(4096)

    def answer(self) -> tuple[int, bytes]:
        response = http.client.HTTPResponse(self._socket)
        response.begin()
        return response.status, response.read()


def metrics(stack: Stack, name: str) -> float:
    """One line of Triton's metrics, by its name and labels as they stand there."""
    _, text = call(stack.metrics_port, "GET", "/metrics")
    for line in text.decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no metric {name}")

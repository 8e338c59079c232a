"""uvicorn, with limits that it does not have: of headers, of the time they take, and of pieces of a body."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from headrace.errors import StartupError
from headrace.gateway.config import GatewayConfig
from headrace.serving import listen

_BACKLOG = 2048
_TOO_BIG, _TOO_SLOW = b"431 Request Header Fields Too Large", b"408 Request Timeout"
_REFUSED = b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _Server(uvicorn.Server):
    """Signals are the gateway's: it stops more than this."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def http_server(app: ASGIApp, config: GatewayConfig) -> uvicorn.Server:
    class Protocol(_LimitedProtocol):
        limits = config

    return _Server(
        uvicorn.Config(
            app,
            http=Protocol,
            loop="none",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            limit_concurrency=config.max_connections,
            timeout_graceful_shutdown=max(1, round(config.drain_seconds)),
        )
    )


@contextmanager
def listening(config: GatewayConfig) -> Iterator[socket.socket]:
    """On the gateway's HTTP port. Raises `StartupError` when it is taken."""
    address = listen.resolve(config.host)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family) as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((str(address), config.port))
        except OSError as error:
            raise StartupError(f"gateway.port: {config.port} cannot be used: {error.strerror}") from None
        found.listen(_BACKLOG)
        found.setblocking(False)
        yield found


class _LimitedProtocol(HttpToolsProtocol):
    limits: GatewayConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_bytes = 0
        self._header_count = 0
        self._unfinished = 0
        """Bytes that came since the last request, of headers that have not ended."""
        self._slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._slow is None and self._between_requests():
            self._await_headers()
        super().data_received(data)
        if self._slow is not None:
            # The parser keeps a header to itself until it has ended.
            self._unfinished += len(data)
            if self._unfinished > self.limits.max_header_bytes:
                self._refuse(_TOO_BIG)

    def _between_requests(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.response_complete

    def on_message_begin(self) -> None:
        self._header_bytes = self._header_count = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url), 0)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value), 1)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._headers_came()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def _count(self, size: int, headers: int) -> None:
        self._header_bytes += size
        self._header_count += headers
        if self._header_bytes > self.limits.max_header_bytes or self._header_count > self.limits.max_headers:
            self._refuse(_TOO_BIG)

    def _await_headers(self) -> None:
        self._unfinished = 0
        self._slow = self.loop.call_later(self.limits.read_seconds, self._refuse, _TOO_SLOW)

    def _headers_came(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(_REFUSED % status)
            self.transport.close()

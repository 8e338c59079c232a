"""uvicorn, with limits that it does not have: of headers and the time they take, of bodies that nobody wants, and
of clients that do not read."""

from __future__ import annotations

import asyncio
import math
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from headrace.errors import StartupError
from headrace.gateway import bodies
from headrace.gateway.config import GatewayConfig
from headrace.gateway.odd_requests import BAD, TOO_BIG, TOO_SLOW
from headrace.gateway.offers import DeafParser
from headrace.serving import listen

LAST_SECONDS = 3.0
"""Once the time to drain is over: for requests that are told so, and whose work in the engine is stopped."""
_BACKLOG = 2048
_FILES = 256
"""Beside the connections: logs, sockets to Triton and Redis."""
_TOLD = 128
"""Connections beyond `max_connections` that are told so. On more it hangs up: gRPC needs files too."""
FULL = "full"
"""In a request's state: there are more connections than there may be."""
_MOST_AHEAD = 100
"""Requests that a client may send before it has its answers; uvicorn keeps each of them, and has no end."""

log = structlog.get_logger()


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
            timeout_graceful_shutdown=math.ceil(config.drain_seconds + LAST_SECONDS),
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
        _allow_files(config.max_connections + _TOLD + config.max_grpc_connections + _FILES)
        found.listen(_BACKLOG)
        found.setblocking(False)
        yield found


def _allow_files(wanted: int) -> None:
    """Each connection is a file, and what a shell allows is often 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("fewer connections than gateway.max_*connections: files are limited", wanted=wanted, hard=hard)


class _LimitedProtocol(HttpToolsProtocol):
    limits: GatewayConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser: DeafParser = DeafParser(self)  # type: ignore[assignment]
        self._header_bytes = 0
        self._header_count = 0
        self._hosts = 0
        self._unfinished = 0
        """Bytes that came since the last request, of headers that have not ended."""
        self._in_body = False
        self._unwanted = 0
        """Bytes of a body that came after its answer."""
        self._running: RequestResponseCycle | None = None
        """The request that is answered; uvicorn's `cycle` is the one that came last."""
        self._slow: asyncio.TimerHandle | None = None
        self._deaf: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()
        if len(self.connections) > self.limits.max_connections + _TOLD:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._came()
        self.resume_writing()
        super().connection_lost(exc)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._slow is None and self._between_requests():
            self._await_headers()
        super().data_received(data)
        if self._slow is not None and not self._in_body:
            # The parser keeps a header to itself until it has ended.
            self._unfinished += len(data)
            if self._unfinished > self.limits.max_header_bytes:
                self._refuse(TOO_BIG)

    def _between_requests(self) -> bool:
        return not self._in_body and self._answered()

    def _answered(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and cycle.response_complete

    def on_message_begin(self) -> None:
        self._header_bytes = self._header_count = self._hosts = 0
        super().on_message_begin()
        self.scope["state"][FULL] = len(self.connections) > self.limits.max_connections

    def on_url(self, url: bytes) -> None:
        self._count(len(url), 0)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value), 1)
        self._hosts += name.lower() == b"host"
        if not self._in_body:  # a trailer is no header: it came after who asks was known
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._came()
        if len(self.pipeline) >= _MOST_AHEAD:
            self.transport.abort()
        elif self._hosts > 1:
            self._refuse(BAD)
        if not self.transport.is_closing():
            self._in_body = True
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._answered():
            self._unwanted += len(body)
            if self._unwanted > bodies.READ_ON * self.limits.max_body_bytes:
                self.transport.close()
        elif not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.stopped:
            return
        self._in_body = False
        if self._answered():
            self._came()
        elif not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self._answered():
            # Who still sends does not hear an answer: the rest of the body is read, unkept, for a while.
            self._unwanted = 0
            self._slow = self.loop.call_later(self.limits.read_seconds, self.transport.close)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        """The client takes nothing. Without an end, it would keep its connection and its places for ever."""
        super().pause_writing()
        self._deaf = self.loop.call_later(self.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._deaf is not None:
            self._deaf.cancel()
            self._deaf = None
        super().resume_writing()

    def _count(self, size: int, headers: int) -> None:
        self._header_bytes += size
        self._header_count += headers
        if self._header_bytes > self.limits.max_header_bytes or self._header_count > self.limits.max_headers:
            self._refuse(TOO_BIG)

    def _await_headers(self) -> None:
        self._unfinished = 0
        self._slow = self.loop.call_later(self.limits.read_seconds, self._refuse, TOO_SLOW)

    def _came(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def send_400_response(self, msg: str) -> None:
        """uvicorn's, for what its parser does not understand."""
        self._refuse(BAD)

    def _refuse(self, answer: bytes) -> None:
        """Without a word while another request is answered: it would be taken for a part of that answer."""
        if self.transport.is_closing():
            return
        if self._may_speak():
            self.transport.write(answer)
        self.transport.close()

    def _may_speak(self) -> bool:
        running = self._running
        if running is None or running.response_complete:
            return True
        own_body = self._in_body and self.cycle is running
        return own_body and not running.response_started

"""Responses over HTTP: whole ones, streams of events, and errors in each dialect's shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.types import Send

from headrace.audit.record import Dialect
from headrace.errors import DeadlineExceeded, HeadraceError, InvalidRequest, Unauthenticated
from headrace.gateway.public_errors import public
from headrace.limits.headers import Headers, refused

_JSON: Headers = [(b"content-type", b"application/json")]
_EVENTS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would gather events
]
_QUIET_SECONDS = 15.0
_COMMENT = b": keepalive\n\n"
"""What clients of server-sent events skip."""


@dataclass(frozen=True, slots=True)
class Body:
    content: bytes
    headers: Headers
    """That say what it is."""


def json_body(said: object) -> Body:
    return Body(msgspec.json.encode(said), _JSON)


async def send_whole(send: Send, body: Body, status: int = 200, headers: Headers | None = None) -> None:
    length = (b"content-length", str(len(body.content)).encode())
    together = [*body.headers, *(headers or []), length]
    await send({"type": "http.response.start", "status": status, "headers": together})
    await send({"type": "http.response.body", "body": body.content})


async def send_events(
    send: Send, events: AsyncIterator[bytes], headers: Headers, quiet_seconds: float = _QUIET_SECONDS
) -> None:
    """Each one as it comes, and a comment whenever none came for so long: proxies hang up on silence."""
    silence = _Silence(send, quiet_seconds)
    try:
        await send({"type": "http.response.start", "status": 200, "headers": [*_EVENTS, *headers]})
        async for event in events:
            silence.broken()
            await _send_part(send, event)
    finally:
        silence.end()
    await send({"type": "http.response.body", "body": b""})


class _Silence:
    """Filled with comments. One timer, and a task only for a comment: most streams are never silent."""

    def __init__(self, send: Send, seconds: float) -> None:
        self._send = send
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._comment: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(seconds, self._look)

    def broken(self) -> None:
        self._since = self._loop.time()

    def end(self) -> None:
        self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()

    def _look(self) -> None:
        if self._loop.time() >= self._since + self._seconds:
            self.broken()
            if self._comment is None or self._comment.done():  # else it was not read yet
                self._comment = self._loop.create_task(_send_part(self._send, _COMMENT))
        self._timer = self._loop.call_at(self._since + self._seconds, self._look)


async def _send_part(send: Send, part: bytes) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True})


def event(said: object) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(said) + b"\n\n"


def error_said(error: HeadraceError, dialect: Dialect, request_id: str | None = None) -> dict[str, Any]:
    """What a client is told of it, in the shape of its dialect."""
    message = str(public(error, request_id))
    if dialect == "triton-http":
        return {"error": message}
    field = error.field if isinstance(error, InvalidRequest) else None
    said = {"message": message, "type": error.openai_type, "param": field, "code": error.openai_code}
    return {"error": said}


def error_headers(error: HeadraceError) -> Headers:
    headers = refused(error)
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, DeadlineExceeded):  # OpenAI's clients send it again, though nobody waits for it any more
        headers.append((b"x-should-retry", b"false"))
    return headers

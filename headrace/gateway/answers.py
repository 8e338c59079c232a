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
    clock = asyncio.get_running_loop().time
    last = clock()

    async def keep_alive() -> None:
        nonlocal last
        while True:
            await asyncio.sleep(last + quiet_seconds - clock())
            if clock() >= last + quiet_seconds:
                last = clock()
                await send({"type": "http.response.body", "body": _COMMENT, "more_body": True})

    await send({"type": "http.response.start", "status": 200, "headers": [*_EVENTS, *headers]})
    keeping = asyncio.create_task(keep_alive())
    try:
        async for event in events:
            last = clock()
            await send({"type": "http.response.body", "body": event, "more_body": True})
    finally:
        keeping.cancel()
    await send({"type": "http.response.body", "body": b""})


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

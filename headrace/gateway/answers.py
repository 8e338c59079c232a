"""Responses over HTTP: whole ones, streams of events, and errors in each dialect's shape."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.types import Send

from headrace.errors import HeadraceError, InvalidRequest, NotFound, RateLimited
from headrace.limits.headers import Headers, refused

_JSON: Headers = [(b"content-type", b"application/json")]
_EVENTS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would gather events
]


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


async def send_events(send: Send, events: AsyncIterator[bytes], headers: Headers) -> None:
    """Each one as it comes."""
    await send({"type": "http.response.start", "status": 200, "headers": [*_EVENTS, *headers]})
    async for event in events:
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def event(said: object) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(said) + b"\n\n"


def openai_error(error: HeadraceError) -> dict[str, Any]:
    field = error.field if isinstance(error, InvalidRequest) else None
    said = {"message": str(error), "type": error.openai_type, "param": field, "code": _code(error)}
    return {"error": said}


def triton_error(error: HeadraceError) -> dict[str, Any]:
    return {"error": str(error)}


def _code(error: HeadraceError) -> str | None:
    """What programs look at in OpenAI's errors."""
    match error:
        case NotFound():
            return "model_not_found"
        case RateLimited():
            limited = error.openai_type == RateLimited.openai_type
            return "rate_limit_exceeded" if limited else error.openai_type
    return "invalid_api_key" if error.http_status == 401 else None


def error_headers(error: HeadraceError) -> Headers:
    headers = refused(error)
    if error.http_status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers

"""Responses of the HTTP dialects: whole ones, streams of events, and errors in each dialect's shape."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from headrace.errors import HeadraceError, InvalidRequest, NotFound, RateLimited, RequestCancelled

Headers = list[tuple[bytes, bytes]]
encode = msgspec.json.encode
_JSON = (b"content-type", b"application/json")
_EVENTS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would gather events
]


async def send_json(send: Send, body: Any, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    await send_whole(send, encode(body), status, [_JSON, *headers])


async def send_whole(send: Send, body: bytes, status: int, headers: Headers) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def send_events(
    send: Send, events: AsyncIterator[bytes], headers: Iterable[tuple[bytes, bytes]], seconds: float
) -> None:
    """Each one as it comes. Raises `RequestCancelled` when the client takes none for so many seconds."""
    await send({"type": "http.response.start", "status": 200, "headers": [*_EVENTS, *headers]})
    async for event in events:
        await _within(seconds, send, event)
    await send({"type": "http.response.body", "body": b""})


async def _within(seconds: float, send: Send, event: bytes) -> None:
    try:
        async with asyncio.timeout(seconds):
            await send({"type": "http.response.body", "body": event, "more_body": True})
    except TimeoutError:
        raise RequestCancelled(f"the client did not read for {seconds:g} s") from None


def event(body: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + encode(body) + b"\n\n"


def openai_error(error: HeadraceError) -> dict[str, Any]:
    field = error.field if isinstance(error, InvalidRequest) else None
    return {
        "error": {"message": str(error), "type": error.openai_type, "param": field, "code": _code(error)}
    }


def triton_error(error: HeadraceError) -> dict[str, Any]:
    return {"error": str(error)}


def _code(error: HeadraceError) -> str | None:
    """What programs look at in OpenAI's errors."""
    match error:
        case NotFound():
            return "model_not_found"
        case RateLimited() if error.openai_type == "rate_limit_error":
            return "rate_limit_exceeded"
        case RateLimited():
            return error.openai_type
    return "invalid_api_key" if error.http_status == 401 else None


def error_headers(error: HeadraceError) -> Headers:
    headers: Headers = []
    if isinstance(error, RateLimited):
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()))
    if error.http_status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


async def until_disconnected(receive: Receive) -> None:
    """Returns when the client has gone. The body has been read before."""
    while (await receive())["type"] != "http.disconnect":
        pass


def path_of(scope: Scope) -> str:
    path: str = scope["path"]
    return path

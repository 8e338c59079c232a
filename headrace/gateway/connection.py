"""What a request says beside its question: its id, how long it may take, what its headers wish."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive

from headrace.audit.record import Dialect
from headrace.errors import DeadlineExceeded, InvalidRequest, RequestCancelled
from headrace.gateway import trace
from headrace.gateway.ask import CacheWish, Call
from headrace.gateway.ids import new_id
from headrace.tenants.credentials import Credentials, is_loopback
from headrace.tenants.identity import Authenticator, Identity

TIMEOUT = "x-request-timeout"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_SECONDS = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,6})?)(?P<unit>ms|s|)")


def call_of(headers: Headers, dialect: Dialect, operation: str) -> Call:
    """Its id is the client's, if that is one, else a new one."""
    shown = headers.get("x-request-id", "")
    request_id = shown if _REQUEST_ID.fullmatch(shown) else new_id()
    context = trace.of(headers.get(trace.PARENT), ",".join(headers.getlist(trace.STATE)))
    return Call(dialect, operation, request_id, context)


async def identity(request: Request, authenticator: Authenticator, listens_on_loopback: bool) -> Identity:
    """Raises `Unauthenticated`, `Forbidden`, `InvalidRequest`, `Unavailable`."""
    return await authenticator.authenticate(credentials(request, listens_on_loopback))


def credentials(request: Request, listens_on_loopback: bool) -> Credentials:
    return Credentials.of(
        request.headers.items(),
        query=request.scope["query_string"].decode("latin-1"),
        peer_is_loopback=request.client is not None and is_loopback(request.client.host),
        listens_on_loopback=listens_on_loopback,
    )


def deadline(headers: Headers, arrived: float) -> float | None:
    """Of `x-request-timeout`: seconds since the request `arrived`, or milliseconds with `ms`. Both times are of
    the event loop's clock.

    Raises `InvalidRequest`, and `DeadlineExceeded` for none.
    """
    value = headers.get(TIMEOUT)
    if value is None:
        return None
    found = _SECONDS.fullmatch(value.strip())
    if found is None:
        raise InvalidRequest(TIMEOUT, f"expected seconds such as 2.5, or 500ms, got {value[:50]!r}")
    seconds = float(found["number"]) / (1000 if found["unit"] == "ms" else 1)
    if not seconds:
        raise DeadlineExceeded(f"{TIMEOUT}: 0 seconds leave no time for an answer; send more, or none")
    return arrived + seconds


def cache_wish(headers: Headers) -> CacheWish:
    """As HTTP's caches understand it (RFC 9111, 5.2.1), however many of these headers there are."""
    said = {part.strip().lower() for part in ",".join(headers.getlist("cache-control")).split(",")}
    return CacheWish(read=not said & {"no-cache", "no-store"}, write="no-store" not in said)


@asynccontextmanager
async def while_connected(receive: Receive) -> AsyncIterator[None]:
    """Once the body is read. Raises `RequestCancelled` when the client goes away, whatever is being done."""
    try:
        async with asyncio.timeout(None) as gone:
            watcher = asyncio.create_task(_watch(receive, gone))
            try:
                yield
            finally:
                watcher.cancel()
    except TimeoutError:
        raise RequestCancelled("the client went away before its answer was complete") from None


async def _watch(receive: Receive, gone: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.reschedule(asyncio.get_running_loop().time())

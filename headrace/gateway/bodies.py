"""Reading a request's body: of the right kind, not too big, not too slow. All of it before anything is parsed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from starlette.requests import ClientDisconnect, Request

from headrace.errors import InvalidRequest, RequestCancelled, TooLarge, TooSlow, WrongMediaType

JSON = frozenset({"application/json"})
UNNAMED = ""
"""A body without a content type, as Triton's own client sends it."""
READ_ON = 16
"""How many times too big a body is read to its end, unkept: who still sends does not hear an answer."""
_FIELD = "body"


async def read(request: Request, most_bytes: int, seconds: float, kinds: Collection[str] = JSON) -> bytes:
    """Raises `WrongMediaType`, `TooLarge`, `TooSlow`, `RequestCancelled` for one that breaks off."""
    _check_kind(request, kinds)
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                size += len(piece)
                if size <= most_bytes:
                    pieces.append(piece)
                elif size > READ_ON * most_bytes:
                    break
    except TimeoutError:
        raise TooSlow(_FIELD, f"it did not arrive within {seconds:g} s; send it faster") from None
    except ClientDisconnect:
        raise RequestCancelled("the client went away before its request was complete") from None
    if size > most_bytes:
        raise TooLarge(_FIELD, f"at most {most_bytes} bytes are read; send less")
    if not size:
        raise InvalidRequest(_FIELD, "it is empty; expected JSON")
    return b"".join(pieces)


def _check_kind(request: Request, kinds: Collection[str]) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise WrongMediaType("content-encoding", f"got {encoding[:50]!r}; send the body as it is")
    sent = request.headers.getlist("content-type")
    if not sent and UNNAMED in kinds:
        return
    kind, _, parameters = (sent[0] if len(sent) == 1 else "").partition(";")
    if kind.strip().lower() not in kinds:
        found = ", ".join(sent)[:100] or "none"
        raise WrongMediaType("content-type", f"expected {' or '.join(sorted(filter(None, kinds)))}, got {found!r}")
    name, _, charset = parameters.partition("=")
    if name.strip().lower() == "charset" and charset.strip(' "').lower() not in {"utf-8", "utf8"}:
        raise WrongMediaType("content-type", f"expected UTF-8, got {charset[:50]!r}")

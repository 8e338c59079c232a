"""The page at `/`, `/status`, which it shows, and `/openapi.json`."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from headrace.gateway import answers
from headrace.gateway.answers import Body
from headrace.gateway.door import Door
from headrace.gateway.openapi import document

_FOLDER = Path(__file__).parent / "page"
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
# Nothing from elsewhere, nothing within the page's own text, and in no frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'"
)


def routes(door: Door) -> list[Route]:
    files = [Route(path, _File(*found), methods=["GET"]) for path, found in _FILES.items()]
    return [
        *files,
        Route("/openapi.json", _Said(document()), methods=["GET"]),
        Route("/status", _Status(door), methods=["GET"]),
    ]


class _File:
    """An ASGI application."""

    def __init__(self, name: str, kind: str) -> None:
        self._body = Body(
            (_FOLDER / name).read_bytes(),
            [
                (b"content-type", kind.encode()),
                (b"content-security-policy", _POLICY.encode()),
                (b"cache-control", b"no-cache"),
            ],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answers.send_whole(send, self._body)


class _Said:
    """An ASGI application: always the same JSON."""

    def __init__(self, said: object) -> None:
        self._body = answers.json_body(said)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answers.send_whole(send, self._body)


class _Status:
    """An ASGI application: how the gateway is, for those whom it serves."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity = await self._door.identity(Request(scope, receive))
        said = {"ready": await self._door.ready(), "tenant": identity.tenant, "shown": self._door.shown()}
        await answers.send_whole(send, answers.json_body(said))

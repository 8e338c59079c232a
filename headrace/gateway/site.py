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
_INDEX = "index.html"
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Its own files and nothing else: no code or style within the page's text, and no text that is made markup by code.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def routes(door: Door) -> list[Route]:
    files = [file for file in sorted(_FOLDER.iterdir()) if file.suffix in _KINDS]
    return [
        *(Route(_address(file), _File(file), methods=["GET"]) for file in files),
        Route("/openapi.json", _Said(document()), methods=["GET"]),
        Route("/status", _Status(door), methods=["GET"]),
    ]


def _address(file: Path) -> str:
    return "/" if file.name == _INDEX else f"/{file.name}"


class _File:
    """An ASGI application: one file of the page."""

    def __init__(self, file: Path) -> None:
        self._body = Body(
            file.read_bytes(),
            [
                (b"content-type", f"{_KINDS[file.suffix]}; charset=utf-8".encode()),
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
        said = {"ready": await self._door.ready(), **self._door.overview.said(identity.settings)}
        await answers.send_whole(send, answers.json_body(said))

"""The HTTP side of the gateway: which address leads where."""

from __future__ import annotations

import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.audit.record import Dialect
from headrace.errors import HeadraceError, InvalidRequest, NotFound, TryLater
from headrace.gateway import answers, origin
from headrace.gateway.answers import Body
from headrace.gateway.door import Door
from headrace.gateway.health import routes as health_routes
from headrace.gateway.http_exchange import Endpoint, HttpExchange
from headrace.gateway.http_server import FULL
from headrace.gateway.odd_requests import SECURITY
from headrace.gateway.openai.completions import ChatCompletion, TextCompletion
from headrace.gateway.openai.models import Models
from headrace.gateway.public_errors import defect
from headrace.gateway.site import routes as site_routes
from headrace.gateway.v2.about import About
from headrace.gateway.v2.inference import Generate, GenerateStream, Infer
from headrace.gateway.v2.information import routes as v2_routes


class WrongMethod(InvalidRequest):
    """This address is asked in another way."""

    http_status = 405


class UnknownAddress(NotFound):
    """Nothing is there, for nobody."""

    openai_code = "unknown_url"


def app(door: Door, about: About) -> ASGIApp:
    models = Models(door, int(time.time()))
    routes = [
        Route("/v1/chat/completions", Endpoint(door, ChatCompletion), methods=["POST"]),
        Route("/v1/completions", Endpoint(door, TextCompletion), methods=["POST"]),
        Route("/v1/models", models, methods=["GET"]),
        Route("/v1/models/{model}", models, methods=["GET"]),
        *health_routes(door),
        *site_routes(door),
        *v2_routes(door, about),
        *_both(door, "infer", Infer),
        *_both(door, "generate", Generate),
        *_both(door, "generate_stream", GenerateStream),
    ]
    return Edge(Router(routes, redirect_slashes=False, default=_nothing_here), door)


def _both(door: Door, way: str, kind: type[HttpExchange]) -> list[Route]:
    """With a version of the model in the address, and without."""
    endpoint = Endpoint(door, kind)
    places = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
    return [Route(f"{place}/{way}", endpoint, methods=["POST"]) for place in places]


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    raise UnknownAddress("there is nothing at this address; see /openapi.json")


class Edge:
    """Around everything: headers of every answer, and an answer to what nobody else answered."""

    def __init__(self, inner: ASGIApp, door: Door) -> None:
        self._inner = inner
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False
        full = bool(scope["state"].get(FULL)) and not scope["path"].startswith("/health/")
        headers, named = Headers(scope=scope), self._door.config.cors_origins

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                readable = origin.readable(headers, named)
                message["headers"] = [*message["headers"], *SECURITY, *readable, *self._leave(full)]
            await send(message)

        try:
            scope["app"] = self
            self._check(scope["method"], headers, full)
            if (allowed := origin.preflight(scope["method"], headers, named)) is not None:
                await answers.send_whole(sending, Body(b"", []), headers=allowed)
                return
            await self._inner(scope, receive, sending)
        except HeadraceError as error:
            await _tell(error, scope, sending, started)
        except HTTPException as error:  # the router's: an address that is asked in another way
            methods = (error.headers or {}).get("Allow", "")
            wrong = WrongMethod("method", f"{scope['method']}; expected {methods}")
            await _tell(wrong, scope, sending, started, [(b"allow", methods.encode())])
        except Exception as error:  # noqa: BLE001 - it is logged
            await _tell(defect(scope["path"], error), scope, sending, started)

    def _check(self, method: str, headers: Headers, full: bool) -> None:
        if full:
            raise TryLater("too many connections are open; close some, or use those that are open")
        origin.check(method, headers, self._door.listens_on_loopback, self._door.config.cors_origins)

    def _leave(self, full: bool) -> list[tuple[bytes, bytes]]:
        """While it ends, clients shall not send their next request on this connection."""
        return [(b"connection", b"close")] if full or self._door.readiness.withdrawn else []


async def _tell(
    error: HeadraceError, scope: Scope, send: Send, started: bool, more: list[tuple[bytes, bytes]] | None = None
) -> None:
    if started:
        raise error  # the server cuts the connection: a part must not look like the whole
    dialect: Dialect = "triton-http" if scope["path"].startswith("/v2") else "openai"
    body = answers.error_said(error, dialect)
    headers = [*answers.error_headers(error), *(more or [])]
    await answers.send_whole(send, answers.json_body(body), error.http_status, headers)

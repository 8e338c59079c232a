"""`/v2`, its health, and what it says of the public models to those whom the gateway serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from headrace.client import PUBLIC_MODELS
from headrace.gateway import answers
from headrace.gateway.answers import Body
from headrace.gateway.door import Door
from headrace.gateway.v2.about import About, as_json

Answer = Callable[[Request], Awaitable[tuple[int, Body]]]
_EMPTY = Body(b"", [])


class _Get:
    """An ASGI application."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = await self._answer(Request(scope, receive))
        await answers.send_whole(send, body, status)


def routes(door: Door, about: About) -> list[Route]:
    def told(ask: Callable[..., Awaitable[Any]]) -> Answer:
        async def answer(request: Request) -> tuple[int, Body]:
            await door.identity(request)
            places = request.path_params
            found = await ask(places.get("model", ""), places.get("version", ""))
            return 200, answers.json_body(as_json(found))

        return answer

    async def config(model: str, version: str) -> Any:
        return (await about.config(model, version)).config  # over HTTP Triton shows it alone

    async def server(request: Request) -> tuple[int, Body]:
        return 200, answers.json_body(as_json(about.server()))

    async def live(request: Request) -> tuple[int, Body]:
        return 200, _EMPTY

    async def ready(request: Request) -> tuple[int, Body]:
        known = request.path_params.get("model", PUBLIC_MODELS[0]) in PUBLIC_MODELS
        return (200 if known and await door.ready() else 400), _EMPTY

    model, version = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    found: list[tuple[str, Answer]] = [
        ("/v2", server),
        ("/v2/health/live", live),
        ("/v2/health/ready", ready),
        ("/v2/models/stats", told(about.statistics)),
    ]
    for place in (model, version):
        found += [
            (place, told(about.metadata)),
            (f"{place}/ready", ready),
            (f"{place}/config", told(config)),
            (f"{place}/stats", told(about.statistics)),
        ]
    return [Route(path, _Get(answer), methods=["GET"]) for path, answer in found]

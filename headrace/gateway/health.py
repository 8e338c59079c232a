"""`/health/live`, `/health/ready` and `/metrics`: for probes, balancers and Prometheus."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from headrace.gateway import answers
from headrace.gateway.answers import Body
from headrace.gateway.door import Door

_PAGE = [(b"content-type", CONTENT_TYPE_LATEST.encode())]


def routes(door: Door) -> list[Route]:
    return [
        Route("/health/live", _Live(), methods=["GET"]),
        Route("/health/ready", _Ready(door), methods=["GET"]),
        Route("/metrics", _Metrics(door), methods=["GET"]),
    ]


class _Metrics:
    """An ASGI application: for Prometheus."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answers.send_whole(send, Body(self._door.metrics.page(), _PAGE))


class _Live:
    """An ASGI application: this process serves."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answers.send_whole(send, answers.json_body({"status": "live"}))


class _Ready:
    """An ASGI application: the platform answers, and goes on doing so."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ready = await self._door.ready()
        body = answers.json_body({"status": "ready" if ready else "not ready"})
        await answers.send_whole(send, body, 200 if ready else 503)

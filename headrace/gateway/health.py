"""`/health/live`, `/health/ready` and `/metrics`: for probes, balancers and Prometheus.

Metrics name all tenants and what they cost, so no tenant's key opens them: they are for this machine, and for who
shows the operator's key. A Prometheus in a cluster sends that one with each scrape (`authorization` in its
configuration); where there is none, it has to run beside the gateway.
"""

from __future__ import annotations

import hmac
import os

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from headrace.errors import Unauthenticated
from headrace.gateway import answers, connection
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
        self._check(Request(scope, receive))
        await answers.send_whole(send, Body(self._door.metrics.page(), _PAGE))

    def _check(self, request: Request) -> None:
        shown = connection.credentials(request, self._door.listens_on_loopback)
        if shown.peer_is_loopback and not shown.through_proxy:
            return
        name, found = self._door.config.metrics_key_env, shown.secret()
        key = os.environ.get(name, "") if name else ""
        if not key or found is None or not hmac.compare_digest(found[0].encode(), key.encode()):
            raise Unauthenticated("metrics are for this machine, or for the key in gateway.metrics_key_env")


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

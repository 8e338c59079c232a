"""`GET /v1/models` and `GET /v1/models/{model}`."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from headrace.errors import NotFound
from headrace.gateway import answers
from headrace.gateway.door import Door
from headrace.gateway.rules import PUBLIC


class Models:
    """An ASGI application."""

    def __init__(self, door: Door, since: int) -> None:
        """`since`: seconds since 1970."""
        self._door = door
        self._model = {"id": PUBLIC, "object": "model", "created": since, "owned_by": "headrace"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await answers.send_whole(send, answers.json_body(await self._found(Request(scope, receive))))

    async def _found(self, request: Request) -> dict[str, Any]:
        identity = await self._door.identity(request)
        models = [self._model] if identity.settings.allows_model(PUBLIC) else []
        name = request.path_params.get("model")
        if name is None:
            return {"object": "list", "data": models}
        if not models or name != PUBLIC:
            raise NotFound(f"model: there is no model {name[:100]!r}")
        return self._model

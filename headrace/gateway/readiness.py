"""Whether the platform answers: one cheap real inference, asked for once a second at most."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from headrace.client import Client
from headrace.errors import HeadraceError
from headrace.serving import probe

_FRESH_SECONDS = 1.0


class Readiness:
    """Used from one event loop."""

    def __init__(self, client: Client, seconds: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._seconds = seconds
        self._clock = clock
        self._found = False
        self._fresh_until = 0.0
        self._asking: asyncio.Task[bool] | None = None
        self.withdrawn = False
        """At the end: balancers shall look elsewhere, whatever Triton says."""

    async def ready(self) -> bool:
        if self.withdrawn:
            return False
        if self._clock() < self._fresh_until:
            return self._found
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> bool:
        try:
            await probe.ask_once(self._client, self._seconds)
            self._found = True
        except HeadraceError:
            self._found = False
        finally:
            self._asking = None
        self._fresh_until = self._clock() + _FRESH_SECONDS
        return self._found

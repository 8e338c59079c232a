"""Sends what one request's coalescer holds when it is due, by count or by time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headrace.engine.interface import TokenDelta
from headrace.worker import protocol
from headrace.worker.coalescing import Coalescer


class Outbox:
    """`send` gets one `Tokens` frame, under the request's `key`, each time that something is due."""

    def __init__(self, key: int, coalescer: Coalescer, send: Callable[[protocol.Tokens], None]) -> None:
        self._key = key
        self._coalescer = coalescer
        self._send = send
        self._timer: asyncio.TimerHandle | None = None

    def add(self, delta: TokenDelta, now: float) -> None:
        self._coalescer.add(delta, now)
        if self._coalescer.due(now):
            self._flush()
        elif self._timer is None and (due_at := self._coalescer.due_at()) is not None:
            self._timer = asyncio.get_running_loop().call_at(due_at, self._flush)

    def _flush(self) -> None:
        self.close()
        delta = self._coalescer.take()
        self._send(protocol.Tokens(self._key, delta.token_ids, delta.log_probs, delta.finish_reason))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

"""A worker with the engine that needs no model, in a thread, and the inbox of one request."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace import paths
from headrace.config import CoalescingConfig, Config, EngineConfig, MockConfig
from headrace.engine.interface import SamplingParams
from headrace.engine.mock import MockEngine
from headrace.errors import HeadraceError
from headrace.text.tokenizer import Tokenizer
from headrace.worker import protocol
from headrace.worker.client import WorkerClient
from headrace.worker.server import Worker

SECONDS = 10.0
LONG = 100_000
BY_COUNT = CoalescingConfig(max_tokens=4, max_delay_ms=86_400_000)
"""What is due by time leaves once a day: so how many tokens come together is known."""
TOKENIZER = Tokenizer(paths.default_model())


class RunningWorker:
    """A worker in a thread of its own, listening on `path`."""

    def __init__(self, path: Path, coalescing: CoalescingConfig = BY_COUNT, **engine: Any) -> None:
        self.path = path
        mock = MockConfig(step_ms=1, tokens_per_step=engine.pop("tokens_per_step", 1))
        self._config = Config(
            engine=EngineConfig(name="mock", mock=mock, **engine),
            coalescing=coalescing,
        )
        self._loop = asyncio.new_event_loop()
        self.worker: Worker
        self.engine: MockEngine
        self._server: asyncio.Server
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.call(self._start())

    def call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    async def _start(self) -> None:
        self.engine = MockEngine()
        await self.engine.start(self._config.engine)
        self.worker = Worker(self.engine, self._config, TOKENIZER)
        self._server = await self.worker.listen(self.path)

    def end(self) -> None:
        """As a killed process ends: every connection closed."""
        self.call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self.path.unlink(missing_ok=True)

    async def _end(self) -> None:
        self._server.close()
        for connection in list(self.worker.connections):
            connection.close()
        await self.engine.stop()
        await asyncio.sleep(0.01)


@dataclass
class Inbox:
    """Collects what one request gets."""

    token_ids: list[int] = field(default_factory=list)
    chunks: list[protocol.Tokens] = field(default_factory=list)
    finish_reason: str | None = None
    error: HeadraceError | None = None
    begun: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def on_tokens(self, tokens: protocol.Tokens) -> None:
        self.chunks.append(tokens)
        self.token_ids += tokens.token_ids
        self.begun.set()
        if tokens.finish_reason:
            self.finish_reason = tokens.finish_reason
            self.ended.set()

    def on_error(self, error: HeadraceError) -> None:
        self.error = error
        self.ended.set()

    def wait(self) -> Inbox:
        assert self.ended.wait(SECONDS), "the request never ended"
        return self


def submit(
    client: WorkerClient,
    prompt: tuple[int, ...] = (5, 6, 7),
    tag: str = "",
    stream: bool = True,
    inbox: Inbox | None = None,
    **sampling: Any,
) -> tuple[int, Inbox]:
    key, inbox = client.new_key(), inbox or Inbox()
    parameters = SamplingParams(**{"max_tokens": 10, **sampling})
    client.submit(protocol.Submit(key, (tag,), prompt, parameters, "", stream), inbox)
    return key, inbox


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.002)

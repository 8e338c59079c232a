"""A deterministic engine without a model, with settable speed: for tests and for measuring the path alone.

It answers with the prompt's own tokens over and over, so that a test knows what must come back: greedily from
the prompt's second token on (the first is often a control token), with a temperature from a place that the
seed gives.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from headrace.config import EngineConfig, MockConfig
from headrace.engine.interface import EngineRequest, EngineStats, FinishReason, TokenDelta
from headrace.engine.token_stream import TokenStream
from headrace.errors import StartupError

LOG_PROB = -0.5


@dataclass
class _Run:
    request: EngineRequest
    offset: int
    stream: TokenStream = field(default_factory=TokenStream)
    made: int = 0
    ready_at: float = 0.0


class MockEngine:
    """One loop steps up to `max_running` requests together, `tokens_per_step` tokens each `step_ms`."""

    def __init__(self) -> None:
        self._config = MockConfig()
        self._max_running = 1
        self._runs: dict[str, _Run] = {}
        self._generated = 0
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    async def start(self, config: EngineConfig) -> None:
        if not config.model.is_dir():
            raise StartupError(f"engine.model: {config.model} is not a folder; run `make setup`")
        self._config = config.mock
        self._max_running = config.max_running
        self._loop = asyncio.create_task(self._step_forever())

    def submit(self, request: EngineRequest) -> AsyncIterator[TokenDelta]:
        sampling = request.sampling
        place = 1 if sampling.greedy else random.Random(sampling.seed).randrange(1 << 16)  # noqa: S311 - no secret
        run = _Run(request, offset=place)
        run.ready_at = asyncio.get_running_loop().time() + self._config.first_token_ms / 1000
        self._runs[request.id] = run
        self._wake.set()
        return run.stream

    async def abort(self, request_id: str) -> None:
        if run := self._runs.pop(request_id, None):
            run.stream.put(TokenDelta(finish_reason="cancelled"))

    def stats(self) -> EngineStats:
        running = min(len(self._runs), self._max_running)
        return EngineStats(
            running=running,
            waiting=len(self._runs) - running,
            kv_cache_usage=running / self._max_running,
            generated_tokens=self._generated,
        )

    async def stop(self) -> None:
        if self._loop:
            self._loop.cancel()
        for request_id in list(self._runs):
            await self.abort(request_id)

    async def _step_forever(self) -> None:
        clock = asyncio.get_running_loop().time
        next_step = clock()
        while True:
            if not self._runs:
                self._wake.clear()
                await self._wake.wait()
                next_step = clock()
            next_step += self._config.step_ms / 1000
            await asyncio.sleep(max(0.0, next_step - clock()))
            self._step(clock())

    def _step(self, now: float) -> None:
        for run in list(self._runs.values())[: self._max_running]:
            if run.ready_at > now:
                continue
            prompt, sampling = run.request.token_ids, run.request.sampling
            count = min(self._config.tokens_per_step, sampling.max_tokens - run.made)
            start = run.offset + run.made
            tokens = tuple(prompt[(start + n) % len(prompt)] for n in range(count))
            run.made += count
            self._generated += count
            finish: FinishReason | None = "length" if run.made >= sampling.max_tokens else None
            log_probs = (LOG_PROB,) * count if sampling.log_probs else ()
            run.stream.put(TokenDelta(tokens, log_probs, finish))
            if finish:
                del self._runs[run.request.id]

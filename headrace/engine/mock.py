"""A deterministic engine without a model, with settable speed: for tests and for measuring the path alone.

It answers with the prompt's own tokens over and over, so that a test knows what must come back: greedily from
the prompt's second token on (the first is often a control token), with a temperature from a place that the
seed gives. To a JSON schema it answers with the smallest value that the schema allows.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cached_property

from headrace.config import EngineConfig, MockConfig
from headrace.engine.interface import EngineRequest, EngineStats, FinishReason, SamplingParams, TokenDelta
from headrace.engine.json_example import smallest
from headrace.engine.token_stream import TokenStream
from headrace.errors import EngineFailed, IdTaken, InvalidRequest, StartupError
from headrace.text.tokenizer import Tokenizer

LOG_PROB = -0.5


@dataclass
class _Run:
    request: EngineRequest
    source: tuple[int, ...]
    """What the answer repeats."""
    offset: int
    length: int
    """Tokens of the whole answer."""
    finish: FinishReason
    ready_at: float
    deadly: bool
    stream: TokenStream = field(default_factory=TokenStream)
    made: int = 0


class MockEngine:
    """One loop steps up to `max_running` requests together, `tokens_per_step` tokens each `step_ms`."""

    def __init__(self) -> None:
        self._config = MockConfig()
        self._max_running = 1
        self._runs: dict[str, _Run] = {}
        self._generated = 0
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._failure: EngineFailed | None = None

    async def start(self, config: EngineConfig) -> None:
        if not config.model.is_dir():
            raise StartupError(f"engine.model: {config.model} is not a folder; run `make setup`")
        self._model = config.model
        self._config = config.mock
        self._max_running = config.max_running
        self._loop = asyncio.create_task(self._step_forever())

    def submit(self, request: EngineRequest) -> AsyncIterator[TokenDelta]:
        if not request.token_ids:
            raise InvalidRequest("input_ids", "there are no tokens to answer with; send at least one")
        if request.id in self._runs:
            raise IdTaken(request.id)
        if self._failure:
            return TokenStream.failed(self._failure)
        run = self._run(request)
        self._runs[request.id] = run
        self._wake.set()
        return run.stream

    def _run(self, request: EngineRequest) -> _Run:
        sampling = request.sampling
        ready_at = asyncio.get_running_loop().time() + self._config.first_token_ms / 1000
        if sampling.json_schema is not None:
            source, offset = self._json_tokens(sampling.json_schema), 0
            end = len(source)
            finish: FinishReason = "stop" if end <= sampling.max_tokens else "length"
        else:
            source, offset = request.token_ids, _place(sampling)
            end = max(self._config.answer_tokens or sampling.max_tokens, sampling.min_tokens)
            finish = "stop" if end < sampling.max_tokens else "length"
        deadly = self._config.fail_on_token is not None and self._config.fail_on_token in request.token_ids
        return _Run(request, source, offset, min(end, sampling.max_tokens), finish, ready_at, deadly)

    def _json_tokens(self, schema: str) -> tuple[int, ...]:
        text = json.dumps(smallest(json.loads(schema)), separators=(",", ":"), ensure_ascii=False)
        return tuple(self._tokenizer.encode_plain(text))

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer(self._model)

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
        try:
            while True:
                if not self._runs:
                    self._wake.clear()
                    await self._wake.wait()
                    next_step = clock()
                next_step += self._config.step_ms / 1000
                await asyncio.sleep(max(0.0, next_step - clock()))
                self._step(clock())
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            self._fail(EngineFailed(f"the mock engine broke: {str(error) or type(error).__name__}"))

    def _step(self, now: float) -> None:
        for run in list(self._runs.values())[: self._max_running]:
            if run.ready_at > now:
                continue
            if run.deadly:
                raise RuntimeError(f"engine.mock.fail_on_token {self._config.fail_on_token} is in a prompt")
            count = min(self._config.tokens_per_step, run.length - run.made)
            start = run.offset + run.made
            tokens = tuple(run.source[(start + n) % len(run.source)] for n in range(count))
            run.made += count
            self._generated += count
            finish = run.finish if run.made >= run.length else None
            log_probs = (LOG_PROB,) * count if run.request.sampling.log_probs else ()
            run.stream.put(TokenDelta(tokens, log_probs, finish))
            if finish:
                del self._runs[run.request.id]

    def _fail(self, failure: EngineFailed) -> None:
        self._failure = failure
        for run in self._runs.values():
            run.stream.put(failure)
        self._runs.clear()


def _place(sampling: SamplingParams) -> int:
    """Where in the prompt the answer begins."""
    if sampling.greedy or sampling.top_k == 1:
        return 1
    return random.Random(sampling.seed).randrange(1 << 16)  # noqa: S311 - no secret

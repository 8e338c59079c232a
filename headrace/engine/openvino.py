"""OpenVINO GenAI's continuous batching on the CPU: the default engine.

`step()` computes one batch and holds the GIL meanwhile, so the pipeline, its requests and the event loop share
one thread: nothing is gained by another, and nothing needs a lock. Between two steps the loop gets a few turns to
take in new requests and aborts.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headrace.config import EngineConfig, OpenVinoConfig
from headrace.engine.interface import EngineRequest, EngineStats, FinishReason, SamplingParams, TokenDelta
from headrace.engine.token_stream import TokenStream
from headrace.errors import EngineFailed, EngineNotInstalled, IdTaken, InvalidRequest, StartupError
from headrace.text.model_folder import end_token_ids

# Turns of the event loop between steps, an idle one costs some 10 us. The longest chain needs six of them: an
# abort is read, reaches the engine, ends its stream, wakes the stream's reader, is queued and written.
_LOOP_TURNS = 8


@dataclass
class _Run:
    token_ids: tuple[int, ...]
    generation: Any
    log_probs: bool
    stream: TokenStream = field(default_factory=TokenStream)
    handle: Any = None
    """Set when the request enters the batch."""


class OpenVinoEngine:
    """In-flight batching with a paged KV cache, prefix caching and chunked prefill."""

    def __init__(self) -> None:
        self._config = OpenVinoConfig()
        self._max_running = 1
        self._running: dict[str, _Run] = {}
        self._waiting: dict[str, _Run] = {}
        self._next_id = 0
        self._generated = 0
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._failure: EngineFailed | None = None

    async def start(self, config: EngineConfig) -> None:
        try:
            import openvino
            import openvino_genai
        except ImportError as error:
            raise EngineNotInstalled(
                f"openvino_genai is not installed ({error}); run `make setup` or `pip install openvino-genai`"
            ) from None
        if not (config.model / "openvino_model.xml").is_file():
            raise StartupError(f"engine.model: {config.model} holds no openvino_model.xml; run `make setup`")
        self._openvino, self._genai = openvino, openvino_genai
        self._config = config.openvino
        self._max_running = config.max_running
        self._end_ids = end_token_ids(config.model)
        try:
            self._pipeline = openvino_genai.ContinuousBatchingPipeline(
                str(config.model), self._scheduler(config), "CPU", self._properties()
            )
        except RuntimeError as error:
            raise StartupError(f"engine.model: OpenVINO cannot load {config.model}: {_brief(error)}") from None
        self._loop = asyncio.create_task(self._step_forever())

    def _scheduler(self, config: EngineConfig) -> Any:
        scheduler = self._genai.SchedulerConfig()
        scheduler.cache_size = self._config.kv_cache_gb
        scheduler.max_num_batched_tokens = self._config.max_batch_tokens
        scheduler.max_num_seqs = config.max_running
        scheduler.enable_prefix_caching = self._config.prefix_cache
        scheduler.dynamic_split_fuse = True
        return scheduler

    def _properties(self) -> dict[str, Any]:
        precision = self._config.precision
        if precision == "auto":
            capabilities = self._openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            precision = "bf16" if "BF16" in capabilities else "f32"
            exact = False
        else:
            exact = precision == "f32"
        properties: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": self._config.threads,
            "INFERENCE_PRECISION_HINT": precision,
            "KV_CACHE_PRECISION": precision,
        }
        if exact:
            properties["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
        if self._config.prompt_lookup_tokens:
            properties["prompt_lookup"] = True
        return properties

    def submit(self, request: EngineRequest) -> AsyncIterator[TokenDelta]:
        if request.id in self._waiting or request.id in self._running:
            raise IdTaken(request.id)
        if self._failure:
            return TokenStream.failed(self._failure)
        if self._config.prompt_lookup_tokens and request.sampling.min_tokens:
            raise InvalidRequest("min_tokens", "the engine ignores it with prompt lookup on; leave it out")
        generation = self._generation(request.sampling)
        try:
            generation.validate()
        except (RuntimeError, ValueError) as error:
            raise InvalidRequest("request", f"OpenVINO refuses it: {_brief(error)}") from None
        run = _Run(request.token_ids, generation, request.sampling.log_probs)
        self._waiting[request.id] = run
        self._wake.set()
        return run.stream

    def _admit(self) -> None:
        """Fill the batch. The limit is kept here: with chunked prefill the pipeline ignores `max_num_seqs`."""
        while self._waiting and len(self._running) < self._max_running:
            request_id, run = next(iter(self._waiting.items()))
            try:
                token_ids = self._openvino.Tensor(_row(run.token_ids))
                run.handle = self._pipeline.add_request(self._next_id, token_ids, run.generation)
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                run.stream.put(InvalidRequest("request", f"OpenVINO refuses it: {_brief(error)}"))
            else:
                self._next_id += 1
                self._running[request_id] = run
            # Not before: whatever else is raised here, `_fail` finds every request in one of the two.
            del self._waiting[request_id]

    def _generation(self, sampling: SamplingParams) -> Any:
        config = self._genai.GenerationConfig()
        config.eos_token_id = self._end_ids[0]
        config.stop_token_ids = set(self._end_ids)
        config.max_new_tokens = sampling.max_tokens
        config.min_new_tokens = sampling.min_tokens
        config.repetition_penalty = sampling.repetition_penalty
        config.frequency_penalty = sampling.frequency_penalty
        config.presence_penalty = sampling.presence_penalty
        config.logprobs = int(sampling.log_probs)
        config.do_sample = not sampling.greedy
        if not sampling.greedy:
            config.temperature = sampling.temperature
            config.top_p = sampling.top_p
            if sampling.top_k:
                config.top_k = sampling.top_k
            config.rng_seed = secrets.randbits(32) if sampling.seed is None else _fold(sampling.seed)
        if sampling.json_schema is not None:
            config.structured_output_config = self._genai.StructuredOutputConfig(json_schema=sampling.json_schema)
        if self._config.prompt_lookup_tokens:
            config.num_assistant_tokens = self._config.prompt_lookup_tokens
            config.max_ngram_size = self._config.prompt_lookup_ngram
        return config

    async def abort(self, request_id: str) -> None:
        if run := self._waiting.pop(request_id, None) or self._running.pop(request_id, None):
            if run.handle is not None:
                run.handle.cancel()  # frees its place and its KV blocks at the next step
            run.stream.put(TokenDelta(finish_reason="cancelled"))
            self._wake.set()

    def stats(self) -> EngineStats:
        return EngineStats(
            running=len(self._running),
            waiting=len(self._waiting),
            kv_cache_usage=self._pipeline.get_metrics().cache_usage / 100,
            generated_tokens=self._generated,
        )

    async def stop(self) -> None:
        if self._loop:
            self._loop.cancel()
        for request_id in [*self._waiting, *self._running]:
            await self.abort(request_id)

    async def _step_forever(self) -> None:
        try:
            while True:
                self._admit()
                if not self._pipeline.has_non_finished_requests():
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                self._pipeline.step()
                self._publish()
                for _ in range(_LOOP_TURNS):
                    await asyncio.sleep(0)
        except Exception as error:  # noqa: BLE001 - bindings raise all kinds
            # The pipeline's scheduler is then in an unknown state: only a new worker helps.
            self._fail(EngineFailed(f"the OpenVINO engine broke and restarts: {_brief(error)}"))

    def _publish(self) -> None:
        """Hand out what the last step made."""
        for request_id, run in list(self._running.items()):
            token_ids: list[int] = []
            log_probs: list[float] = []
            finish: FinishReason | None = None
            while run.handle.can_read():
                for output in run.handle.read().values():
                    token_ids += output.generated_ids
                    log_probs += output.generated_log_probs
                    finish = self._finish_reason(output.finish_reason)
            if run.handle.get_status() == self._genai.GenerationStatus.IGNORED:
                del self._running[request_id]
                problem = "with the prompt it does not fit into the KV cache; shorten one of the two"
                run.stream.put(InvalidRequest("max_tokens", problem))
            elif token_ids or finish:
                self._generated += len(token_ids)
                kept = tuple(min(0.0, p) for p in log_probs) if run.log_probs else ()
                if finish:
                    del self._running[request_id]
                run.stream.put(TokenDelta(tuple(token_ids), kept, finish))

    def _finish_reason(self, reason: Any) -> FinishReason | None:
        reasons = self._genai.GenerationFinishReason
        if reason == reasons.NONE:
            return None
        return "length" if reason == reasons.LENGTH else "stop"

    def _fail(self, failure: EngineFailed) -> None:
        self._failure = failure
        for run in (*self._waiting.values(), *self._running.values()):
            run.stream.put(failure)
        self._waiting.clear()
        self._running.clear()


def _fold(seed: int) -> int:
    """64 bits to the 32 that OpenVINO looks at, so that seeds that differ only above them still differ."""
    return (seed ^ seed >> 32) & 0xFFFF_FFFF


def _row(token_ids: tuple[int, ...]) -> Any:
    return np.array([token_ids], dtype=np.int64)


def _brief(error: Exception) -> str:
    """The library's messages carry its build machine's paths; their last sentence is what helps."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = lines[-1] if lines else type(error).__name__
    return last.rsplit("/", 1)[-1][:200]

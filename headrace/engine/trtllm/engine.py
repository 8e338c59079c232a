"""The TensorRT-LLM engine: in-flight batching on NVIDIA GPUs through `tensorrt_llm.LLM`.

Written for the LLM API of release 1.2.1. TensorRT-LLM runs its own processes and threads; here one asyncio
loop hands requests in and carries results out, one task for each request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

import structlog

from headrace.config import EngineConfig
from headrace.engine.interface import EngineRequest, EngineStats, FinishReason, TokenDelta
from headrace.engine.token_stream import TokenStream
from headrace.engine.trtllm import api
from headrace.engine.trtllm.options import llm_arguments
from headrace.engine.trtllm.sampling import sampling_arguments
from headrace.engine.trtllm.snapshot import Snapshot
from headrace.errors import EngineFailed, EngineNotInstalled, InvalidRequest, StartupError
from headrace.text.model_folder import end_token_ids

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "timeout": "cancelled",
    "cancelled": "cancelled",
}
STATS_SECONDS = 1.0
STATS_TIMEOUT = 2

log = structlog.get_logger("trtllm")


@dataclass
class _Run:
    """One live request."""

    output: Any
    """tensorrt_llm's RequestOutput: an async iterator that yields itself, with all tokens so far."""
    log_probs: bool
    stream: TokenStream = field(default_factory=TokenStream)
    task: asyncio.Task[None] | None = None
    delivered: int = 0


class TrtLlmEngine:
    """Adapter of the LLM API. Upstream's failures end the requests that they hit, as `EngineFailed`."""

    def __init__(self) -> None:
        self._config = EngineConfig()
        self._end_ids: tuple[int, ...] = ()
        self._llm: Any = None
        self._runs: dict[str, _Run] = {}
        self._generated = 0
        self._snapshot = Snapshot()
        self._follower: asyncio.Task[None] | None = None

    async def start(self, config: EngineConfig) -> None:
        package = _import()
        self._sampling_params = package.SamplingParams
        self._guided_decoding_params = import_module("tensorrt_llm.llmapi").GuidedDecodingParams
        if not config.model.is_dir():
            raise StartupError(
                f"engine.model: {config.model} is not a folder; give one that holds a Hugging Face checkpoint"
            )
        self._config = config
        self._end_ids = end_token_ids(config.model)
        arguments = _with_groups(llm_arguments(config))
        try:
            # Loading takes minutes; the loop stays free for signals.
            self._llm = await asyncio.to_thread(package.LLM, **arguments)
        except Exception as error:  # noqa: BLE001 - pydantic, CUDA, MPI and file errors all end here
            raise StartupError(f"TensorRT-LLM cannot load engine.model {config.model}: {_brief(error)}") from None
        self._follower = asyncio.create_task(self._follow_stats())

    def submit(self, request: EngineRequest) -> AsyncIterator[TokenDelta]:
        if request.id in self._runs:
            raise InvalidRequest("id", f"a request {request.id!r} is already running; give each its own id")
        arguments = sampling_arguments(
            request.sampling, self._end_ids, self._config.trtllm.sampler, self._guided_decoding_params
        )
        try:
            if self._llm is None:
                raise RuntimeError("it is stopped")  # noqa: TRY301 - ends as every failure of the engine
            output = self._llm.generate_async(
                inputs=list(request.token_ids),
                sampling_params=self._sampling_params(**arguments),
                streaming=True,
                cache_salt=request.cache_scope or None,
            )
        except ValueError as error:
            raise InvalidRequest("request", f"TensorRT-LLM refuses it: {_brief(error)}") from None
        except Exception as error:  # noqa: BLE001 - any other one means that the engine is not well
            stream = TokenStream()
            stream.put(_failure(error))
            return stream
        run = _Run(output, request.sampling.log_probs)
        self._runs[request.id] = run
        run.task = asyncio.create_task(self._carry(request.id, run))
        return run.stream

    async def abort(self, request_id: str) -> None:
        if run := self._runs.pop(request_id, None):
            if run.task:
                run.task.cancel()
            run.stream.put(TokenDelta(finish_reason="cancelled"))
            run.output.abort()

    def stats(self) -> EngineStats:
        live = len(self._runs)
        waiting = self._snapshot.waiting(live, self._config.max_running)
        return EngineStats(
            running=live - waiting,
            waiting=waiting,
            # No iteration runs while nothing is live, so the last snapshot would stay for ever.
            kv_cache_usage=self._snapshot.kv_cache_usage if live else 0.0,
            generated_tokens=self._generated,
        )

    async def stop(self) -> None:
        if self._follower:
            self._follower.cancel()
        for request_id in list(self._runs):
            await self.abort(request_id)
        llm, self._llm = self._llm, None
        if llm is not None:
            await asyncio.to_thread(llm.shutdown)

    async def _carry(self, request_id: str, run: _Run) -> None:
        """From upstream's results to the stream, until the request has ended."""
        try:
            async for result in run.output:
                delta = _new_since(run, result.outputs[0])
                self._generated += len(delta.token_ids)
                if delta.token_ids or delta.finish_reason:
                    run.stream.put(delta)
                if delta.finish_reason:
                    return
            raise RuntimeError("a request ended without a finish reason")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - whatever upstream raises, the request must end
            run.stream.put(_failure(error))
        finally:
            if self._runs.get(request_id) is run:
                del self._runs[request_id]

    async def _follow_stats(self) -> None:
        try:
            while True:
                async for values in self._llm.get_stats_async(STATS_TIMEOUT):
                    self._snapshot = Snapshot.of(values)
                await asyncio.sleep(STATS_SECONDS)
        except Exception as error:  # noqa: BLE001 - answers matter more than numbers about them
            log.warning("no more statistics from TensorRT-LLM", problem=_brief(error))


def _import() -> ModuleType:
    try:
        package = import_module("tensorrt_llm")
    except ImportError as error:
        raise EngineNotInstalled(
            f"tensorrt_llm is not installed: {error}; run in NVIDIA's image tritonserver 26.04 to 26.07 "
            f"-trtllm-python-py3, which holds TensorRT-LLM {api.VERSION}, or choose another engine.name"
        ) from None
    version = str(package.__version__).split("+")[0]
    if version != api.VERSION:
        log.warning(
            "not the release this engine is written for; run `python -m headrace.engine.trtllm.contract`",
            expected=api.VERSION,
            found=version,
        )
    return package


def _with_groups(arguments: dict[str, Any]) -> dict[str, Any]:
    """Groups of options as upstream's own classes, which check their values."""
    llmapi = import_module("tensorrt_llm.llmapi")
    groups = {key: name for key, name in api.NESTED.items() if isinstance(arguments.get(key), dict)}
    try:
        return arguments | {key: getattr(llmapi, name)(**arguments[key]) for key, name in groups.items()}
    except ValueError as error:
        raise StartupError(f"engine.trtllm: TensorRT-LLM refuses it: {_brief(error)}") from None


def _new_since(run: _Run, output: Any) -> TokenDelta:
    """Upstream's lists hold everything so far: what came since the last time."""
    start, end = run.delivered, len(output.token_ids)
    run.delivered = max(start, end)
    token_ids = tuple(output.token_ids[start:end])
    log_probs = _log_probs(token_ids, output.logprobs[start:end]) if run.log_probs and token_ids else ()
    finish = FINISH_REASONS[output.finish_reason] if output.finish_reason else None
    return TokenDelta(token_ids, log_probs, finish)


def _log_probs(token_ids: tuple[int, ...], entries: list[Any]) -> tuple[float, ...]:
    """The chosen tokens' own. An entry is a number, or maps token ids to objects with a `logprob`."""
    try:
        values = [
            entry[token_id].logprob if isinstance(entry, dict) else float(entry)
            for token_id, entry in zip(token_ids, entries, strict=True)
        ]
    except (KeyError, ValueError):
        raise RuntimeError("it gave no log prob for a chosen token") from None
    return tuple(min(0.0, value) for value in values)


def _failure(error: Exception) -> EngineFailed:
    return EngineFailed(f"the TensorRT-LLM engine broke: {_brief(error)}")


def _brief(error: Exception) -> str:
    """The first line: what follows is upstream's stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]

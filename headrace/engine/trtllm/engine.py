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
from headrace.engine.interface import EngineRequest, EngineStats, SamplingParams, TokenDelta
from headrace.engine.token_stream import TokenStream
from headrace.engine.trtllm import api
from headrace.engine.trtllm.liveness import still_generates
from headrace.engine.trtllm.options import llm_arguments, max_seq_len
from headrace.engine.trtllm.results import new_tokens
from headrace.engine.trtllm.sampling import sampling_arguments
from headrace.engine.trtllm.snapshot import Snapshot
from headrace.errors import (
    EngineFailed,
    EngineNotInstalled,
    HeadraceError,
    IdTaken,
    InvalidRequest,
    StartupError,
    Unavailable,
)
from headrace.text.model_folder import end_token_ids

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


class _Refusal:
    """In the place of a RequestOutput, where upstream refused the request on the spot."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __aiter__(self) -> _Refusal:
        return self

    async def __anext__(self) -> Any:
        raise self._error

    def abort(self) -> None:
        pass


class TrtLlmEngine:
    """Adapter of the LLM API.

    What upstream refuses or gives up ends that one request, as long as upstream still generates; all else is
    `EngineFailed`.
    """

    def __init__(self) -> None:
        self._config = EngineConfig()
        self._end_ids: tuple[int, ...] = ()
        self._llm: Any = None
        self._runs: dict[str, _Run] = {}
        self._generated = 0
        self._snapshot = Snapshot()
        self._follower: asyncio.Task[None] | None = None
        self._check: asyncio.Task[bool] | None = None

    async def start(self, config: EngineConfig) -> None:
        package = _import()
        self._sampling_params = package.SamplingParams
        llmapi = import_module("tensorrt_llm.llmapi")
        self._guided_decoding_params = llmapi.GuidedDecodingParams
        self._request_error: type[Exception] = llmapi.RequestError
        if not config.model.is_dir():
            raise StartupError(
                f"engine.model: {config.model} is not a folder; give one that holds a Hugging Face checkpoint"
            )
        self._config = config
        self._max_seq_len = max_seq_len(config)
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
            raise IdTaken(request.id)
        self._check_length(request)
        arguments = sampling_arguments(
            request.sampling, self._end_ids, self._config.trtllm.sampler, self._guided_decoding_params
        )
        try:
            output = self._generate(request, arguments)
        except (ValueError, TypeError, AssertionError) as error:
            raise InvalidRequest("request", f"TensorRT-LLM refuses it: {_brief(error)}") from None
        except Exception as error:  # noqa: BLE001 - judged as if it had come later
            output = _Refusal(error)
        run = _Run(output, request.sampling.log_probs)
        self._runs[request.id] = run
        run.task = asyncio.create_task(self._carry(request.id, run))
        return run.stream

    def _check_length(self, request: EngineRequest) -> None:
        """Upstream would cut the answer in silence, and fail a prompt that leaves no room for one."""
        prompt, answer, most = len(request.token_ids), request.sampling.max_tokens, self._max_seq_len
        if most is not None and prompt + answer > most:
            problem = (
                f"{answer}, with a prompt of {prompt} tokens; the engine holds {most} tokens of both together"
            )
            raise InvalidRequest("max_tokens", problem)

    def _generate(self, request: EngineRequest, sampling: dict[str, Any]) -> Any:
        """Upstream's RequestOutput."""
        if self._llm is None:
            raise EngineFailed("the TensorRT-LLM engine is stopped")
        return self._llm.generate_async(
            inputs=list(request.token_ids),
            sampling_params=self._sampling_params(**sampling),
            streaming=True,
            cache_salt=request.cache_scope or None,
        )

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
        for task in (self._follower, self._check):
            if task:
                task.cancel()
        for request_id in list(self._runs):
            await self.abort(request_id)
        llm, self._llm = self._llm, None
        if llm is not None:
            await asyncio.to_thread(llm.shutdown)

    async def _carry(self, request_id: str, run: _Run) -> None:
        """From upstream's results to the stream, until the request has ended."""
        try:
            async for result in run.output:
                delta = new_tokens(result.outputs[0], run.delivered, run.log_probs)
                run.delivered += len(delta.token_ids)
                self._generated += len(delta.token_ids)
                if delta.token_ids or delta.finish_reason:
                    run.stream.put(delta)
                if delta.finish_reason:
                    return
            run.stream.put(EngineFailed("the TensorRT-LLM engine broke: a request ended without a finish reason"))
        except HeadraceError as error:
            run.stream.put(error)
            run.output.abort()
        except self._request_error as error:
            run.stream.put(await self._judged(error, run))
        except Exception as error:  # noqa: BLE001 - whatever upstream raises, the request must end
            run.stream.put(_failure(error))
        finally:
            if self._runs.get(request_id) is run:
                del self._runs[request_id]

    async def _judged(self, error: Exception, run: _Run) -> HeadraceError:
        """What upstream's error for one request means."""
        if not await self._still_generates():
            return _failure(error)
        if run.delivered:
            return Unavailable(f"TensorRT-LLM gave the request up: {_brief(error)}; send it again")
        return InvalidRequest("request", f"TensorRT-LLM refuses it: {_brief(error)}")

    async def _still_generates(self) -> bool:
        """One check serves all requests that fail together."""
        if self._check is None or self._check.done():
            one_token = self._sampling_params(
                **sampling_arguments(
                    SamplingParams(max_tokens=1, min_tokens=1), self._end_ids, "", self._guided_decoding_params
                )
            )
            work = still_generates(self._llm, one_token, self._end_ids[0], lambda: self._generated)
            self._check = asyncio.create_task(work)
        return await asyncio.shield(self._check)

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


def _failure(error: Exception) -> EngineFailed:
    return EngineFailed(f"the TensorRT-LLM engine broke: {_brief(error)}")


def _brief(error: Exception) -> str:
    """The first line: what follows is upstream's stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]

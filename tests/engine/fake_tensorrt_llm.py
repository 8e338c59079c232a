"""A stand-in for `tensorrt_llm`, built from the recorded names of the LLM API: no GPU, no weights.

It takes exactly the arguments that the recorded release takes for certain, and raises for any other. Tokens
are the prompt's own, over and over, so that a test knows what must come back. Two environment variables:
`FAKE_TRTLLM_STEP_MS` is the time of one iteration (1), `FAKE_TRTLLM_DEADLY_TOKEN` a token id: an engine that
gets a prompt with it breaks.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import os
import random
import typing
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from headrace.engine.trtllm import api

__version__ = f"{api.VERSION}+fake"
LOG_PROB = -0.25
BLOCK_TOKENS = 32
BLOCKS = 1024


def _certain(section: str) -> list[api.Parameter]:
    return [parameter for parameter in api.parameters(section).values() if parameter.certain]


def _type(text: str) -> Any:
    """The recorded type where Python alone can express it, else anything."""
    try:
        return eval(text, {**vars(typing), "Path": Path})
    except (NameError, SyntaxError, TypeError):
        return Any


def _model(name: str, section: str) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for p in _certain(section):
        nested = NESTED.get(p.name) if section == "LLM.__init__" else None
        if nested:
            fields[p.name] = (nested | None, nested() if p.default else None)
        else:
            fields[p.name] = (_type(p.type), ... if p.default == api.REQUIRED else p.default)
    return create_model(name, __config__=ConfigDict(extra="forbid", protected_namespaces=()), **fields)


def _dataclass(name: str, section: str, check: Callable[[Any], None]) -> type:
    fields: list[Any] = []
    for p in _certain(section):
        if p.default == api.REQUIRED:
            fields.append((p.name, Any))
        elif p.default == []:
            fields.append((p.name, Any, dataclasses.field(default_factory=list)))
        else:
            fields.append((p.name, Any, p.default))
    namespace = {"__post_init__": check}
    return dataclasses.make_dataclass(name, fields, namespace=namespace, slots=True, kw_only=True)


def _check_sampling(params: Any) -> None:
    if params.temperature is not None and not params.temperature > 0:
        raise ValueError(f"temperature must be > 0, got {params.temperature}")
    if not params.max_tokens >= 1:
        raise ValueError(f"max_tokens must be >= 1, got {params.max_tokens}")


def _check_guided(params: Any) -> None:
    if sum(bool(getattr(params, f.name)) for f in dataclasses.fields(params)) > 1:
        raise ValueError("only one guide can be used for a request")


NESTED: dict[str, type[BaseModel]] = {}
NESTED.update({key: _model(name, name) for key, name in api.NESTED.items()})
KvCacheConfig = NESTED["kv_cache_config"]
CudaGraphConfig = NESTED["cuda_graph_config"]
MoeConfig = NESTED["moe_config"]
AttentionDpConfig = NESTED["attention_dp_config"]
CacheTransceiverConfig = NESTED["cache_transceiver_config"]
TorchLlmArgs = _model("TorchLlmArgs", "LLM.__init__")
SamplingParams: Any = _dataclass("SamplingParams", "SamplingParams", _check_sampling)
GuidedDecodingParams: Any = _dataclass("GuidedDecodingParams", "GuidedDecodingParams", _check_guided)
CompletionOutput: Any = _dataclass("CompletionOutput", "CompletionOutput", lambda _: None)


@dataclasses.dataclass(slots=True)
class Logprob:
    logprob: float
    rank: int | None = None


class RequestOutput:
    """Yields itself after each change; its outputs hold everything so far."""

    def __init__(self, request_id: int, prompt_token_ids: list[int], params: Any) -> None:
        self.request_id = request_id
        self.prompt_token_ids = prompt_token_ids
        self.sampling_params = params
        self.outputs = [CompletionOutput(index=0, logprobs=[])]
        self.finished = False
        drawn = params.temperature is not None and params.top_k != 1
        self._offset = random.Random(params.seed or 0).randrange(1 << 16) if drawn else 1
        self._changes: asyncio.Queue[Exception | None] = asyncio.Queue()
        self._done = False

    def __aiter__(self) -> RequestOutput:
        return self

    async def __anext__(self) -> RequestOutput:
        if self._done:
            raise StopAsyncIteration
        change = await self._changes.get()
        if isinstance(change, Exception):
            self._done = True
            raise change
        self._done = self.finished and self._changes.empty()
        return self

    async def aresult(self) -> RequestOutput:
        async for _ in self:
            pass
        return self

    def result(self, timeout: float | None = None) -> RequestOutput:
        raise NotImplementedError

    def abort(self) -> None:
        self.end("cancelled")

    def end(self, reason: str) -> None:
        if not self.finished:
            self.finished = True
            self.outputs[0].finish_reason = reason
            self._changes.put_nowait(None)

    def fail(self, error: Exception) -> None:
        self.finished = True
        self._changes.put_nowait(error)

    def step(self) -> None:
        params, output = self.sampling_params, self.outputs[0]
        made = len(output.token_ids)
        token_id = self.prompt_token_ids[(self._offset + made) % len(self.prompt_token_ids)]
        output.token_ids.append(token_id)
        if params.logprobs:
            output.logprobs.append({token_id: Logprob(LOG_PROB, 1)})
        if token_id == params.end_id and not params.ignore_eos and made + 1 > (params.min_tokens or 0):
            self.end("stop")
        elif token_id in (params.stop_token_ids or ()):
            if not params.include_stop_str_in_output:
                output.token_ids.pop()
            self.end("stop")
        elif made + 1 >= params.max_tokens:
            self.end("length")
        else:
            self._changes.put_nowait(None)


class LLM:
    """The `__init__` of the recorded release, and in-flight batching of `max_batch_size` requests."""

    def __init__(self, *positional: Any, **options: Any) -> None:
        options |= dict(zip(api.names("LLM.positional"), positional, strict=False))
        self.args: Any = TorchLlmArgs(**options)
        self.requests: list[dict[str, Any]] = []
        """The arguments of every generate_async, for tests to look at."""
        self._live: list[RequestOutput] = []
        self._stats: deque[dict[str, Any]] = deque(maxlen=1000)
        self._stepper: asyncio.Task[None] | None = None
        self._broken: Exception | None = None
        self._step_seconds = float(os.environ.get("FAKE_TRTLLM_STEP_MS", "1")) / 1000
        self._deadly = int(os.environ.get("FAKE_TRTLLM_DEADLY_TOKEN", "-1"))

    def generate_async(self, *args: Any, **kwargs: Any) -> RequestOutput:
        given = inspect.signature(self.generate_async).bind(*args, **kwargs)
        given.apply_defaults()
        values = given.arguments
        inputs, params = values["inputs"], values["sampling_params"]
        if not isinstance(values["streaming"], bool):
            raise TypeError(f"streaming must be a bool, got {values['streaming']!r}")
        if not inputs or not all(type(token_id) is int for token_id in inputs):
            raise ValueError("inputs must be a non-empty list of token ids")
        if params.guided_decoding and not self.args.guided_decoding_backend:
            raise ValueError("guided decoding needs guided_decoding_backend")
        if params.stop and self.args.skip_tokenizer_init:
            raise ValueError("stop strings need the tokenizer")
        if self._broken:
            raise self._broken
        self.requests.append(dict(values))
        output = RequestOutput(len(self.requests), inputs, params)
        self._live.append(output)
        if self._stepper is None or self._stepper.done():
            self._stepper = asyncio.create_task(self._step_while_live())
        return output

    async def _step_while_live(self) -> None:
        while self._live:
            await asyncio.sleep(self._step_seconds)
            self._live = [output for output in self._live if not output.finished]
            batch = self._live[: self.args.max_batch_size]
            if any(self._deadly in output.prompt_token_ids for output in batch):
                self._broken = RuntimeError("CUDA error: an illegal memory access was encountered")
                for output in self._live:
                    output.fail(self._broken)
                return
            for output in batch:
                output.step()
            if self.args.enable_iter_perf_stats:
                self._stats.append(self._iteration(batch))

    def _iteration(self, batch: list[RequestOutput]) -> dict[str, Any]:
        tokens = (len(o.prompt_token_ids) + len(o.outputs[0].token_ids) for o in batch)
        return {
            "numActiveRequests": len(batch),
            "numQueuedRequests": len(self._live) - len(batch),
            "kvCacheStats": {
                "maxNumBlocks": BLOCKS,
                "usedNumBlocks": sum(-(-count // BLOCK_TOKENS) for count in tokens),
            },
        }

    def get_stats(self, timeout: float | None = 2) -> list[dict[str, Any]]:
        stats = list(self._stats)
        self._stats.clear()
        return stats

    async def get_stats_async(
        self,
        timeout: float | None = 2,  # noqa: ASYNC109 - upstream's signature
    ) -> AsyncIterator[dict[str, Any]]:
        if not self.args.enable_iter_perf_stats:
            raise RuntimeError("statistics need enable_iter_perf_stats")
        while self._stats:
            yield self._stats.popleft()

    def shutdown(self) -> None:
        self._broken = RuntimeError("LLM is shutting down")
        for output in self._live:
            output.finished = True


def _signature() -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("self", kind)]
    for p in _certain("LLM.generate_async"):
        default = inspect.Parameter.empty if p.default == api.REQUIRED else p.default
        parameters.append(inspect.Parameter(p.name, kind, default=default))
    return inspect.Signature(parameters)


LLM.generate_async.__signature__ = _signature()  # type: ignore[attr-defined]

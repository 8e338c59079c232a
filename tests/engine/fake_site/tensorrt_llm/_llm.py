"""Requests in flight, without a GPU."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import os
import random
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import tokenizers

from headrace.engine.trtllm import api

from ._types import CompletionOutput, TorchLlmArgs, certain

LOG_PROB = -0.25
BLOCK_TOKENS = 32
BLOCKS = 1024


class RequestError(RuntimeError):
    """Upstream's, for one request."""


@dataclasses.dataclass(slots=True)
class Logprob:
    logprob: float
    rank: int | None = None


class RequestOutput:
    """Yields itself after each change; its outputs hold everything so far."""

    def __init__(
        self, request_id: int, prompt_token_ids: list[int], params: Any, max_tokens: int, stop: list[list[int]]
    ) -> None:
        self.request_id = request_id
        self.prompt_token_ids = prompt_token_ids
        self.sampling_params = params
        self._max_tokens = max_tokens
        self._stop = stop
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
        raise RuntimeError("result() blocks the event loop that the tokens come by; iterate, or await aresult()")

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
        elif ending := next((ids for ids in self._stop if output.token_ids[-len(ids) :] == ids), None):
            if not params.include_stop_str_in_output:
                del output.token_ids[-len(ending) :]
            self.end("stop")
        elif made + 1 >= self._max_tokens:
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
        self.broken: Exception | None = None
        """What every request fails with, from the next step on. Tests may set it."""
        self._live: list[RequestOutput] = []
        self._stats: deque[dict[str, Any]] = deque(maxlen=1000)
        self._stepper: asyncio.Task[None] | None = None
        self._shut_down = False
        self._step_seconds = float(os.environ.get("FAKE_TRTLLM_STEP_MS", "1")) / 1000
        self._deadly = int(os.environ.get("FAKE_TRTLLM_DEADLY_TOKEN", "-1"))
        self._refused = int(os.environ.get("FAKE_TRTLLM_REFUSED_TOKEN", "-1"))
        _log({"LLM": self.args.model_dump(mode="json", exclude_unset=True)})

    def generate_async(self, *args: Any, **kwargs: Any) -> RequestOutput:
        given = inspect.signature(LLM.generate_async).bind(self, *args, **kwargs)
        given.apply_defaults()
        values = {name: value for name, value in given.arguments.items() if name != "self"}
        inputs, params = values["inputs"], values["sampling_params"]
        if not isinstance(values["streaming"], bool):
            raise TypeError(f"streaming must be a bool, got {values['streaming']!r}")
        if not inputs or not all(type(token_id) is int for token_id in inputs):
            raise ValueError("inputs must be a non-empty list of token ids")
        if params.guided_decoding and not self.args.guided_decoding_backend:
            raise ValueError("guided decoding needs guided_decoding_backend")
        if params.stop and self.args.skip_tokenizer_init:
            raise ValueError("stop strings need the tokenizer")
        if self._shut_down:
            raise RuntimeError("LLM is shutting down")
        self.requests.append(values)
        _log({"request": {**values, "sampling_params": _set_fields(params)}})
        # Upstream cuts what would not fit, and fails a prompt that leaves room for nothing.
        room = (self.args.max_seq_len or 1 << 30) - len(inputs)
        stop = [*self._stop_strings(params), *([token_id] for token_id in params.stop_token_ids or ())]
        output = RequestOutput(len(self.requests), inputs, params, min(params.max_tokens, room), stop)
        if room < 1:
            output.fail(RequestError(f"max_tokens ({room}) must be greater than 0"))
        elif self._refused in inputs:
            output.fail(RequestError("the request cannot be scheduled"))
        else:
            self._live.append(output)
        if self._stepper is None or self._stepper.done():
            self._stepper = asyncio.create_task(self._step_while_live())
        return output

    def _stop_strings(self, params: Any) -> list[list[int]]:
        """Compared as token ids."""
        if not params.stop:
            return []
        tokenizer = tokenizers.Tokenizer.from_file(str(Path(self.args.model) / "tokenizer.json"))
        return [tokenizer.encode(text, add_special_tokens=False).ids for text in params.stop]

    async def _step_while_live(self) -> None:
        while self._live:
            await asyncio.sleep(self._step_seconds)
            self._live = [output for output in self._live if not output.finished]
            batch = self._live[: self.args.max_batch_size]
            if any(self._deadly in output.prompt_token_ids for output in batch):
                self.broken = RequestError("CUDA error: an illegal memory access was encountered")
            for output in self._live if self.broken else batch:
                if self.broken:
                    output.fail(self.broken)
                else:
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
        self._shut_down = True
        for output in self._live:
            output.finished = True


def _set_fields(params: Any) -> dict[str, Any]:
    """What a request sets, without upstream's defaults."""
    set_fields = {f.name: getattr(params, f.name) for f in dataclasses.fields(params)}
    return {
        name: _set_fields(value) if dataclasses.is_dataclass(value) else value
        for name, value in set_fields.items()
        if value not in (None, [])
    }


def _log(entry: dict[str, Any]) -> None:
    if file := os.environ.get("FAKE_TRTLLM_LOG"):
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry) + "\n")


def _signature() -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("self", kind)]
    for p in certain("LLM.generate_async"):
        default = inspect.Parameter.empty if p.default == api.REQUIRED else p.default
        parameters.append(inspect.Parameter(p.name, kind, default=default))
    return inspect.Signature(parameters)


LLM.generate_async.__signature__ = _signature()  # type: ignore[attr-defined]

"""The engine alone, in a process of its own: what the platform is compared with.

`python -m perf.bare_engine loop` steps OpenVINO's pipeline in a plain loop, without any class of ours.
`python -m perf.bare_engine class` drives `headrace.engine.openvino.OpenVinoEngine`, without worker and Triton.

Both read the configuration as the worker does and get token ids: chat template, tokenizing and detokenizing
are no part of them. Jobs come as JSON lines on stdin; between two jobs the process waits in a read.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from typing import Any, Protocol

import msgspec
import numpy as np

from headrace import config as configuration
from headrace.config import EngineConfig
from headrace.engine.interface import EngineRequest, SamplingParams
from headrace.text.model_folder import end_token_ids


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A closed loop: `concurrency` prompts at a time, the next one as soon as one has its tokens."""

    prompts: list[list[int]]
    concurrency: int
    tokens: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float
    tokens: int
    first_token_seconds: list[float]
    """By prompt, from its submission."""
    step_seconds: list[float] = []
    """Of the plain loop: each step's time."""


class Bare(Protocol):
    async def run(self, job: Job) -> Outcome: ...


class PlainLoop:
    """What the library's own examples do: add requests, step, read the handles."""

    def __init__(self, config: EngineConfig) -> None:
        import openvino
        import openvino_genai

        self._openvino, self._genai = openvino, openvino_genai
        self._end_ids = end_token_ids(config.model)
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(
            str(config.model), scheduler(config), "CPU", properties(config)
        )
        self._next_id = 0

    async def run(self, job: Job) -> Outcome:
        generation = self._generation(job.tokens)
        waiting = deque(enumerate(job.prompts))
        live: dict[int, tuple[Any, float]] = {}
        first = [0.0] * len(job.prompts)
        steps: list[float] = []
        tokens = 0
        began = time.perf_counter()
        while waiting or live:
            while waiting and len(live) < job.concurrency:
                place, prompt = waiting.popleft()
                row = self._openvino.Tensor(np.array([prompt], dtype=np.int64))
                live[place] = self._pipeline.add_request(self._next_id, row, generation), time.perf_counter()
                self._next_id += 1
            before = time.perf_counter()
            self._pipeline.step()
            now = time.perf_counter()
            steps.append(now - before)
            for place, (handle, sent) in list(live.items()):
                while handle.can_read():
                    for output in handle.read().values():
                        tokens += len(output.generated_ids)
                        first[place] = first[place] or now - sent
                        if output.finish_reason != self._genai.GenerationFinishReason.NONE:
                            del live[place]
        seconds = time.perf_counter() - began
        return Outcome(seconds=seconds, tokens=tokens, first_token_seconds=first, step_seconds=steps)

    def _generation(self, tokens: int) -> Any:
        config = self._genai.GenerationConfig()
        config.eos_token_id = self._end_ids[0]
        config.stop_token_ids = set(self._end_ids)
        config.max_new_tokens = config.min_new_tokens = tokens
        config.do_sample = False
        return config


def scheduler(config: EngineConfig) -> Any:
    """The same as the engine's, written down here so that the comparison does not run through it."""
    from openvino_genai import SchedulerConfig

    settings = SchedulerConfig()
    settings.cache_size = config.openvino.kv_cache_gb
    settings.max_num_batched_tokens = config.openvino.max_batch_tokens
    settings.max_num_seqs = config.max_running
    settings.enable_prefix_caching = config.openvino.prefix_cache
    settings.dynamic_split_fuse = True
    return settings


def properties(config: EngineConfig) -> dict[str, Any]:
    """The same as the engine's, without what the benchmark does not switch on."""
    import openvino

    precision = config.openvino.precision
    fast = {"auto": "bf16" in _capabilities(openvino), "bf16": True, "f32": False}[precision]
    chosen: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": config.openvino.threads,
        "INFERENCE_PRECISION_HINT": "bf16" if fast else "f32",
        "KV_CACHE_PRECISION": "bf16" if fast else "f32",
    }
    return chosen | ({"DYNAMIC_QUANTIZATION_GROUP_SIZE": 0} if precision == "f32" else {})


def _capabilities(openvino: Any) -> set[str]:
    return {name.lower() for name in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")}


class EngineClass:
    """The platform's engine class alone."""

    def __init__(self) -> None:
        from headrace.engine.openvino import OpenVinoEngine

        self._engine = OpenVinoEngine()
        self._next_id = 0

    async def start(self, config: EngineConfig) -> None:
        await self._engine.start(config)

    async def stop(self) -> None:
        await self._engine.stop()

    async def run(self, job: Job) -> Outcome:
        sampling = SamplingParams(max_tokens=job.tokens, min_tokens=job.tokens)
        first = [0.0] * len(job.prompts)
        waiting = iter(enumerate(job.prompts))
        made = 0

        async def one_after_another() -> None:
            nonlocal made
            for place, prompt in waiting:
                self._next_id += 1
                request = EngineRequest(id=str(self._next_id), token_ids=tuple(prompt), sampling=sampling)
                sent = time.perf_counter()
                async for delta in self._engine.submit(request):
                    made += len(delta.token_ids)
                    first[place] = first[place] or time.perf_counter() - sent

        began = time.perf_counter()
        await asyncio.gather(*(one_after_another() for _ in range(job.concurrency)))
        return Outcome(seconds=time.perf_counter() - began, tokens=made, first_token_seconds=first)


async def _serve(way: str) -> None:
    # Libraries print to stdout; the answers keep it for themselves.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    config = configuration.load().engine
    bare: Bare
    if way == "class":
        bare = engine = EngineClass()
        await engine.start(config)
    else:
        bare = PlainLoop(config)
    jobs = sys.stdin.buffer
    answers.write(b"ready\n")
    answers.flush()
    # The read blocks the loop on purpose: an idle side shall use no CPU.
    while line := jobs.readline():  # noqa: ASYNC230, RUF100
        outcome = await bare.run(msgspec.json.decode(line, type=Job))
        answers.write(msgspec.json.encode(outcome) + b"\n")
        answers.flush()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))

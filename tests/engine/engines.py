"""The engines that the conformance suite runs on, and how to ask, read and break them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace import paths
from headrace.config import EngineConfig, MockConfig, OpenVinoConfig, TrtLlmConfig
from headrace.engine.interface import Engine, EngineRequest, EngineStats, SamplingParams, TokenDelta
from headrace.engine.registry import create

FAKE_SITE = Path(__file__).parent / "fake_site"
ENGINES = ["mock", "openvino", "trtllm"]
PACKAGES = {"openvino": "openvino_genai", "trtllm": "tensorrt_llm"}
"""What an engine cannot start without."""
# The default model reads "Once upon a time there was a", "The capital of France is", "def fibonacci(n):".
TALE = (6403, 1980, 253, 655, 665, 436, 253)
FACT = (504, 3575, 282, 4649, 314)
CODE = (1604, 3987, 46477, 24, 94, 727, 198)
COLOUR_QUESTION = (1, 4093, 198, 31413, 253, 7302, 30, 2, 198, 1, 520, 9531, 198)
MAX_RUNNING = 8
LONG = 400
END_IDS = (7, 8, 9)
"""Of a made-up model."""
SOON = 20.0
"""Seconds until something that must happen is taken for lost."""
REFUSED: dict[str, dict[str, Any]] = {
    "mock": {"prompt": ()},
    "openvino": {"repetition_penalty": -1.0},
    "trtllm": {"max_tokens": 1 << 20},
}
"""A request that each engine refuses."""


def config(**mock: Any) -> EngineConfig:
    # f32: an answer must not depend on what else is in the batch.
    openvino = OpenVinoConfig(precision="f32", kv_cache_gb=1)
    return EngineConfig(
        model=paths.default_model(),
        max_running=MAX_RUNNING,
        openvino=openvino,
        mock=MockConfig(**{"step_ms": 0.5} | mock),
        trtllm=TrtLlmConfig(trtllm={"max_seq_len": 8192}),
    )


@contextmanager
def importable(name: str) -> Iterator[None]:
    """The engine's package can be imported: for trtllm the stand-in."""
    with pytest.MonkeyPatch.context() as patch:
        if name == "trtllm":
            patch.syspath_prepend(FAKE_SITE)
        yield
    for module in [m for m in sys.modules if m.split(".")[0] == "tensorrt_llm"]:
        del sys.modules[module]


async def started(name: str, **mock: Any) -> Engine:
    engine = create(name)
    await engine.start(config(**mock))
    return engine


def asked(
    id: str = "r",  # noqa: A002 - the field's name
    prompt: tuple[int, ...] = TALE,
    max_tokens: int = 8,
    cache_scope: str = "",
    **sampling: Any,
) -> EngineRequest:
    """A request whose answer has exactly `max_tokens` tokens, unless `min_tokens` is given."""
    sampling.setdefault("min_tokens", max_tokens)
    params = SamplingParams(max_tokens=max_tokens, **sampling)
    return EngineRequest(id=id, token_ids=prompt, sampling=params, cache_scope=cache_scope)


@dataclass(frozen=True)
class Answer:
    deltas: list[TokenDelta]

    @property
    def token_ids(self) -> tuple[int, ...]:
        return tuple(t for delta in self.deltas for t in delta.token_ids)

    @property
    def log_probs(self) -> tuple[float, ...]:
        return tuple(p for delta in self.deltas for p in delta.log_probs)

    @property
    def finish_reason(self) -> str | None:
        return self.deltas[-1].finish_reason


async def read(stream: AsyncIterator[TokenDelta]) -> Answer:
    """To the iterator's own end: a second delta after the finish reason would be seen."""
    async with asyncio.timeout(SOON):
        return Answer([delta async for delta in stream])


async def answer(engine: Engine, request: EngineRequest) -> Answer:
    return await read(engine.submit(request))


async def first_tokens(stream: AsyncIterator[TokenDelta]) -> tuple[int, ...]:
    async with asyncio.timeout(SOON):
        async for delta in stream:
            if delta.token_ids:
                return delta.token_ids
    raise AssertionError("the stream ended before its first token")


def live(stats: EngineStats) -> int:
    return stats.running + stats.waiting


def breaks(name: str, engine: Engine, error: Exception) -> None:
    """From its next step on, the engine's own machinery raises `error`."""
    parts = vars(engine)
    if name == "mock":
        parts["_step"] = _raiser(error)
    elif name == "openvino":
        parts["_pipeline"] = _BrokenPipeline(parts["_pipeline"], error)
    else:
        parts["_llm"].broken = error


def _raiser(error: Exception) -> Any:
    def step(*_: Any) -> None:
        raise error

    return step


class _BrokenPipeline:
    def __init__(self, pipeline: Any, error: Exception) -> None:
        self._pipeline = pipeline
        self.step = _raiser(error)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._pipeline, attribute)

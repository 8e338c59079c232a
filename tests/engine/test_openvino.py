"""What only the OpenVINO engine has: precision, speculation, and a compiler that breaks it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from headrace import paths
from headrace.config import EngineConfig, OpenVinoConfig
from headrace.engine.interface import EngineRequest, SamplingParams, TokenDelta
from headrace.engine.openvino import OpenVinoEngine
from headrace.errors import EngineFailed, InvalidRequest
from headrace.text.chat import ChatTemplate
from headrace.text.messages import Message
from headrace.text.tokenizer import Tokenizer

TOPICS = ("dogs", "rain", "Rome", "the sea", "bread", "winter")


async def started(max_running: int = 8, **settings: Any) -> OpenVinoEngine:
    engine = OpenVinoEngine()
    config = EngineConfig(
        model=paths.default_model(), max_running=max_running, openvino=OpenVinoConfig(**settings)
    )
    await engine.start(config)
    return engine


def prompt(text: str) -> tuple[int, ...]:
    tokenizer = Tokenizer(paths.default_model())
    return tuple(ChatTemplate(paths.default_model(), tokenizer).encode([Message("user", text)]))


async def run(engine: OpenVinoEngine, name: str, text: str, **sampling: Any) -> list[TokenDelta]:
    request = EngineRequest(
        id=name, token_ids=prompt(text), sampling=SamplingParams(**{"max_tokens": 24, **sampling})
    )
    return [delta async for delta in engine.submit(request)]


def tokens(deltas: list[TokenDelta]) -> list[int]:
    return [token for delta in deltas for token in delta.token_ids]


async def test_with_f32_an_answer_does_not_depend_on_the_batch() -> None:
    engine = await started(precision="f32", prefix_cache=False)
    alone = [tokens(await run(engine, topic, f"Tell me about {topic}")) for topic in TOPICS]
    together = await asyncio.gather(*(run(engine, topic, f"Tell me about {topic}") for topic in TOPICS))
    await engine.stop()
    assert [tokens(deltas) for deltas in together] == alone


async def test_prompt_lookup_makes_several_tokens_in_a_step() -> None:
    engine = await started(prompt_lookup_tokens=4)
    deltas = await run(engine, "a", "Repeat: the capital of France is Paris. The capital of France is")
    await engine.stop()
    assert max(len(delta.token_ids) for delta in deltas) > 1


async def test_prompt_lookup_refuses_min_tokens_which_it_would_ignore() -> None:
    engine = await started(prompt_lookup_tokens=4)
    with pytest.raises(InvalidRequest, match="min_tokens"):
        await run(engine, "a", "Hello", min_tokens=3)
    await engine.stop()


async def test_a_schema_that_breaks_the_pipeline_fails_every_request_once_and_clearly() -> None:
    """`check_schema` keeps such a schema out; should one get through, nobody may hang."""
    engine = await started()
    neighbour = asyncio.create_task(run(engine, "neighbour", "Tell me about dogs", max_tokens=400))
    await asyncio.sleep(0)
    with pytest.raises(EngineFailed, match="restarts"):
        await run(engine, "bad", "Hello", json_schema='{"type": "objec"}')
    with pytest.raises(EngineFailed):
        await neighbour
    with pytest.raises(EngineFailed):
        await run(engine, "late", "Hello")


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("bad tensor")])
async def test_a_request_that_cannot_enter_the_batch_hears_of_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    engine = await started()

    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(engine, "_openvino", SimpleNamespace(Tensor=refuse))
    async with asyncio.timeout(20):
        with pytest.raises((EngineFailed, InvalidRequest), match=str(error)):
            await run(engine, "a", "Hello")
    assert engine.stats().waiting == 0
    await engine.stop()


async def test_the_batch_limit_holds() -> None:
    engine = await started(max_running=2)
    work = [asyncio.create_task(run(engine, topic, f"Tell me about {topic}")) for topic in TOPICS]
    seen = []
    while not all(task.done() for task in work):
        await asyncio.sleep(0)
        seen.append(engine.stats())
    await engine.stop()
    assert max(stats.running for stats in seen) == 2
    assert max(stats.waiting for stats in seen) >= len(TOPICS) - 3

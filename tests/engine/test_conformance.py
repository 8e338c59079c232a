"""What every engine must do, checked on each: mock, OpenVINO, and TensorRT-LLM's adapter on a stand-in."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from headrace import paths
from headrace.config import EngineConfig, MockConfig, OpenVinoConfig
from headrace.engine.interface import Engine, EngineRequest, EngineStats, SamplingParams, TokenDelta
from headrace.engine.registry import create
from headrace.errors import EngineFailed, StartupError

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAKE_SITE = Path(__file__).parent / "fake_site"
ENGINES = ["mock", "openvino", "trtllm"]
# The default model reads "Once upon a time there was a", "The capital of France is", "def fibonacci(n):".
TALE = (6403, 1980, 253, 655, 665, 436, 253)
FACT = (504, 3575, 282, 4649, 314)
CODE = (1604, 3987, 46477, 24, 94, 727, 198)
COLOUR_QUESTION = (1, 4093, 198, 31413, 253, 7302, 30, 2, 198, 1, 520, 9531, 198)
DEADLY_TOKEN = 49_000
MAX_RUNNING = 8
LONG = 400
SOON = 20.0
"""Seconds until something that must happen is taken for lost."""


def config() -> EngineConfig:
    # f32: an answer must not depend on what else is in the batch.
    openvino = OpenVinoConfig(precision="f32", kv_cache_gb=1)
    return EngineConfig(
        model=paths.default_model(),
        max_running=MAX_RUNNING,
        openvino=openvino,
        mock=MockConfig(step_ms=0.5),
    )


@pytest.fixture(scope="module", params=ENGINES)
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """An engine's name, with its package importable."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "trtllm":
            patch.syspath_prepend(FAKE_SITE)
            patch.setenv("FAKE_TRTLLM_DEADLY_TOKEN", str(DEADLY_TOKEN))
        yield request.param
    for module in [m for m in sys.modules if m.split(".")[0] == "tensorrt_llm"]:
        del sys.modules[module]


async def started(name: str) -> Engine:
    engine = create(name)
    await engine.start(config())
    return engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(name: str) -> AsyncIterator[Engine]:
    """One started engine for all tests that leave it whole."""
    engine = await started(name)
    yield engine
    await engine.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def own_engine(name: str) -> AsyncIterator[Engine]:
    """A started engine that the test may break."""
    engine = await started(name)
    yield engine
    await engine.stop()


def asked(
    id: str = "r",  # noqa: A002 - the field's name
    prompt: tuple[int, ...] = TALE,
    max_tokens: int = 8,
    **sampling: Any,
) -> EngineRequest:
    """A request whose answer has exactly `max_tokens` tokens, unless `min_tokens` is given."""
    sampling.setdefault("min_tokens", max_tokens)
    return EngineRequest(id=id, token_ids=prompt, sampling=SamplingParams(max_tokens=max_tokens, **sampling))


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


# --- one request ---


async def test_deltas_end_with_exactly_one_finish_reason(engine: Engine) -> None:
    deltas = (await answer(engine, asked(max_tokens=12))).deltas
    assert [d.finish_reason for d in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish_reason == "length"
    assert all(d.token_ids for d in deltas[:-1])


async def test_tokens_come_as_they_are_made(engine: Engine) -> None:
    assert len((await answer(engine, asked(max_tokens=12))).deltas) > 3


@pytest.mark.parametrize("count", [1, 9])
async def test_max_tokens_is_the_most(engine: Engine, count: int) -> None:
    got = await answer(engine, asked(max_tokens=count, min_tokens=0))
    assert (len(got.token_ids), got.finish_reason) == (count, "length")


@pytest.mark.parametrize("prompt", [FACT, COLOUR_QUESTION], ids=["text", "chat"])
async def test_min_tokens_holds_the_end_back(engine: Engine, prompt: tuple[int, ...]) -> None:
    got = await answer(engine, asked(prompt=prompt, max_tokens=40))
    assert (len(got.token_ids), got.finish_reason) == (40, "length")


async def test_greedy_is_repeatable_and_streams_what_it_would_give_whole(engine: Engine) -> None:
    short, long = [await answer(engine, asked(max_tokens=n)) for n in (6, 12)]
    assert long.token_ids[:6] == short.token_ids
    assert (await answer(engine, asked(max_tokens=12))).token_ids == long.token_ids


async def test_a_seed_repeats_and_another_differs(engine: Engine) -> None:
    def drawn(seed: int) -> EngineRequest:
        return asked(max_tokens=16, temperature=1.5, seed=seed)

    first, again = [(await answer(engine, drawn(7))).token_ids for _ in range(2)]
    assert first == again
    others = {(await answer(engine, drawn(seed))).token_ids for seed in (8, 9, 10)}
    assert others != {first}


async def test_without_a_seed_requests_draw_differently(engine: Engine) -> None:
    answers = [await answer(engine, asked(max_tokens=16, temperature=1.5)) for _ in range(4)]
    assert len({got.token_ids for got in answers}) > 1


@pytest.mark.parametrize("temperature", [0.0, 1.0])
async def test_log_probs_are_one_per_token(engine: Engine, temperature: float) -> None:
    got = await answer(engine, asked(max_tokens=10, log_probs=True, temperature=temperature))
    assert [len(d.log_probs) for d in got.deltas] == [len(d.token_ids) for d in got.deltas]
    assert len(got.log_probs) == 10
    assert all(p <= 0 for p in got.log_probs)


async def test_no_log_probs_unless_asked(engine: Engine) -> None:
    assert (await answer(engine, asked())).log_probs == ()


async def test_json_schema(name: str, engine: Engine) -> None:
    schema = json.dumps({"enum": ["red", "green"]})
    got = await answer(engine, asked(prompt=COLOUR_QUESTION, max_tokens=32, min_tokens=0, json_schema=schema))
    if name == "openvino":
        import openvino_genai

        text = openvino_genai.Tokenizer(str(paths.default_model())).decode(list(got.token_ids))
        assert json.loads(text) in ("red", "green")
        assert got.finish_reason == "stop"
    elif name == "trtllm":  # the stand-in does not obey a schema: it shows that it arrived
        assert vars(engine)["_llm"].requests[-1]["sampling_params"].guided_decoding.json == schema
    else:
        assert got.token_ids, "mock has no grammar: it answers all the same"


# --- abort ---


async def test_abort_in_the_middle(engine: Engine) -> None:
    stream = engine.submit(asked(max_tokens=LONG))
    await first_tokens(stream)
    await engine.abort("r")
    rest = await read(stream)
    assert rest.finish_reason == "cancelled"
    assert len(rest.token_ids) < LONG - 1


async def test_abort_before_the_first_token(engine: Engine) -> None:
    stream = engine.submit(asked(max_tokens=LONG))
    await engine.abort("r")
    got = await read(stream)
    assert (got.token_ids, got.finish_reason) == ((), "cancelled")


async def test_abort_of_an_unknown_or_ended_id_is_harmless(engine: Engine) -> None:
    await engine.abort("never seen")
    await answer(engine, asked())
    await engine.abort("r")
    assert (await answer(engine, asked())).finish_reason == "length"


async def test_an_id_can_be_used_again_after_its_abort(engine: Engine) -> None:
    expected = (await answer(engine, asked(prompt=FACT))).token_ids
    stream = engine.submit(asked(max_tokens=LONG))
    await first_tokens(stream)
    await engine.abort("r")
    second = engine.submit(asked(prompt=FACT))
    assert (await read(second)).token_ids == expected
    assert (await read(stream)).finish_reason == "cancelled"


async def test_a_consumer_that_leaves_does_not_hurt_others(engine: Engine) -> None:
    leaving = engine.submit(asked("leaving", max_tokens=LONG))
    others = [asyncio.create_task(answer(engine, asked(f"{n}", max_tokens=20))) for n in range(3)]
    await first_tokens(leaving)
    if aclose := getattr(leaving, "aclose", None):
        await aclose()
    await engine.abort("leaving")
    assert [len((await other).token_ids) for other in others] == [20] * 3
    assert live(engine.stats()) == 0


# --- several requests ---


async def test_live_requests_never_mix(engine: Engine) -> None:
    prompts = (TALE, FACT, CODE)
    alone = [(await answer(engine, asked(prompt=p, max_tokens=24))).token_ids for p in prompts]
    assert len(set(alone)) == len(prompts)
    requests = [asked(f"{n}", prompt=p, max_tokens=24) for n, p in enumerate(prompts)]
    together = await asyncio.gather(*(answer(engine, request) for request in requests))
    assert [got.token_ids for got in together] == alone


async def test_more_requests_than_places_all_finish(engine: Engine) -> None:
    lengths = [1 + (7 * n) % 16 for n in range(4 * MAX_RUNNING)]
    requests = [asked(f"{n}", max_tokens=length) for n, length in enumerate(lengths)]
    answers = await asyncio.gather(*(answer(engine, request) for request in requests))
    assert [len(got.token_ids) for got in answers] == lengths
    assert {got.finish_reason for got in answers} == {"length"}


async def test_a_short_request_overtakes_a_long_one(engine: Engine) -> None:
    stream = engine.submit(asked("long", max_tokens=LONG))
    await first_tokens(stream)
    rest = asyncio.create_task(read(stream))
    await answer(engine, asked("short", prompt=FACT, max_tokens=3))
    assert not rest.done()
    await engine.abort("long")
    assert (await rest).finish_reason == "cancelled"


async def test_submit_takes_the_request_at_once(engine: Engine) -> None:
    stream = engine.submit(asked())
    assert live(engine.stats()) == 1
    await read(stream)


async def test_stats_count_and_return_to_zero(engine: Engine) -> None:
    before = engine.stats().generated_tokens
    streams = [engine.submit(asked(f"{n}", max_tokens=30)) for n in range(2 * MAX_RUNNING)]
    assert live(engine.stats()) == 2 * MAX_RUNNING
    await first_tokens(streams[0])
    during = engine.stats()
    assert 1 <= during.running <= MAX_RUNNING
    assert during.waiting >= MAX_RUNNING
    assert 0 <= during.kv_cache_usage <= 1
    for stream in streams:
        await read(stream)
    after = engine.stats()
    assert (after.running, after.waiting) == (0, 0)
    assert after.generated_tokens - before == 2 * MAX_RUNNING * 30


# --- start, stop, failure ---


async def test_stop_ends_live_requests(own_engine: Engine) -> None:
    streams = [own_engine.submit(asked(f"{n}", max_tokens=LONG)) for n in range(2 * MAX_RUNNING)]
    await first_tokens(streams[0])
    await own_engine.stop()
    assert {(await read(stream)).finish_reason for stream in streams} == {"cancelled"}


async def test_a_missing_model_folder_is_named(name: str, tmp_path: Path) -> None:
    missing = tmp_path / "no-such-model"
    with pytest.raises(StartupError, match="no-such-model"):
        await create(name).start(config().model_copy(update={"model": missing}))


async def test_a_broken_engine_fails_its_requests(name: str, own_engine: Engine) -> None:
    if name == "mock":
        assert not hasattr(own_engine, "_pipeline"), "mock has nothing that can break"
        return
    streams = [own_engine.submit(asked(f"{n}", max_tokens=LONG)) for n in range(3)]
    await first_tokens(streams[0])
    if name == "openvino":
        vars(own_engine)["_pipeline"] = _BrokenPipeline(vars(own_engine)["_pipeline"])
    else:
        streams.append(own_engine.submit(asked("deadly", prompt=(*TALE, DEADLY_TOKEN))))
    for stream in streams:
        with pytest.raises(EngineFailed):
            await read(stream)
    assert live(own_engine.stats()) == 0


class _BrokenPipeline:
    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._pipeline, attribute)

    def step(self) -> None:
        raise RuntimeError("out of memory")

"""What every engine must do, checked on each: mock, OpenVINO, and TensorRT-LLM's adapter on a stand-in."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.engine.interface import Engine, EngineRequest
from headrace.engine.registry import create
from headrace.errors import EngineFailed, EngineNotInstalled, InvalidRequest, StartupError
from headrace.text.tokenizer import Tokenizer
from tests.engine.engines import (
    CODE,
    COLOUR_QUESTION,
    FACT,
    LONG,
    MAX_RUNNING,
    PACKAGES,
    REFUSED,
    TALE,
    answer,
    asked,
    breaks,
    config,
    first_tokens,
    live,
    read,
    started,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- one request ---


async def test_deltas_end_with_exactly_one_finish_reason(engine: Engine) -> None:
    deltas = (await answer(engine, asked(max_tokens=12))).deltas
    assert [d.finish_reason for d in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish_reason == "length"
    assert all(d.token_ids for d in deltas[:-1])
    assert not any(d.log_probs for d in deltas), "nobody asked"


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


async def test_an_answer_that_ends_of_itself(name: str) -> None:
    engine = await started(name, answer_tokens=5)
    whole = await answer(engine, asked(prompt=COLOUR_QUESTION, max_tokens=100, min_tokens=0))
    assert whole.finish_reason == "stop"
    assert 1 <= len(whole.token_ids) < 100
    # min_tokens = max_tokens takes the place of other servers' `ignore_eos`.
    longer = len(whole.token_ids) + 20
    kept_on = await answer(engine, asked(prompt=COLOUR_QUESTION, max_tokens=longer, min_tokens=longer))
    assert (len(kept_on.token_ids), kept_on.finish_reason) == (longer, "length")
    await engine.stop()


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


@pytest.mark.parametrize("choice", [{"top_k": 3}, {"top_p": 0.5}, {"top_k": 3, "top_p": 0.5}], ids=str)
async def test_limits_of_the_choice_are_taken(engine: Engine, choice: dict[str, Any]) -> None:
    request = asked(max_tokens=12, temperature=1.0, seed=3, **choice)
    first, again = await answer(engine, request), await answer(engine, request)
    assert first.token_ids == again.token_ids
    assert len(first.token_ids) == 12


async def test_a_choice_of_one_is_greedy(engine: Engine) -> None:
    greedy = await answer(engine, asked(max_tokens=12))
    for seed in range(3):
        request = asked(max_tokens=12, temperature=2.0, top_k=1, seed=seed)
        assert (await answer(engine, request)).token_ids == greedy.token_ids


@pytest.mark.parametrize("penalty", ["repetition_penalty", "frequency_penalty", "presence_penalty"])
async def test_penalties_are_taken(name: str, engine: Engine, penalty: str) -> None:
    sampling: dict[str, Any] = {penalty: 1.9}
    plain = await answer(engine, asked(max_tokens=60))
    got = await answer(engine, asked(max_tokens=60, **sampling))
    assert (len(got.token_ids), got.finish_reason) == (60, "length")
    if name == "openvino":
        assert len(set(got.token_ids)) > len(set(plain.token_ids))


async def test_the_tokens_of_a_stop_string_are_delivered(engine: Engine, tokenizer: Tokenizer) -> None:
    whole = (await answer(engine, asked(prompt=FACT, max_tokens=12))).token_ids
    stop = b"".join(map(tokenizer.token_bytes, whole[2:4])).decode()
    got = await answer(engine, asked(prompt=FACT, max_tokens=12, stop=(stop,)))
    # Whether the engine ends there, or leaves that to the worker, is its own affair.
    assert len(got.token_ids) >= 4
    assert got.token_ids == whole[: len(got.token_ids)]
    assert got.finish_reason == ("length" if len(got.token_ids) == 12 else "stop")


async def test_json_schema(name: str, engine: Engine, tokenizer: Tokenizer) -> None:
    schema = json.dumps({"enum": ["red", "green"]})
    got = await answer(engine, asked(prompt=COLOUR_QUESTION, max_tokens=32, min_tokens=0, json_schema=schema))
    if name == "trtllm":  # the stand-in does not obey a schema: it shows that it arrived
        assert vars(engine)["_llm"].requests[-1]["sampling_params"].guided_decoding.json == schema
        return
    assert json.loads(b"".join(map(tokenizer.token_bytes, got.token_ids))) in ("red", "green")
    assert got.finish_reason == "stop"


async def test_a_cache_scope_changes_no_answer(name: str, engine: Engine) -> None:
    scopes = ("", "tenant-a", "tenant-b", "tenant-a")
    answers = [await answer(engine, asked(max_tokens=12, cache_scope=scope)) for scope in scopes]
    assert len({got.token_ids for got in answers}) == 1
    if name == "trtllm":
        salts = [request["cache_salt"] for request in vars(engine)["_llm"].requests[-4:]]
        assert salts == [None, "tenant-a", "tenant-b", "tenant-a"]


async def test_what_an_engine_cannot_do_is_refused_at_once(name: str, engine: Engine) -> None:
    with pytest.raises(InvalidRequest):
        engine.submit(asked(**REFUSED[name]))
    assert live(engine.stats()) == 0
    assert (await answer(engine, asked())).finish_reason == "length"


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


async def test_an_id_that_is_taken_is_refused_and_its_owner_goes_on(engine: Engine) -> None:
    first = engine.submit(asked("one", max_tokens=20))
    with pytest.raises(InvalidRequest, match=r"^id: .*already running"):
        engine.submit(asked("one", prompt=FACT))
    assert len((await read(first)).token_ids) == 20
    assert len((await answer(engine, asked("one", max_tokens=5))).token_ids) == 5


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


@pytest.mark.parametrize("name", PACKAGES, indirect=True)
async def test_a_missing_package_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    with pytest.raises(EngineNotInstalled, match=rf"^{PACKAGES[name]} is not installed.*; run "):
        await create(name).start(config())


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ValueError("bad"), IndexError(), MemoryError()])
async def test_a_broken_engine_fails_its_requests(name: str, own_engine: Engine, error: Exception) -> None:
    streams = [own_engine.submit(asked(f"{n}", max_tokens=LONG)) for n in range(2 * MAX_RUNNING)]
    await first_tokens(streams[0])
    breaks(name, own_engine, error)
    for stream in streams:
        with pytest.raises(EngineFailed, match=str(error) or type(error).__name__):
            await read(stream)
    assert live(own_engine.stats()) == 0
    later = own_engine.submit(asked("later"))  # to be told by the stream, like every other end
    with pytest.raises(EngineFailed):
        await read(later)

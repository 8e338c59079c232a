"""A request that asks for several answers: it takes as many places, and each has its own state of the cache."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.client import UNARY_MODEL
from headrace.errors import Overloaded
from headrace.gateway.metrics import Metrics
from headrace.limits.errors import LimitReached
from tests.gateway.bench import ACME, Bench, ask

RICH = replace(ACME, tokens_per_minute=None)


async def test_each_answer_is_a_request_that_runs(bench: Bench) -> None:
    bench.triton.pieces, narrow = ("The river.",), replace(RICH, concurrent_requests=2)
    await bench.read(ask(choices=2, temperature=1.0), narrow)
    with pytest.raises(LimitReached, match=r"asked for 3, 0 run and the limit is 2; it can never fit"):
        await bench.read(ask(choices=3, temperature=1.0), narrow)
    assert bench.triton.runs == 2


async def test_more_answers_than_the_engine_takes_run_none_of_them(bench: Bench) -> None:
    bench.triton.pieces, limit = ("The river.",), bench.admission.stats().limit
    with pytest.raises(Overloaded, match=f"n: the engine takes {limit} answers at once now; ask for fewer"):
        await bench.read(ask(choices=limit + 1, temperature=1.0), RICH)
    assert (bench.triton.runs, bench.admission.stats().refused) == (0, {"places": 1})
    assert [record.cost for record in await bench.records()] == [0]


async def test_equal_answers_take_one_place(bench: Bench) -> None:
    bench.triton.pieces, limit = ("The river.",), bench.admission.stats().limit
    assert await bench.read(ask(choices=limit + 1), RICH) == "The river." * (limit + 1)
    assert bench.triton.runs == 1


async def test_a_request_is_a_hit_if_all_of_its_answers_were(bench: Bench) -> None:
    bench.triton.pieces = ("The river.",)
    several = ask(choices=3, temperature=1.0, random_seed=7, stream=False)
    await bench.read(ask(temperature=1.0, random_seed=7, stream=False))
    await bench.read(several)
    await bench.read(several)
    records = await bench.records()
    assert [(record.cache, record.cost) for record in records] == [
        ("miss", 31 * 20 + 80), ("miss", 31 * 20 + 2 * 80), ("hit", 0),
    ]  # fmt: skip
    metrics = Metrics("USD")
    for entry in bench.seen:
        metrics.observe(entry)
    page = metrics.page().decode()
    assert 'headrace_gateway_cache_total{state="hit"} 4.0' in page
    assert 'headrace_gateway_cache_total{state="miss"} 3.0' in page
    assert metrics.hits[UNARY_MODEL].count == 4
    assert 'headrace_gateway_queue_seconds_count{dialect="openai"} 2.0' in page


async def test_refusals_are_counted_by_reason(bench: Bench) -> None:
    metrics = Metrics("USD")
    metrics.watch(bench.admission, bench.cache, bench.circuit)
    with pytest.raises(Overloaded):
        await bench.read(ask(choices=99, temperature=1.0), RICH)
    assert 'headrace_gateway_refusals_total{reason="places"} 1.0' in metrics.page().decode()
    await asyncio.sleep(0)

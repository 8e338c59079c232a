"""Who leaves: what the engine did for him is paid once, and given back is what it did not do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Any

import pytest

from headrace.errors import DeadlineExceeded
from headrace.gateway.ask import Ask, CacheWish
from headrace.gateway.exchange import Piece
from headrace.limits.model import Limits, Wanted
from tests.gateway.bench import ACME, CALL, Bench, ask, what, who

PROMPT = 31 * 20
TOKEN = 80
SECONDS = 20.0


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def leave(reading: asyncio.Task[Any]) -> None:
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_second_cancellation_while_the_engine_stops_loses_no_settle(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.client.connection._STOP_SECONDS", 0.5)
    bench.triton.pieces, bench.triton.ends, bench.triton.deaf_to = ("The ",), False, 1000
    read = list[Piece]()

    async def read_on() -> None:
        asked = ask(choices=3, temperature=1.0)
        async with (
            bench.exchanges.open(CALL, lambda: who(ACME), lambda: what(asked)) as exchange,
            aclosing(exchange.pieces()) as pieces,
        ):
            async for piece in pieces:
                read.append(piece)

    reading = asyncio.create_task(read_on())
    await until(lambda: len(read) == 3)
    reading.cancel()
    await until(lambda: len(bench.triton.stops) == 3)
    await leave(reading)
    (record,) = await bench.records()
    assert (record.outcome, record.cost) == ("cancelled", PROMPT + 3 * TOKEN)
    assert await bench.spent() == record.cost
    await bench.limits.reserve("acme", Limits(concurrent_requests=1, tokens_per_minute=1000), Wanted(966, 0))


@pytest.mark.parametrize("cache", [CacheWish(), CacheWish(read=False, write=False)], ids=["flight", "bypass"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_work_that_a_client_abandons_costs_its_prompt(bench: Bench, stream: bool, cache: CacheWish) -> None:
    bench.triton.ends = False
    reading = asyncio.create_task(bench.read(ask(stream=stream, cache=cache)))
    await bench.triton.came.wait()
    await leave(reading)
    (record,) = await bench.records()
    assert (record.outcome, record.cost) == ("cancelled", PROMPT)
    assert await bench.spent() == PROMPT


@pytest.mark.parametrize(("asked", "cost"), [(0.3, PROMPT), (None, 0)], ids=["the client's", "the gateway's"])
async def test_a_time_limit_costs_the_prompt_if_it_was_the_clients(
    bench: Bench, asked: float | None, cost: int
) -> None:
    bench.triton.ends = False
    bench.exchanges._seconds = SECONDS if asked else 0.3
    deadline = asked and asyncio.get_running_loop().time() + asked
    with pytest.raises(DeadlineExceeded):
        await bench.read(ask(stream=False, deadline=deadline))
    assert [record.cost for record in await bench.records()] == [cost]


async def test_who_leaves_before_he_is_let_in_pays_nothing(bench: Bench) -> None:
    async with AsyncExitStack() as held:
        for _ in range(bench.admission.stats().limit):
            await held.enter_async_context(bench.admission.admit("other", 3, 10))
        reading = asyncio.create_task(bench.read(ask()))
        await until(lambda: bench.admission.stats().waiting == 1)
        await leave(reading)
    (record,) = await bench.records()
    assert (record.outcome, record.cost, bench.triton.runs) == ("cancelled", 0, 0)


@pytest.mark.parametrize("asked", [ask(), ask(choices=3)], ids=["one", "n"])
async def test_a_prompt_is_paid_once_when_the_first_reader_leaves(bench: Bench, asked: Ask) -> None:
    bench.triton.pieces, bench.triton.pause = ("The ", "river ", "runs."), 0.2
    async with (
        bench.exchanges.open(CALL, lambda: who(ACME), lambda: what(asked)) as exchange,
        aclosing(exchange.pieces()) as pieces,
    ):
        await anext(pieces)
        other = asyncio.create_task(bench.read(asked, replace(ACME, tokens_per_minute=10**6)))
        (flight,) = bench.exchanges._choices._flights._flights.values()
        await until(lambda: len(flight.seats) == 2 * asked.choices)
    await other
    records = await bench.records()
    assert (bench.triton.runs, min(record.cost for record in records) > 0) == (1, True)
    assert sum(record.cost for record in records) == PROMPT + 3 * TOKEN == await bench.spent()

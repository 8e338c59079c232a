"""Equal requests at one time are refused for reasons of their own only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

import pytest

from headrace.errors import DeadlineExceeded, HeadraceError, Overloaded
from headrace.gateway import verdict
from headrace.gateway.openai.replies import Reply
from headrace.tenants.settings import Settings
from tests.gateway.bench import ACME, CALL, Bench, ask, what, who

RICH = replace(ACME, tokens_per_minute=None, cache_scope="shared:all")
OTHER = replace(RICH, tenant="beta", priority=1)


async def full(bench: Bench, held: AsyncExitStack) -> None:
    for _ in range(bench.admission.stats().limit):
        await held.enter_async_context(bench.admission.admit("other", 3, 10))


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("deadline", "joiner", "error"),
    [(0.1, RICH, DeadlineExceeded), (None, OTHER, Overloaded)],
    ids=["deadline", "turn"],
)
async def test_who_joined_boards_again_when_the_first_is_refused(
    bench: Bench, deadline: float | None, joiner: Settings, error: type[HeadraceError]
) -> None:
    bench.triton.pieces = ("The river.",)
    async with AsyncExitStack() as held:
        await full(bench, held)
        due = deadline and asyncio.get_running_loop().time() + deadline
        first = asyncio.create_task(bench.read(ask(deadline=due), RICH))
        await until(lambda: bench.admission.stats().waiting or first.done())
        others = [asyncio.create_task(bench.read(ask(), joiner)) for _ in range(3)]
        await until(lambda: bench.admission.stats().refused)
    with pytest.raises(error):
        await first
    assert await asyncio.gather(*others) == ["The river."] * 3
    assert bench.triton.runs == 1
    records = [record for record in await bench.records() if record.outcome == "ok"]
    assert sorted(record.cache for record in records) == ["join", "join", "miss"]
    assert sum(record.cost for record in records) == 31 * 20 + 80


async def test_equal_requests_of_one_tenant_are_refused_together(bench: Bench) -> None:
    """One after the other they would wait for each other's refusals."""
    async with AsyncExitStack() as held:
        await full(bench, held)
        found = await asyncio.gather(*(bench.read(ask(), RICH) for _ in range(5)), return_exceptions=True)
    assert {type(one) for one in found} == {Overloaded}
    assert bench.admission.stats().refused == {"waited": 1}


@pytest.mark.parametrize(("said", "stream"), [("", False), ("{", True)], ids=["none", "broken"])
async def test_an_answer_without_a_verdict_that_can_be_read_is_given_and_not_kept(
    bench: Bench, said: str, stream: bool
) -> None:
    bench.triton.pieces, bench.triton.verdict, bench.triton.pause = ("The river.",), said, 0.05
    async with asyncio.timeout(20):
        texts = await asyncio.gather(*(bench.read(ask(stream=stream), RICH) for _ in range(3)))
    assert texts == ["The river."] * 3
    reply = Reply("chat", "an-id", "v1", "USD")
    async with (
        bench.exchanges.open(CALL, lambda: who(RICH), lambda: what(ask(stream=stream))) as exchange,
        aclosing(exchange.pieces()) as pieces,
    ):
        found = [piece async for piece in pieces]
        whole = reply.whole(exchange, [piece.chunk for piece in found])
    assert whole["choices"][0]["message"]["content"] == "The river."
    assert whole["headrace"]["guard"] == [{}]
    assert b"guard" not in b"".join(reply.events(found[0]))
    records = await bench.records()
    assert [record.cache for record in records] == ["miss", "join", "join", "miss"]
    assert [(record.outcome, record.guard) for record in records] == [("ok", {})] * 4


@pytest.mark.parametrize("said", ["", "{", "[]", '"ü"', "null"])
def test_what_is_no_verdict_is_read_as_none(said: str) -> None:
    assert verdict.read(said) == {}

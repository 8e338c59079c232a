"""A tenant is changed while its answer runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, nullcontext

import pytest

from headrace.errors import BudgetSpent, Forbidden, HeadraceError
from headrace.limits.errors import LimitsUnavailable
from headrace.limits.model import Limits
from headrace.limits.standing import Standing
from tests.gateway.bench import ACME, CALL, Bench, ask, what, who

ENOUGH = "tenants: {acme: {budgets: [{amount: '1', period: day}]}}"
CHANGES: dict[str, tuple[str, type[HeadraceError] | None, str]] = {
    "another budget that is enough": (ENOUGH, None, "ok"),
    "a budget below what the answer may cost": (
        "tenants: {acme: {budgets: [{amount: '0.000001', period: day}]}}", BudgetSpent, "budget",
    ),
    "no such tenant any more": ("tenants: {}", Forbidden, "refused"),
}  # fmt: skip


async def edited_while_it_streams(bench: Bench, file: str) -> AsyncIterator[str]:
    """The pieces; the tenants change after the first one."""
    bench.triton.pieces, bench.triton.pause = ("word ",) * 20, 0.05
    before = bench.tenants.current()
    async with (
        bench.exchanges.open(CALL, lambda: who(ACME), lambda: what(ask())) as exchange,
        aclosing(exchange.pieces()) as pieces,
    ):
        async for piece in pieces:
            yield piece.chunk.text
            if bench.tenants.current() is before:
                bench.tenants_file.write_text(file)
                while bench.tenants.current() is before:  # noqa: ASYNC110 read on another thread
                    await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.tenants.live.LOOK_SECONDS", 0.0)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_stream_goes_on_only_as_long_as_its_tenant_may(bench: Bench, change: str) -> None:
    file, error, outcome = CHANGES[change]
    read = 0
    with pytest.raises(error) if error is not None else nullcontext():
        async for _ in edited_while_it_streams(bench, file):
            read += 1
    (record,) = await bench.records()
    assert record.outcome == outcome
    assert (read < 20) == (error is not None)
    # A change takes nothing of the rate.
    standing = await bench.limits.standing("acme", Limits(requests_per_minute=10))
    assert standing.requests is not None
    assert standing.requests.remaining == 9
    # What came was paid, and what was reserved is back; the engine's work has ended.
    assert record.cost == 31 * 20 + record.completion_tokens * 80 == await bench.spent()
    assert bench.triton.running == set()


async def test_a_store_that_is_away_lets_a_stream_go_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def away(*_: object) -> Standing:
        nonlocal asked
        asked += 1
        raise LimitsUnavailable("Redis did not answer within 250 ms")

    monkeypatch.setattr(bench.limits, "standing", away)
    assert len([piece async for piece in edited_while_it_streams(bench, ENOUGH)]) == 20
    assert asked == 1

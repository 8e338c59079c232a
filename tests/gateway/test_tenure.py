"""A tenant is changed while its answer runs."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from headrace.errors import BudgetSpent, Forbidden, HeadraceError
from tests.gateway.bench import ACME, CALL, Bench, ask, what, who

CHANGES: dict[str, tuple[str, type[HeadraceError] | None, str]] = {
    "another budget that is enough": ("tenants: {acme: {budgets: [{amount: '1', period: day}]}}", None, "ok"),
    "a budget below what the answer may cost": (
        "tenants: {acme: {budgets: [{amount: '0.000001', period: day}]}}", BudgetSpent, "budget",
    ),
    "no such tenant any more": ("tenants: {}", Forbidden, "refused"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
async def test_a_stream_goes_on_only_as_long_as_its_tenant_may(
    bench: Bench, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.tenants.live.LOOK_SECONDS", 0.0)
    file, error, outcome = CHANGES[change]
    bench.triton.pieces, bench.triton.pause = ("word ",) * 20, 0.05
    before = bench.tenants.current()
    read = 0

    async def stream() -> None:
        nonlocal read
        async with (
            bench.exchanges.open(CALL, lambda: who(ACME), lambda: what(ask())) as exchange,
            aclosing(exchange.pieces()) as pieces,
        ):
            async for _ in pieces:
                read += 1
                if read == 1:
                    bench.tenants_file.write_text(file)
                    while bench.tenants.current() is before:  # noqa: ASYNC110 read on another thread
                        await asyncio.sleep(0.01)

    if error is None:
        await stream()
    else:
        with pytest.raises(error):
            await stream()
    (record,) = await bench.records()
    assert record.outcome == outcome
    assert (read < 20) == (error is not None)
    # What came was paid, and what was reserved is back; the engine's work has ended.
    assert record.cost == 31 * 20 + record.completion_tokens * 80 == await bench.spent()
    assert bench.triton.running == set()

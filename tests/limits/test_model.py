from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ConfigError
from headrace.limits.budget import MAX_MONEY, PERIODS, Budget, Period, index, money, seconds_left
from headrace.limits.memory import MemoryStore
from headrace.limits.model import MAX_RATE, Limits, Used, Wanted
from tests.limits.clocks import Clocks


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "concurrent_requests"])
def test_a_limit_that_cannot_be_counted_is_refused(name: str) -> None:
    def limits(value: int | None) -> Limits:
        said: dict[str, Any] = {name: value}
        return Limits(**said)

    for good in (0, MAX_RATE, None):
        limits(good)
    for bad in (-1, MAX_RATE + 1):
        with pytest.raises(ConfigError, match=f"{name}: must be from 0 to {MAX_RATE}, got {bad}"):
            limits(bad)


def test_a_budget_that_cannot_be_counted_is_refused() -> None:
    Budget(MAX_MONEY, "total")
    with pytest.raises(
        ConfigError, match=r"budgets\.total: must be from 0 to 4000000000, got 4000000000\.000000001"
    ):
        Budget(MAX_MONEY + 1, "total")
    with pytest.raises(ConfigError, match=r"budgets\.day: must be from 0 .* got -0\.5"):
        Budget(-5 * 10**8, "day")


def test_two_budgets_of_one_period_are_refused() -> None:
    with pytest.raises(ConfigError, match="budgets: give one budget a period; there are several for day"):
        Limits(budgets=(Budget(1, "day"), Budget(2, "month"), Budget(3, "day")))


@pytest.mark.parametrize(
    ("nano", "said"),
    [(0, "0"), (1, "0.000000001"), (10**9, "1"), (15 * 10**8, "1.5"), (10**11, "100"), (-(10**8), "-0.1"),
     (2**60, "1152921504.606846976")],
)  # fmt: skip
def test_money_is_written_exactly(nano: int, said: str) -> None:
    assert money(nano) == said


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2500, 1, 1)),  # noqa: DTZ001 - hypothesis wants them naive
    st.sampled_from(["day", "month"]),
)
def test_a_period_ends_where_the_next_one_begins(moment: datetime, period: Period) -> None:
    wall = moment.replace(tzinfo=UTC, microsecond=0).timestamp()
    number = index(period, wall)
    end = wall + seconds_left(period, number, wall)
    assert index(period, end) == number + 1
    assert index(period, end - 1) == number


async def test_memory_goes_on_from_what_was_spent() -> None:
    clocks = Clocks()
    spent = {"day": {"ada": 3, "bob": 2}, "month": {"ada": 20, "bob": 1}, "total": {"ada": 100}}
    store = MemoryStore(spent=spent, monotonic=clocks.monotonic, wall=clocks.wall)  # type: ignore[arg-type]
    assert [await store.spent("ada", period) for period in PERIODS] == [3, 20, 100]
    clocks.pass_by(timedelta(days=1).total_seconds())
    assert [await store.spent("ada", period) for period in PERIODS] == [0, 20, 100]
    assert [await store.spent("bob", period) for period in PERIODS] == [0, 1, 0]
    await store.settle(await store.reserve("ada", Limits(), Wanted(0, 5)), Used(0, 5))
    assert [await store.spent("ada", period) for period in PERIODS] == [5, 25, 105]
    clocks.pass_by(timedelta(days=10).total_seconds())
    assert await store.spent("eve", "month") == 0
    assert [await store.spent("bob", period) for period in PERIODS] == [0, 0, 0]


async def test_memory_minds_no_wall_clock_for_its_rates() -> None:
    clocks = Clocks()
    store = MemoryStore(monotonic=clocks.monotonic, wall=clocks.wall)
    one = Limits(requests_per_minute=1, concurrent_requests=1)
    reservation = await store.reserve("ada", one, Wanted(0, 0))
    before = await store.standing("ada", one)
    for seconds in (10**6, -3 * 10**6):
        clocks.jump(seconds)
        assert await store.standing("ada", one) == before
        assert await store.renew(reservation)

"""What holds for every store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from headrace.errors import BudgetSpent, InvalidRequest, RateLimited
from headrace.limits.budget import MAX_MONEY, PERIODS, Budget, Period
from headrace.limits.errors import NEVER_SECONDS, BudgetReached, LimitReached
from headrace.limits.model import Limits, LimitStore, Reservation, Used, Wanted
from headrace.limits.standing import Rate
from tests.limits.conftest import LEASE_SECONDS, Bench

NONE = Limits()
NOTHING = Used(0, 0)
UNIT = 10**9


async def admitted(store: LimitStore, limits: Limits, wanted: Wanted, times: int) -> list[Reservation]:
    """Of so many at once."""
    tries = [store.reserve("ada", limits, wanted) for _ in range(times)]
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert all(isinstance(one, Reservation | RateLimited) for one in found), found
    return [one for one in found if isinstance(one, Reservation)]


async def refused(bench: Bench, limits: Limits, wanted: Wanted) -> LimitReached | BudgetReached:
    with pytest.raises(RateLimited) as caught:
        await bench.store.reserve("ada", limits, wanted)
    assert isinstance(caught.value, LimitReached | BudgetReached)
    return caught.value


@pytest.mark.parametrize(
    ("limits", "fit"),
    [
        (Limits(requests_per_minute=7), 7),
        (Limits(tokens_per_minute=1000), 9),
        (Limits(tokens_per_minute=1110), 10),
        (Limits(concurrent_requests=5), 5),
        (Limits(budgets=(Budget(100, "day"),)), 14),
        (Limits(budgets=(Budget(97, "month"),)), 13),
        (Limits(budgets=(Budget(98, "total"),)), 14),
        (Limits(7, 1000, 8, (Budget(10_000, "day"), Budget(41, "total"))), 5),
        (Limits(0), 0),
        (NONE, 100),
    ],
    ids=str,
)
async def test_of_100_at_once_exactly_those_that_fit_are_admitted(bench: Bench, limits: Limits, fit: int) -> None:
    assert len(await admitted(bench.store, limits, Wanted(111, 7), 100)) == fit


async def test_a_request_takes_as_many_places_as_it_asks_for(bench: Bench) -> None:
    limits = Limits(concurrent_requests=8)
    three = Wanted(0, 0, places=3)
    first, second = await admitted(bench.store, limits, three, 4)
    assert "asked for 3, 6 run and the limit is 8; try again" in str(await refused(bench, limits, three))
    await bench.store.reserve("ada", limits, Wanted(0, 0, places=2))
    await refused(bench, limits, Wanted(0, 0))
    await bench.store.settle(first, NOTHING)
    await bench.store.settle(first, NOTHING)
    assert len(await admitted(bench.store, limits, Wanted(0, 0), 5)) == 3
    bench.clocks.pass_by(LEASE_SECONDS - 1)
    assert await bench.store.renew(second)
    bench.clocks.pass_by(2)  # the other leases end
    assert "asked for 6, 3 run" in str(await refused(bench, limits, Wanted(0, 0, places=6)))
    assert "asked for 9, 3 run and the limit is 8; it can never fit" in str(
        await refused(bench, limits, Wanted(0, 0, places=9))
    )
    await bench.store.settle(second, NOTHING)
    await bench.store.reserve("ada", limits, Wanted(0, 0, places=8))


@pytest.mark.parametrize("places", [0, -1, 10**6 + 1])
def test_a_request_wants_a_place_at_least(places: int) -> None:
    with pytest.raises(InvalidRequest, match=r"wanted\.places: must be from 1 to 1000000"):
        Wanted(0, 0, places)


async def test_a_look_tells_of_a_budget_that_is_below_what_is_taken(bench: Bench) -> None:
    await bench.store.reserve("ada", NONE, Wanted(0, 10))
    budgets = (Budget(9, "day"), Budget(10, "month"))
    standing = await bench.store.standing("ada", Limits(budgets=budgets))
    assert [(one.left, one.overdrawn) for one in standing.budgets] == [(0, True), (0, False)]


async def test_what_is_refused_takes_nothing(bench: Bench) -> None:
    limits = Limits(10, 100, 10, (Budget(100, "day"),))
    await refused(bench, limits, Wanted(50, 101))
    await refused(bench, limits, Wanted(101, 50))
    standing = await bench.store.standing("ada", limits)
    assert (standing.requests, standing.tokens) == (Rate(10, 10, 0.0), Rate(100, 100, 0.0))
    assert [one.left for one in standing.budgets] == [100]


async def test_tenants_do_not_share(bench: Bench) -> None:
    limits = Limits(1, 10, 1, (Budget(5, "total"),))
    for tenant in ("ada", "bob", "a}:b", "", "ünï", "ada:rate"):
        await bench.store.reserve(tenant, limits, Wanted(10, 5))
        with pytest.raises(RateLimited):
            await bench.store.reserve(tenant, limits, Wanted(0, 0))


async def test_a_settle_gives_the_rest_back_and_ends_the_lease(bench: Bench) -> None:
    limits = Limits(10, 100, 1, (Budget(100, "day"),))
    reservation = await bench.store.reserve("ada", limits, Wanted(90, 90))
    assert reservation.standing.tokens == Rate(100, 10, 61.0)
    assert reservation.standing.requests == Rate(10, 9, 61.0)
    assert [one.left for one in reservation.standing.budgets] == [10]
    await bench.store.settle(reservation, Used(20, 30))
    standing = await bench.store.standing("ada", limits)
    assert standing.tokens == Rate(100, 80, 61.0)
    assert [one.left for one in standing.budgets] == [70]
    assert await bench.store.spent("ada", "day") == 30
    await bench.store.reserve("ada", limits, Wanted(80, 70))


async def test_a_second_settle_changes_nothing(bench: Bench) -> None:
    limits = Limits(10, 100, 2, (Budget(100, "day"),))
    one, _other = [await bench.store.reserve("ada", limits, Wanted(50, 50)) for _ in range(2)]
    await bench.store.settle(one, Used(20, 20))
    standing = await bench.store.standing("ada", limits)
    await bench.store.settle(one, NOTHING)
    await bench.store.settle(one, Used(50, 50))
    assert await bench.store.standing("ada", limits) == standing
    assert await bench.store.spent("ada", "day") == 20


async def test_more_used_than_reserved_is_counted_and_nothing_gets_negative(bench: Bench) -> None:
    limits = Limits(10, 100, 2, (Budget(100, "day"),))
    reservation = await bench.store.reserve("ada", limits, Wanted(50, 50))
    await bench.store.settle(reservation, Used(150, 170))
    standing = await bench.store.standing("ada", limits)
    assert standing.tokens == Rate(100, 0, 61.0)
    assert [one.left for one in standing.budgets] == [0]
    assert await bench.store.spent("ada", "day") == 170
    assert "tokens_per_minute: asked for 1" in str(await refused(bench, Limits(None, 100), Wanted(1, 0)))
    assert "0 of 0.0000001 are left; the day ends" in str(await refused(bench, limits, Wanted(1, 0)))


def test_less_than_nothing_is_refused() -> None:
    for tokens, cost in ((-1, 0), (0, -1), (2**63, 0), (0, MAX_MONEY + 1)):
        with pytest.raises(InvalidRequest, match=r"used\.(tokens|cost): must be from 0"):
            Used(tokens, cost)
        with pytest.raises(InvalidRequest, match=r"wanted\.(tokens|cost): must be from 0"):
            Wanted(tokens, cost)


async def test_a_rate_is_back_when_its_second_has_left_the_window(bench: Bench) -> None:
    limits = Limits(tokens_per_minute=100)
    bench.clocks.pass_by(0.25)
    await bench.store.reserve("ada", limits, Wanted(60, 0))
    bench.clocks.pass_by(10)
    await bench.store.reserve("ada", limits, Wanted(40, 0))
    assert (await refused(bench, limits, Wanted(60, 0))).retry_after == pytest.approx(50.75)
    assert (await refused(bench, limits, Wanted(61, 0))).retry_after == pytest.approx(60.75)
    bench.clocks.pass_by(50.749)
    await refused(bench, limits, Wanted(1, 0))
    bench.clocks.pass_by(0.001)
    await refused(bench, limits, Wanted(61, 0))
    await bench.store.reserve("ada", limits, Wanted(60, 0))


async def test_after_the_wait_that_a_refusal_names_the_request_fits(bench: Bench) -> None:
    limits = Limits(3, 100)
    for seconds, tokens in ((0.3, 30), (7.1, 20), (13.9, 50)):
        bench.clocks.pass_by(seconds)
        await bench.store.reserve("ada", limits, Wanted(tokens, 0))
    for wanted in (Wanted(0, 0), Wanted(50, 0), Wanted(100, 0)):
        error = await refused(bench, limits, wanted)
        bench.clocks.pass_by(error.retry_after - 0.001)
        await refused(bench, limits, wanted)
        bench.clocks.pass_by(0.001)
        await bench.store.reserve("ada", limits, wanted)
        bench.clocks.pass_by(0.5)


async def test_a_settle_after_its_second_has_left_the_window_gives_no_tokens_back(bench: Bench) -> None:
    limits = Limits(tokens_per_minute=100)
    first = await bench.store.reserve("ada", limits, Wanted(100, 0))
    bench.clocks.pass_by(61)
    await bench.store.reserve("ada", limits, Wanted(100, 0))
    await bench.store.settle(first, NOTHING)
    await refused(bench, limits, Wanted(1, 0))


async def test_a_refusal_names_the_limit_what_was_asked_and_what_is_left(bench: Bench) -> None:
    budget = Budget(5 * UNIT, "day")
    await bench.store.reserve("ada", NONE, Wanted(900, 2 * UNIT))
    again = "are left; try again in 61.0 s"
    said = [
        (Limits(1), 61.0, f"requests_per_minute: asked for 1, 0 of 1 {again}"),
        (
            Limits(None, 1000),
            61.0,
            f"tokens_per_minute: asked for 200 (prompt and max_tokens), 100 of 1000 {again}",
        ),
        (
            Limits(None, None, 1),
            1.0,
            "concurrent_requests: asked for 1, 1 run and the limit is 1; try again in 1.0",
        ),
        (
            Limits(budgets=(budget,)),
            1.0,
            "budgets.day: the request may cost 3.5, 3 of 5 are left, 2 are held by running requests",
        ),
    ]
    for limits, seconds, message in said:
        error = await refused(bench, limits, Wanted(200, 35 * 10**8))
        assert message in str(error)
        assert error.retry_after == seconds
        assert isinstance(error, BudgetSpent) == bool(limits.budgets)
        assert error.standing == await bench.store.standing("ada", limits)


async def test_what_can_never_fit_says_so(bench: Bench) -> None:
    for limits in (Limits(tokens_per_minute=99), Limits(requests_per_minute=0), Limits(concurrent_requests=0),
                   Limits(budgets=(Budget(99, "day"),)), Limits(budgets=(Budget(99, "total"),))):  # fmt: skip
        error = await refused(bench, limits, Wanted(100, 100))
        assert "it can never fit, ask for less or for a higher limit" in str(error)
        assert error.retry_after == NEVER_SECONDS


async def test_of_several_reasons_the_longest_wait_is_named(bench: Bench) -> None:
    limits = Limits(1, None, 1, (Budget(10, "month"),))
    reservation = await bench.store.reserve("ada", limits, Wanted(0, 10))
    assert "requests_per_minute" in str(await refused(bench, limits, Wanted(0, 10)))
    await bench.store.settle(reservation, Used(0, 10))
    error = await refused(bench, limits, Wanted(0, 10))
    assert "budgets.month: the request may cost 0.00000001, 0 of 0.00000001 are left; the month ends" in str(error)
    assert error.retry_after == 3.5 * 86_400


async def test_a_total_that_is_spent_never_resets(bench: Bench) -> None:
    limits = Limits(budgets=(Budget(10, "total"),))
    await bench.store.settle(await bench.store.reserve("ada", limits, Wanted(0, 10)), Used(0, 4))
    bench.clocks.pass_by(400 * 86_400)
    error = await refused(bench, limits, Wanted(0, 7))
    assert "it never resets" in str(error)
    assert error.retry_after == NEVER_SECONDS
    assert [await bench.store.spent("ada", period) for period in PERIODS] == [0, 0, 4]


async def test_a_lease_that_ends_gives_place_and_money_back(bench: Bench) -> None:
    limits = Limits(concurrent_requests=1, budgets=(Budget(10, "total"),))
    await bench.store.reserve("ada", limits, Wanted(0, 10))
    bench.clocks.pass_by(LEASE_SECONDS - 0.001)
    await refused(bench, limits, Wanted(0, 10))
    bench.clocks.pass_by(0.001)
    await bench.store.reserve("ada", limits, Wanted(0, 10))


async def test_a_settle_after_the_lease_counts_once(bench: Bench) -> None:
    limits = Limits(concurrent_requests=1, budgets=(Budget(10, "total"),))
    late = await bench.store.reserve("ada", limits, Wanted(0, 10))
    bench.clocks.pass_by(LEASE_SECONDS)
    running = await bench.store.reserve("ada", limits, Wanted(0, 1))
    for _ in range(2):
        await bench.store.settle(late, Used(0, 6))
    assert await bench.store.spent("ada", "total") == 6
    assert [one.left for one in (await bench.store.standing("ada", limits)).budgets] == [3]
    await refused(bench, limits, Wanted(0, 0))  # the other one still has the place
    await bench.store.settle(running, Used(0, 1))
    assert await bench.store.spent("ada", "total") == 7


async def test_a_lease_that_is_renewed_goes_on(bench: Bench) -> None:
    limits = Limits(concurrent_requests=2)
    renewed, left = [await bench.store.reserve("ada", limits, Wanted(0, 0)) for _ in range(2)]
    bench.clocks.pass_by(LEASE_SECONDS - 1)
    assert await bench.store.renew(renewed)
    bench.clocks.pass_by(LEASE_SECONDS - 1)
    await bench.store.reserve("ada", limits, Wanted(0, 0))
    await refused(bench, limits, Wanted(0, 0))
    assert not await bench.store.renew(left)
    assert await bench.store.renew(renewed)
    await bench.store.settle(renewed, NOTHING)
    assert not await bench.store.renew(renewed)


async def test_money_counts_in_the_period_of_the_settle(bench: Bench) -> None:
    """And is held over the border until then."""
    limits = Limits(budgets=(Budget(10, "day"), Budget(100, "month")))
    bench.clocks.set(datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC))
    await bench.store.settle(await bench.store.reserve("ada", limits, Wanted(0, 3)), Used(0, 3))
    open_one = await bench.store.reserve("ada", limits, Wanted(0, 7))
    bench.clocks.pass_by(1)
    assert [one.left for one in (await bench.store.standing("ada", limits)).budgets] == [3, 93]
    await refused(bench, limits, Wanted(0, 4))
    await bench.store.settle(open_one, Used(0, 5))
    assert [await bench.store.spent("ada", period) for period in PERIODS] == [5, 5, 8]
    await bench.store.reserve("ada", limits, Wanted(0, 5))


@pytest.mark.parametrize(
    ("period", "last", "seconds"),
    [
        ("day", datetime(2027, 12, 31, 6, tzinfo=UTC), 18 * 3600),
        ("month", datetime(2027, 12, 31, 6, tzinfo=UTC), 18 * 3600),
        ("month", datetime(2028, 2, 28, 23, 59, 50, tzinfo=UTC), 86_410),
        ("month", datetime(2100, 2, 28, 23, 59, 50, tzinfo=UTC), 10),
    ],
)
async def test_a_budget_is_there_again_when_its_period_ends(
    bench: Bench, period: Period, last: datetime, seconds: float
) -> None:
    limits = Limits(budgets=(Budget(10, period),))
    bench.clocks.set(last)
    await spend(bench, limits, 10)
    error = await refused(bench, limits, Wanted(0, 1))
    assert error.retry_after == seconds
    bench.clocks.pass_by(seconds - 0.001)
    await refused(bench, limits, Wanted(0, 1))
    bench.clocks.pass_by(0.001)
    await spend(bench, limits, 10)


async def test_a_clock_that_steps_back_over_midnight_gives_no_budget_back(bench: Bench) -> None:
    limits = Limits(budgets=(Budget(10, "day"),))
    for _ in range(2):
        await spend(bench, limits, 6)
        bench.clocks.pass_by(86_400)
    await spend(bench, limits, 9)
    for _ in range(3):
        bench.clocks.jump(-13 * 3600)
        await refused(bench, limits, Wanted(0, 2))
        bench.clocks.jump(13 * 3600)
        await refused(bench, limits, Wanted(0, 2))
    assert await bench.store.spent("ada", "day") == 9


async def test_a_clock_that_was_years_ahead_neither_gives_budgets_back_nor_locks_out(bench: Bench) -> None:
    limits = Limits(budgets=(Budget(10, "day"), Budget(100, "month")))
    years = 73 * 365 * 86_400
    await spend(bench, limits, 6)
    bench.clocks.jump(years)
    await spend(bench, limits, 3)
    bench.clocks.jump(-years)
    assert [await bench.store.spent("ada", period) for period in PERIODS] == [9, 9, 9]
    await refused(bench, limits, Wanted(0, 2))
    bench.clocks.pass_by(86_400)
    await spend(bench, limits, 10)
    assert [await bench.store.spent("ada", period) for period in PERIODS] == [10, 19, 19]


async def test_money_beyond_2_to_the_53_is_exact(bench: Bench) -> None:
    amount = 2**60 + 1
    limits = Limits(budgets=(Budget(amount, "total"),))
    await spend(bench, limits, 2**60 - 10)
    held = await bench.store.reserve("ada", limits, Wanted(0, 4))
    error = await refused(bench, limits, Wanted(0, 8))
    assert "0.000000007 of 1152921504.606846977 are left" in str(error)
    await bench.store.settle(await bench.store.reserve("ada", limits, Wanted(0, 7)), Used(0, 7))
    await refused(bench, limits, Wanted(0, 1))
    await bench.store.settle(held, Used(0, 3))
    await bench.store.settle(await bench.store.reserve("ada", limits, Wanted(0, 1)), Used(0, 1))
    assert await bench.store.spent("ada", "total") == amount


async def spend(bench: Bench, limits: Limits, cost: int) -> None:
    await bench.store.settle(await bench.store.reserve("ada", limits, Wanted(0, cost)), Used(0, cost))

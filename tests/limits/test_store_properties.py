"""Any sequence of calls, on both stores, against an oracle that works everything out anew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.errors import RateLimited
from headrace.limits.budget import PERIODS, Budget
from headrace.limits.memory import MemoryStore
from headrace.limits.model import Limits, LimitStore, Reservation, Used, Wanted
from headrace.limits.redis_store import RedisStore
from tests.limits.clocks import Clocks, for_redis
from tests.limits.oracle import MICROSECONDS, Oracle
from tests.limits.redis_server import RedisServer

LEASE_SECONDS = 45
TENANT = "ada"


def limit(most: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(0, most)


LIMITS = st.builds(
    Limits,
    limit(6),
    limit(200),
    limit(4),
    st.lists(
        st.builds(Budget, st.integers(0, 200) | st.just(2**60), st.sampled_from(PERIODS)),
        max_size=3,
        unique_by=lambda budget: budget.period,
    ).map(tuple),
)
COUNT = st.integers(0, 70)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), COUNT, COUNT | st.just(2**59 + 1), st.just(1)),
        st.tuples(st.just("reserve"), COUNT, COUNT, st.integers(1, 3)),
        st.tuples(st.just("settle"), st.integers(0, 5), st.integers(0, 90), st.integers(0, 90)),
        st.tuples(st.just("renew"), st.integers(0, 5)),
        st.tuples(st.just("pass"), st.sampled_from([1, 400, 999, 1000, 7_300, 29_999, 45_000, 60_000, 61_000])),
        st.tuples(st.just("pass"), st.integers(1, 3_000)),
        st.tuples(st.just("pass"), st.sampled_from([12 * 3_600_000, 25 * 3_600_000])),
        st.tuples(st.just("look")),
    ),
    min_size=10,
    max_size=60,
)


async def run(store: LimitStore, clocks: Clocks, limits: Limits, steps: list[Any]) -> None:
    oracle = Oracle(limits, LEASE_SECONDS * MICROSECONDS)
    reservations: list[Reservation] = []
    for step in _within_a_week(steps):
        now, wall = round(clocks.monotonic() * MICROSECONDS), clocks.wall()
        match step:
            case ("reserve", tokens, cost, places):
                wanted = Wanted(tokens, cost, places)
                fits = oracle.fits(wanted, now, wall)
                try:
                    reservation = await store.reserve(TENANT, limits, wanted)
                except RateLimited as error:
                    assert not fits, f"refused: {error}"
                    assert error.retry_after > 0
                else:
                    assert fits, "admitted"
                    oracle.admit(wanted, now)
                    reservations.append(reservation)
            case ("settle", back, tokens, cost) if back < len(reservations):
                used = Used(tokens, cost)
                await store.settle(reservations[-1 - back], used)
                oracle.settle(len(reservations) - 1 - back, used, now, wall)
            case ("renew", back) if back < len(reservations):
                renewed = await store.renew(reservations[-1 - back])
                assert renewed == oracle.renew(len(reservations) - 1 - back, now)
            case ("pass", milliseconds):
                clocks.pass_by(milliseconds / 1000)
            case _:
                await same(store, oracle, now, wall)
    await settled_counts_equal(store, clocks, oracle, reservations)


def _within_a_week(steps: list[Any]) -> list[Any]:
    """Later than that a settle after its lease does not count any more."""
    passed, kept = 0, []
    for step in steps:
        passed += step[1] if step[0] == "pass" else 0
        if step[0] != "pass" or passed < 6 * 86_400_000:
            kept.append(step)
    return kept


async def same(store: LimitStore, oracle: Oracle, now: int, wall: float) -> None:
    """What the store says is what the oracle says, and nothing is negative."""
    everything = Limits(10**9, 10**9, None, ())
    standing = await store.standing(TENANT, everything)
    assert standing.requests is not None
    assert standing.tokens is not None
    requests, tokens = oracle.window(now)
    assert (10**9 - standing.requests.remaining, 10**9 - standing.tokens.remaining) == (requests, tokens)
    assert min(requests, tokens) >= 0
    for period in PERIODS:
        assert await store.spent(TENANT, period) == oracle.spent_in(period, wall)


async def settled_counts_equal(
    store: LimitStore, clocks: Clocks, oracle: Oracle, reservations: list[Reservation]
) -> None:
    """Once all is settled, what counts is what was used, and nothing is held."""
    now, wall = round(clocks.monotonic() * MICROSECONDS), clocks.wall()
    for place, reservation in enumerate(reservations):
        await store.settle(reservation, Used(1, 2))
        oracle.settle(place, Used(1, 2), now, wall)
    await same(store, oracle, now, wall)
    amount = 2**61
    left = (await store.standing(TENANT, Limits(budgets=(Budget(amount, "total"),)))).budgets[0].left
    assert left == amount - oracle.spent_in("total", wall)
    await store.reserve(TENANT, Limits(concurrent_requests=1), Wanted(0, 0))
    no_minute_was_over_a_limit(oracle)


def no_minute_was_over_a_limit(oracle: Oracle) -> None:
    if oracle.extra:
        return  # what was used beyond a reservation may pass a limit
    requests, tokens = oracle.most_in_a_minute()
    limits = oracle.limits
    assert limits.requests_per_minute is None or requests <= limits.requests_per_minute
    assert limits.tokens_per_minute is None or tokens <= limits.tokens_per_minute


@settings(max_examples=1000)
@given(LIMITS, STEPS)
def test_memory_does_as_the_oracle_says(limits: Limits, steps: list[Any]) -> None:
    clocks = Clocks()
    store = MemoryStore(LEASE_SECONDS, monotonic=clocks.monotonic, wall=clocks.wall)
    asyncio.run(run(store, clocks, limits, steps))


@pytest.mark.usefixtures("fake_time")
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LIMITS, STEPS)
def test_redis_does_as_the_oracle_says(redis_server: RedisServer, limits: Limits, steps: list[Any]) -> None:
    async def test() -> None:
        with redis_server.client() as client:
            client.flushdb()
            clocks = for_redis(client)
            store = RedisStore(redis_server.url, 20.0, lease_seconds=LEASE_SECONDS, monotonic=clocks.monotonic)
            try:
                await run(store, clocks, limits, steps)
            finally:
                await store.close()

    asyncio.run(test())

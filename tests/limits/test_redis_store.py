"""What only holds for Redis: several gateways, its clock, and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.errors import RateLimited
from headrace.limits.budget import Budget, index
from headrace.limits.model import Limits, Reservation, Used, Wanted
from headrace.limits.redis_clock import RedisClock
from headrace.limits.redis_scripts import RedisScripts
from headrace.limits.redis_store import KEEP_SECONDS, RedisStore, _taken
from headrace.limits.standing import UNKNOWN
from tests.limits.clocks import NOON, for_redis
from tests.limits.gateway_process import FIT
from tests.limits.redis_server import RedisServer

ONE = Limits(requests_per_minute=1)
SMALL = Wanted(1, 1)
YEAR = 365 * 86_400
PROJECT = Path(__file__).parents[2]


@pytest.fixture
async def store(empty_redis: RedisServer) -> AsyncIterator[RedisStore]:
    store = RedisStore(empty_redis.url, 20.0)
    yield store
    await store.close()


async def test_several_gateways_together_admit_exactly_what_fits(empty_redis: RedisServer) -> None:
    gateways = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.limits.gateway_process", empty_redis.url, "25",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=PROJECT,
        )
        for _ in range(4)
    ]  # fmt: skip
    for gateway in gateways:
        assert gateway.stdout is not None
        assert await gateway.stdout.readline() == b"ready\n"
    said = await asyncio.gather(*(gateway.communicate(b"go\n") for gateway in gateways))
    counts = [json.loads(out) for out, _ in said]
    assert {tenant: sum(count[tenant] for count in counts) for tenant in FIT} == FIT
    assert sum(1 for count in counts if any(count.values())) > 1, "only one gateway was there in time"


async def test_scripts_that_were_flushed_are_sent_again(store: RedisStore, empty_redis: RedisServer) -> None:
    with empty_redis.client() as client:
        client.script_flush()
        reservation = await store.reserve("ada", ONE, SMALL)
        client.script_flush()
        assert await store.renew(reservation)
        client.script_flush()
        await store.settle(reservation, Used(1, 1))
        client.script_flush()
        assert await store.spent("ada", "day") == 1
        loaded = client.script_exists(*store._scripts._shas.values())
    assert loaded.count(True) == 1, "what was sent whole is not known by its hash"


async def test_a_reserve_that_comes_twice_is_one(store: RedisStore) -> None:
    limits = Limits(10, 100, 10, (Budget(100, "day"),))
    same = ("ada", "0a" * 16, 10**8, 5, 7, 1, 10, 100, 10, 100, "", "")
    replies = [await store._scripts.run("reserve", *same) for _ in range(2)]
    assert [reply[0] for reply in replies] == [1, 1]
    assert replies[0][2] == replies[1][2]
    standing = await store.standing("ada", limits)
    assert standing.requests is not None
    assert standing.tokens is not None
    left = (standing.requests.remaining, standing.tokens.remaining, standing.budgets[0].left)
    assert left == (9, 95, 93)


async def test_a_reserve_that_its_settle_has_overtaken_holds_nothing(store: RedisStore) -> None:
    limits = Limits(concurrent_requests=1, budgets=(Budget(5, "day"),))
    await store.settle(Reservation("0a" * 16, "ada", Wanted(5, 5), UNKNOWN, counted=False), Used(0, 0))
    await store._scripts.run("reserve", "ada", "0a" * 16, 10**8, 5, 5, "", "", 1, 5, "", "")
    await store.reserve("ada", limits, Wanted(5, 5))


async def test_nothing_stays_for_ever_but_what_was_spent(store: RedisStore, empty_redis: RedisServer) -> None:
    limits = Limits(10, 100, 10, (Budget(100, "total"),))
    await store.settle(await store.reserve("ada", limits, SMALL), Used(1, 1))
    await store.reserve("ada", limits, SMALL)
    await store.settle(await store.reserve("bob", limits, SMALL), Used(1, 0))
    with pytest.raises(RateLimited):
        await store.reserve("eve", Limits(0), SMALL)
    with empty_redis.client() as client:
        keys = set(client.scan_iter())
        for_ever = {key for key in keys if client.ttl(key) == -1}
        expiring = [client.ttl(key) for key in keys - for_ever]
    assert for_ever == {"headrace:limits:{ada}:spent"}
    assert "headrace:limits:{ada}:rate" in keys
    assert all(KEEP_SECONDS - 60 < ttl <= KEEP_SECONDS for ttl in expiring)


async def test_a_tenant_leaves_no_more_than_its_window(empty_redis: RedisServer, fake_time: None) -> None:
    """After many requests over a long time."""
    with empty_redis.client() as client:
        clocks = for_redis(client)
        store = RedisStore(empty_redis.url, 20.0, lease_seconds=1, monotonic=clocks.monotonic)
        for number in range(300):
            reservation = await store.reserve("ada", Limits(), SMALL)
            clocks.pass_by(1.5)
            if number % 2:
                await store.settle(reservation, Used(1, 1))
        rate, held, late = (client.hlen(_key("rate")), client.hlen(_key("held")), client.zcard(_key("late")))
        assert (rate <= 2 * 61 + 7, held, late) == (True, 1, 150)
        await store.reserve("ada", Limits(), SMALL)
        clocks.pass_by(2 * KEEP_SECONDS)
        await store.reserve("ada", Limits(), SMALL)
        assert (client.zcard(_key("late")), client.hlen(_key("rate"))) == (1, 9)
        await store.close()


async def test_the_calendar_is_the_one_of_python(empty_redis: RedisServer, fake_time: None) -> None:
    with empty_redis.client() as client:
        clocks = for_redis(client)
        scripts = RedisScripts(empty_redis.url, 20.0, "", 1000.0, clocks.monotonic)
        moment = datetime(1996, 2, 27, tzinfo=UTC)
        while moment.year < 2110:
            for shown in (moment - timedelta(seconds=1), moment):
                clocks.set(shown)
                taken = _taken(await scripts.run("look", "ada"))
                wall = shown.timestamp()
                assert taken.periods == {"day": index("day", wall), "month": index("month", wall)}, shown
            step = 1 if moment.month in {2, 3, 12} and moment.year % 100 in {99, 0, 1, 4} else 29
            moment += timedelta(days=step)
        await scripts.close()


class TestClockJumps:
    """Redis' clock is set; that of the gateways goes on."""

    @pytest.fixture
    async def two(self, empty_redis: RedisServer, fake_time: None) -> AsyncIterator[tuple[RedisStore, RedisStore]]:
        with empty_redis.client() as client:
            self.clocks = for_redis(client)
            stores = [
                RedisStore(empty_redis.url, 20.0, lease_seconds=100, monotonic=self.clocks.monotonic)
                for _ in range(2)
            ]
            yield stores[0], stores[1]
            for store in stores:
                await store.close()

    @pytest.mark.parametrize("seconds", [-YEAR, -3600, -30, -1, 2, 30, 3600, 100 * YEAR])
    async def test_a_jump_neither_empties_the_window_nor_keeps_it_full(
        self, two: tuple[RedisStore, RedisStore], seconds: float
    ) -> None:
        store, _ = two
        await store.reserve("ada", ONE, SMALL)
        self.clocks.pass_by(10)
        self.clocks.jump(seconds)
        await refused(store)
        self.clocks.pass_by(49)
        await refused(store)
        self.clocks.pass_by(13 if seconds > 0 else 12 + 10)  # how long it was before a step back nobody knows
        await store.reserve("ada", ONE, SMALL)

    async def test_a_jump_that_was_seen_with_another_tenant_counts_for_all(
        self, two: tuple[RedisStore, RedisStore]
    ) -> None:
        for store in two:
            await store.reserve("ada", ONE, SMALL) if store is two[0] else await store.check()
        self.clocks.jump(3600)
        for store in two:
            await store.standing("bob", ONE)
        self.clocks.pass_by(1)
        for store in two:
            await refused(store)
        self.clocks.pass_by(60)
        await two[1].reserve("ada", ONE, SMALL)

    async def test_a_jump_is_left_out_once_whoever_calls(self, two: tuple[RedisStore, RedisStore]) -> None:
        """Else the clock of the tenant would stand still between two gateways."""
        for store in two:
            await store.check()
        await two[0].reserve("ada", ONE, SMALL)
        self.clocks.jump(3600)
        for _ in range(10):
            for store in two:
                self.clocks.pass_by(3)
                await refused(store)
        self.clocks.pass_by(1)
        await two[0].reserve("ada", ONE, SMALL)

    async def test_there_and_back_again(self, two: tuple[RedisStore, RedisStore]) -> None:
        store, _ = two
        await store.reserve("ada", ONE, SMALL)
        for _ in range(5):
            self.clocks.jump(YEAR)
            await refused(store)
            self.clocks.jump(-YEAR)
            await refused(store)
        self.clocks.pass_by(61)
        await store.reserve("ada", ONE, SMALL)

    async def test_a_jump_that_was_undone_is_forgotten(self, two: tuple[RedisStore, RedisStore]) -> None:
        store, _ = two
        await store.reserve("ada", ONE, SMALL)
        for seconds in (40, -40):
            self.clocks.jump(seconds)
            await store.standing("bob", ONE)
        self.clocks.pass_by(61)
        await store.reserve("ada", ONE, SMALL)

    async def test_leases_neither_end_early_nor_stay(self, two: tuple[RedisStore, RedisStore]) -> None:
        store, _ = two
        place = Limits(concurrent_requests=1)
        for seconds in (YEAR, -YEAR):
            await store.reserve("ada", place, SMALL)
            self.clocks.jump(seconds)
            with pytest.raises(RateLimited):
                await store.reserve("ada", place, SMALL)
            self.clocks.pass_by(100)
            await store.settle(await store.reserve("ada", place, SMALL), Used(0, 0))

    async def test_slow_answers_are_no_jumps(self, two: tuple[RedisStore, RedisStore]) -> None:
        clock = RedisClock()
        reading = NOON * 1_000_000
        clock.saw(reading, asked=0, now=5_000_000)
        clock.saw(reading + 9_000_000, asked=1_000_000, now=9_000_000)
        assert clock.jumps == ""
        clock.saw(reading + 12_000_001, asked=9_000_000, now=10_000_000)
        assert clock.jumps == ""
        clock.saw(reading + 14_100_000, asked=10_000_000, now=10_000_000)
        assert clock.jumps == f"{reading + 13_000_001}-{reading + 14_100_000}"


async def refused(store: RedisStore) -> None:
    with pytest.raises(RateLimited):
        await store.reserve("ada", ONE, SMALL)


def _key(name: str) -> str:
    return f"headrace:limits:{{ada}}:{name}"

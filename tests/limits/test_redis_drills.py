"""Redis killed, frozen, broken and returning. The server is real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace.limits.budget import Budget
from headrace.limits.errors import LimitsUnavailable, StoreRefused, TenantRefused, Unanswered
from headrace.limits.model import Limits, Reservation, Used, Wanted
from headrace.limits.outage import FAILURES
from headrace.limits.redis_scripts import MOST_CONNECTIONS, NEEDED
from headrace.limits.redis_store import RedisStore
from headrace.limits.standing import UNKNOWN
from tests.limits.proxy import Proxy
from tests.limits.redis_server import RedisServer

SECONDS = 20.0
LIMITS = Limits(10, 100, 2, (Budget(100, "total"),))
TEN = Wanted(10, 10)


class Counts:
    """An observer."""

    def __init__(self) -> None:
        self.failed = 0
        self.uncounted = 0
        self.dropped: list[tuple[str, Used]] = []

    def store_failed(self) -> None:
        self.failed += 1

    def admitted_uncounted(self) -> None:
        self.uncounted += 1

    def settle_dropped(self, reservation: Reservation, used: Used) -> None:
        self.dropped.append((reservation.id, used))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.thaw()
    server.kill()


@pytest.fixture
async def stores(server: RedisServer) -> AsyncIterator[Callable[..., RedisStore]]:
    made: list[RedisStore] = []

    def make(**options: Any) -> RedisStore:
        usual: dict[str, Any] = {"url": server.url, "time_limit": SECONDS}
        made.append(RedisStore(**(usual | options)))
        return made[-1]

    yield make
    for store in made:
        await store.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


def events(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [entry["event"] for entry in logs]


async def test_a_frozen_redis_is_refused_in_time(server: RedisServer, stores: Callable[..., RedisStore]) -> None:
    store = stores(time_limit=0.3)
    await store.check()
    server.freeze()
    began = time.monotonic()
    with pytest.raises(Unanswered, match="limits cannot be checked: Redis did not answer within 300 ms") as caught:
        await store.reserve("ada", LIMITS, TEN)
    assert time.monotonic() - began < 2
    assert caught.value.retry_after == 1.0
    assert caught.value.http_status == 503
    server.thaw()
    await until(lambda: store.unsettled == 0)
    standing = await store.standing("ada", LIMITS)
    assert standing.budgets[0].left == 100, "what may have been reserved is released"


async def test_a_paused_redis_goes_on_as_if_nothing_was(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    store = stores(time_limit=0.3)
    reservation = await store.reserve("ada", LIMITS, TEN)
    with server.client() as client:
        client.client_pause(60_000, all=False)
        await store.settle(reservation, Used(5, 5))
        assert store.unsettled == 1
        client.client_unpause()
    await until(lambda: store.unsettled == 0)
    assert await store.spent("ada", "total") == 5, "the first try and the second are one settle"


async def test_open_lets_in_and_counts_the_money_later(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    counts = Counts()
    store = stores(on_error="open", observer=counts)
    await store.check()
    server.kill()
    with structlog.testing.capture_logs() as logs:
        reservations = [await store.reserve("ada", LIMITS, TEN) for _ in range(50)]
        assert (reservations[0].counted, reservations[0].standing) == (False, UNKNOWN)
        assert counts.uncounted == 50
        assert await store.renew(reservations[0])
        for reservation in reservations:
            await store.settle(reservation, Used(7, 7))
        assert store.unsettled == 50
        server.start()
        await until(lambda: store.unsettled == 0)
        assert await store.spent("ada", "total") == 350
        for reservation in reservations:
            await store.settle(reservation, Used(7, 7))
        assert await store.spent("ada", "total") == 350
    assert events(logs) == ["the store of the limits fails", "the store of the limits answers again"]
    assert logs[0]["on_error"] == "open"


async def test_a_settle_outlives_a_redis_that_lost_everything(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    store = stores()
    one, other = [await store.reserve("ada", LIMITS, TEN) for _ in range(2)]
    server.kill()
    await store.settle(one, Used(6, 6))
    server.start()
    await until(lambda: store.unsettled == 0)
    for _ in range(2):
        await store.settle(one, Used(6, 6))
        await store.settle(other, Used(1, 1))
    assert await store.spent("ada", "total") == 7
    fresh = await store.reserve("ada", LIMITS, TEN)
    for _ in range(2):
        await store.settle(other, Used(1, 1))
        await store.settle(fresh, Used(2, 2))
    assert await store.spent("ada", "total") == 9


async def test_a_redis_that_came_back_between_two_calls_is_not_an_error(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    store = stores()
    for _ in range(3):
        assert (await store.reserve("ada", Limits(requests_per_minute=1), TEN)).counted
        server.kill()
        server.start()


async def test_lost_answers_change_nothing(server: RedisServer, stores: Callable[..., RedisStore]) -> None:
    proxy = Proxy(server.port)
    async with proxy.running() as url:
        closed, open_ = stores(url=url, time_limit=0.3), stores(url=url, time_limit=0.3, on_error="open")
        running = await closed.reserve("ada", LIMITS, TEN)
        await open_.check()
        proxy.loses_answers = True
        with pytest.raises(Unanswered):
            await closed.reserve("ada", LIMITS, TEN)
        await until(lambda: proxy.lost > 0)  # it is reserved all the same
        await closed.settle(running, Used(3, 3))
        let_in = await open_.reserve("bob", LIMITS, TEN)
        await open_.settle(let_in, Used(4, 4))
        proxy.loses_answers = False
        await until(lambda: closed.unsettled == open_.unsettled == 0)
        for tenant, spent in (("ada", 3), ("bob", 4)):
            assert await closed.spent(tenant, "total") == spent
            assert (await closed.standing(tenant, LIMITS)).budgets[0].left == 100 - spent
            await closed.reserve(tenant, Limits(concurrent_requests=1), TEN)


async def test_in_an_outage_nobody_waits_but_one_a_second(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    counts = Counts()
    store = stores(on_error="open", observer=counts, time_limit=0.1)
    await store.check()
    server.freeze()
    began = time.monotonic()
    for _ in range(1000):
        await store.reserve("ada", Limits(), TEN)
    assert counts.failed == 1000
    assert time.monotonic() - began < 10, "100 s if each one waited"
    server.thaw()
    await asyncio.sleep(1.0)
    assert (await store.reserve("ada", Limits(), TEN)).counted


async def test_an_outage_under_load_leaks_no_connection(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    store = stores(time_limit=0.5, on_error="open")
    pool = store._scripts._redis.connection_pool
    await asyncio.gather(*(store.reserve("ada", Limits(), TEN) for _ in range(MOST_CONNECTIONS)))
    for _ in range(3):
        server.freeze()
        let_in = await asyncio.gather(*(store.reserve("ada", Limits(), TEN) for _ in range(500)))
        assert not any(one.counted for one in let_in)
        server.thaw()
        assert not pool._in_use_connections
        await store._send_settle(let_in[0], Used(0, 0))  # finds out that it is back
    assert (await store.reserve("ada", Limits(), TEN)).counted


async def test_what_a_client_leaves_behind_is_released(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    store = stores()
    running = await store.reserve("ada", LIMITS, TEN)
    server.freeze()
    leaving = [
        asyncio.create_task(store.reserve("ada", LIMITS, TEN)),
        asyncio.create_task(store.settle(running, Used(3, 3))),
    ]
    await asyncio.sleep(0.05)
    for task in leaving:
        task.cancel()
    assert all(isinstance(one, asyncio.CancelledError) for one in await gathered(leaving))
    server.thaw()
    await until(lambda: store.unsettled == 0)
    assert await store.spent("ada", "total") == 3
    await store.reserve("ada", Limits(concurrent_requests=1, budgets=(Budget(100, "total"),)), Wanted(0, 97))


async def gathered(tasks: Sequence[asyncio.Task[Any]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_at_the_bound_settles_are_dropped_and_said(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    counts = Counts()
    store = stores(observer=counts, most_unsettled=3)
    reservations = [await store.reserve("ada", Limits(), TEN) for _ in range(5)]
    server.kill()
    with structlog.testing.capture_logs() as logs:
        for reservation in reservations:
            await store.settle(reservation, Used(4, 4))
        assert store.unsettled == 3
        assert counts.dropped == [(one.id, Used(4, 4)) for one in reservations[3:]]
        server.start()
        await until(lambda: "settles were dropped" in events(logs))
    assert await store.spent("ada", "total") == 12
    assert events(logs).count("too many settles wait for the store; further ones are dropped") == 1
    assert [entry["settles"] for entry in logs if entry["event"] == "settles were dropped"] == [2]


async def test_a_settle_that_is_refused_does_not_hold_up_others(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    store = stores(time_limit=0.3)
    tenants = [*["ada"] * 50, "bob", "eve"]
    reservations = [await store.reserve(tenant, Limits(), TEN) for tenant in tenants]
    with server.client() as client:
        spoilt = "headrace:limits:{ada}:spent"
        client.set(spoilt, "not ours")
        client.client_pause(60_000, all=False)
        for reservation in reservations:
            await store.settle(reservation, Used(5, 5))
        client.client_unpause()
        await until(lambda: store.unsettled == 50)
        assert [await store.spent(tenant, "total") for tenant in ("bob", "eve")] == [5, 5]
        client.delete(spoilt)
    await until(lambda: store.unsettled == 0)
    assert await store.spent("ada", "total") == 250


async def test_closing_sends_what_waits_or_says_what_is_lost(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    counts = Counts()
    for back in (True, False):
        store = stores(observer=counts, time_limit=0.3)
        reservation = await store.reserve("ada", Limits(), TEN)
        server.freeze()
        await store.settle(reservation, Used(4, 4 * 10**9))
        server.thaw()
        if not back:
            server.kill()
        with structlog.testing.capture_logs() as logs:
            await store.close()
        lost = [entry for entry in logs if entry["event"] == "settles did not reach the store"]
        assert [(entry["settles"], entry["cost"]) for entry in lost] == ([] if back else [(1, "4")])
        assert len(counts.dropped) == (0 if back else 1)
        if back:
            assert await stores().spent("ada", "total") == 4 * 10**9


@pytest.mark.parametrize("key", ["rate", "leases", "held", "late", "done", "spent"])
async def test_a_key_of_the_wrong_type_is_named_and_concerns_one_tenant(
    server: RedisServer, stores: Callable[..., RedisStore], key: str
) -> None:
    closed, open_ = stores(), stores(on_error="open")
    with server.client() as client, structlog.testing.capture_logs() as logs:
        client.set(f"headrace:limits:{{ada}}:{key}", "not ours")
        keys = set(client.keys())
        for _ in range(2 * FAILURES):
            with pytest.raises(TenantRefused, match=r"headrace:limits:\{ada\}:\* \(WRONGTYPE.*delete them"):
                await closed.reserve("ada", LIMITS, TEN)
            assert not (await open_.reserve("ada", LIMITS, TEN)).counted
        assert (closed.unsettled, set(client.keys())) == (0, keys), "nothing was done"
        await closed.reserve("bob", LIMITS, TEN)
        assert (await open_.reserve("bob", LIMITS, TEN)).counted
        client.delete(f"headrace:limits:{{ada}}:{key}")
        await closed.reserve("ada", LIMITS, TEN)
    assert events(logs) == ["the store of the limits refuses a tenant"] * 2


async def test_a_replica_is_refused(server: RedisServer, stores: Callable[..., RedisStore]) -> None:
    store = stores()
    with server.client() as client:
        client.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreRefused, match=r"read-only replica .*give the address of the primary"):
            await store.reserve("ada", LIMITS, TEN)
        assert store.unsettled == 0
        client.replicaof("NO", "ONE")
    await store.reserve("ada", LIMITS, TEN)


async def test_who_may_not_is_told_so_without_the_password(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    with server.client() as client:
        client.acl_setuser("mia", enabled=True, passwords=["+sesame"], keys="*", commands=["+@all", "-evalsha"])
        client.config_set("requirepass", "opensesame")
    urls = [
        (server.url, "does not let us in .*check user and password"),
        (server.url.replace("//", "//:sesam@"), "does not let us in .*check user and password"),
        (
            server.url.replace("//", "//mia:sesame@"),
            r"does not allow it .*evalsha.*; its user needs \+hello \+eval ",
        ),
    ]
    for url, said in urls:
        with structlog.testing.capture_logs() as logs, pytest.raises(StoreRefused, match=said) as caught:
            await stores(url=url).reserve("ada", LIMITS, TEN)
        assert "sesam" not in f"{caught.value} {logs}"
    await stores(url=server.url.replace("//", "//:opensesame@")).reserve("ada", LIMITS, TEN)


async def test_a_user_that_may_do_no_more_than_is_needed_will_do(
    server: RedisServer, stores: Callable[..., RedisStore]
) -> None:
    with server.client() as client:
        client.acl_setuser(
            "tia", enabled=True, passwords=["+sesame"], keys="headrace:limits:*", commands=NEEDED.split()
        )
    store = stores(url=server.url.replace("//", "//tia:sesame@"))
    reservation = await store.reserve("ada", LIMITS, TEN)
    assert await store.renew(reservation)
    await store.settle(reservation, Used(3, 3))
    late = Reservation("0a" * 16, "ada", TEN, UNKNOWN, counted=False)
    await store.settle(late, Used(3, 3))
    assert (await store.spent("ada", "total"), store.unsettled) == (6, 0)


async def test_no_redis_is_said_at_once(stores: Callable[..., RedisStore]) -> None:
    store = stores(url="redis://:sesame@127.0.0.1:1/0")
    with pytest.raises(LimitsUnavailable, match="Redis cannot be reached") as caught:
        await store.check()
    assert "sesame" not in str(caught.value)
    with pytest.raises(LimitsUnavailable, match="cannot be reached"):
        await store.spent("ada", "total")


async def test_a_full_redis_is_said(server: RedisServer, stores: Callable[..., RedisStore]) -> None:
    store = stores()
    with server.client() as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(StoreRefused, match=r"out of memory .*raise its maxmemory"):
            await store.reserve("ada", LIMITS, TEN)

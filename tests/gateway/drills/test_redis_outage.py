"""Redis killed, frozen, flushed, spoilt and back, through the whole gateway: as configured, in time, told once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.limits.redis_store import RedisStore
from tests.fake_triton import serving
from tests.gateway.drills.clients import Clients, Got
from tests.gateway.drills.held_triton import HeldTriton
from tests.gateway.drills.lone_gateway import SECONDS, LoneGateway
from tests.gateway.drills.waiting import until
from tests.limits.redis_server import RedisServer

TENANTS: dict[str, dict[str, Any]] = {
    name: {"budgets": [{"amount": "10", "period": "month"}]} for name in ("acme", "beta")
}
TIME_LIMIT = 0.25
FAILS, BACK = "the store of the limits fails", "the store of the limits answers again"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.thaw()
    server.kill()


@pytest.fixture
async def triton() -> AsyncIterator[tuple[HeldTriton, str]]:
    triton = HeldTriton()
    async with serving(triton) as address:
        yield triton, address


def gateway_before(folder: Path, address: str, redis: RedisServer, on_error: str) -> LoneGateway:
    settings = {
        "HEADRACE_REDIS_URL": redis.url,
        "HEADRACE_LIMIT_STORE__STORE": "redis",
        "HEADRACE_LIMIT_STORE__ON_ERROR": on_error,
        "HEADRACE_LIMIT_STORE__TIME_LIMIT_MS": str(1000 * TIME_LIMIT),
    }
    return LoneGateway(folder, address, settings, TENANTS)


def clients_of(gateway: LoneGateway, tenant: str) -> Clients:
    return Clients(gateway.url, gateway.grpc, {"authorization": f"Bearer {gateway.keys[tenant]}"})


async def test_closed_refuses_while_redis_is_away(
    triton: tuple[HeldTriton, str], redis: RedisServer, tmp_path: Path
) -> None:
    with gateway_before(tmp_path, triton[1], redis, "closed") as gateway:
        async with (
            clients_of(gateway, "acme") as acme,
            clients_of(gateway, "beta") as beta,
            asyncio.timeout(SECONDS),
        ):
            assert all(got.whole for got in await asked(acme))
            held = asyncio.create_task(acme.openai_stream("held", 16))
            await until(lambda: triton[0].held == 1)
            for round_, (hurt, heal) in enumerate(((redis.kill, redis.start), (redis.freeze, redis.thaw)), 1):
                hurt()
                began = time.monotonic()
                refused = await asked(acme)
                # Three find out, for a time limit each; the others do not wait. The rest is this machine's.
                assert time.monotonic() - began < 3 * TIME_LIMIT + 5
                assert [got.status for got in refused] == [503] * 6
                assert {got.retry_after for got in refused[:5]} == {1.0}
                assert all("limits cannot be checked" in got.error for got in refused)
                triton[0].release.set()
                assert (await held).whole, "what ran goes on"
                heal()
                await until_served(acme)
                assert [len(gateway.said(event)) for event in (FAILS, BACK)] == [round_, round_]
            with redis.client() as client:
                client.flushall()
                assert all(got.whole for got in await asked(acme))
                for key in client.keys("*acme*"):
                    client.set(key, "spoilt")
                assert [got.status for got in await asked(acme)] == [503] * 6
                assert all(got.whole for got in await asked(beta)), "another tenant is not concerned"
                client.delete(*client.keys("*acme*"))
            assert all(got.whole for got in await asked(acme))
        assert len(gateway.said("the store of the limits refuses a tenant")) == 1
        assert not gateway.said("a defect in the gateway")


async def test_open_serves_and_counts_the_money_later(
    triton: tuple[HeldTriton, str], redis: RedisServer, tmp_path: Path
) -> None:
    with gateway_before(tmp_path, triton[1], redis, "open") as gateway:
        async with clients_of(gateway, "acme") as acme, asyncio.timeout(SECONDS):
            assert all(got.whole for got in await asked(acme))
            redis.freeze()
            began = time.monotonic()
            assert all(got.whole for got in await asked(acme))
            assert time.monotonic() - began < 6 * TIME_LIMIT + 5
            redis.thaw()
            await until_served(acme)
        spent = sum(line.cost for line in gateway.records(tenant="acme"))
        assert spent > 0
        store = RedisStore(redis.url, time_limit=SECONDS)
        try:
            async with asyncio.timeout(SECONDS):
                while await store.spent("acme", "month") != spent:  # noqa: ASYNC110 - Redis tells nobody
                    await asyncio.sleep(0.05)
        finally:
            await store.close()
        assert [len(gateway.said(event)) for event in (FAILS, BACK)] == [1, 1]


async def asked(clients: Clients) -> list[Got]:
    """One in each way; sampled, so that no answer comes from the cache."""
    return [await ask("Hi", 8, temperature=1.0) for ask in clients.ways.values()]


async def until_served(clients: Clients) -> None:
    while not all(got.whole for got in await asked(clients)):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.05)

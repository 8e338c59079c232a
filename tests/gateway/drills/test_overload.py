"""Three times what the engine holds, in all dialects at once: answered or refused as they do it, then clean."""

from __future__ import annotations

import asyncio

import psutil

from tests.conftest import MOCK_RUNNING
from tests.gateway.drills.clients import Clients, Got
from tests.gateway.drills.load import Load
from tests.gateway.drills.lone_gateway import SECONDS
from tests.gateway.drills.pages import metric
from tests.gateway.drills.waiting import until
from tests.gateway_stack import GatewayStack

CALLERS = 3 * MOCK_RUNNING // 6
BURST = 40
"""At once, of each way."""
MIB = 2**20


async def test_overload_is_refused_in_each_dialect_and_leaves_nothing(gateway_stack: GatewayStack) -> None:
    key = {"authorization": f"Bearer {gateway_stack.keys['beta']}"}
    hasty = key | {"x-request-timeout": "150ms"}
    async with asyncio.timeout(2 * SECONDS), Clients(gateway_stack.url, gateway_stack.grpc, key) as clients:
        load = Load(clients, CALLERS, tokens=40)
        await load.until(answers=5)
        async with Clients(gateway_stack.url, gateway_stack.grpc, hasty) as others:
            burst = [
                _ask(one, way, number)
                for way in clients.ways
                for number in range(BURST)
                for one in (clients, others)
            ]
            found = list(await asyncio.gather(*burst))
        found += await load.end()
        for got in found:
            cut = got.status == 200 and "in the time that the request has" in got.error
            assert got.whole or cut or got.status in {429, 504}, got
            if got.status == 429 and got.way != "triton grpc stream":
                assert got.retry_after is not None
        port = gateway_stack.gateway_port
        await until(lambda: metric(port, "in_flight") == metric(port, "waiting") == 0)
        await asyncio.to_thread(gateway_stack.until, lambda stats: stats.live == 0, SECONDS, "the engine is free")
        assert metric(port, "circuit_open") == 0, "what is full is not away"
        assert (await clients.openai("after", 4)).whole
    status = gateway_stack.folder.read_status()
    assert status is not None
    assert psutil.Process(status.parts["gateway"].pid).memory_info().rss < 500 * MIB


def _ask(clients: Clients, way: str, number: int) -> asyncio.Task[Got]:
    return asyncio.create_task(clients.ways[way](f"burst {number}", 40, temperature=1.0))

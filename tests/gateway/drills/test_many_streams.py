"""A thousand streams on which nothing happens, and two hundred on which much does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.fake_triton import serving
from tests.gateway.drills.clients import Clients, Got, until_all
from tests.gateway.drills.held_triton import HeldTriton
from tests.gateway.drills.lone_gateway import SECONDS, LoneGateway
from tests.gateway.drills.waiting import until

IDLE, ACTIVE = 1000, 200
MOST_CONNECTIONS = 820
"""Two thirds of all streams have one each; gRPC's share one."""
MIB = 2**20
# Nothing here is about the latency objective: all that comes is let in.
SETTINGS = {
    "HEADRACE_ADMISSION__INITIAL_LIMIT": "4000",
    "HEADRACE_ADMISSION__MIN_LIMIT": "4000",
    "HEADRACE_ADMISSION__MAX_LIMIT": "4000",
    "HEADRACE_GATEWAY__MAX_CONNECTIONS": str(MOST_CONNECTIONS),
}


async def test_a_thousand_idle_streams_take_little_memory_and_starve_nobody(tmp_path: Path) -> None:
    triton = HeldTriton()
    async with serving(triton) as address:
        with LoneGateway(tmp_path, address, SETTINGS) as gateway:
            async with Clients(gateway.url, gateway.grpc) as clients, asyncio.timeout(SECONDS):
                before = gateway.process.memory_info().rss
                idle = [_ask(clients, number, "held") for number in range(IDLE)]
                await until(lambda: triton.held == IDLE)
                grown = gateway.process.memory_info().rss - before
                print(f"{before / MIB:.0f} MiB before, {grown / IDLE / 1024:.0f} KiB a stream")
                assert grown < 150 * MIB
                active = [_ask(clients, number, "Hi") for number in range(ACTIVE)]
                assert all(got.whole for got in await until_all(*active, seconds=SECONDS))
                assert not any(task.done() for task in idle)
                await _too_many(gateway)
                triton.release.set()
                assert all(got.whole for got in await until_all(*idle, seconds=SECONDS))
            assert not gateway.said("a defect in the gateway")


def _ask(clients: Clients, number: int, text: str) -> asyncio.Task[Got]:
    ways = (clients.openai_stream, clients.generate_stream, clients.infer_stream)
    return asyncio.create_task(ways[number % 3](f"{text} {number}", 16, temperature=1.0))


async def _too_many(gateway: LoneGateway) -> None:
    """With more connections than there may be, the newest are refused in their dialect's shape; probes are not."""
    theirs = [
        one for one in gateway.process.net_connections("tcp") if one.laddr.port == gateway.port and one.raddr
    ]
    more = MOST_CONNECTIONS - len(theirs) + 50
    opened = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(more)]
    for path, kind in (("/v1/models", dict), ("/v2", str)):
        status, headers, body = await _get(*opened.pop(), path)
        assert status == 503
        assert headers["retry-after"] == "1"
        assert headers["connection"] == "close"
        assert isinstance(json.loads(body)["error"], kind)
    assert (await _get(*opened[0], "/health/live"))[0] == 200
    for _, writer in opened:
        writer.close()


async def _get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str
) -> tuple[int, dict[str, str], bytes]:
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    status = int((await reader.readline()).split()[1])
    headers = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, await reader.readexactly(int(headers["content-length"]))

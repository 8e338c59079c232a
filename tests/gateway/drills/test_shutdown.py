"""The gateway is told to stop, or killed, while it works."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.audit.verify import verify
from tests.fake_triton import serving
from tests.gateway.drills.clients import Clients, Got
from tests.gateway.drills.held_triton import HeldTriton
from tests.gateway.drills.load import Load
from tests.gateway.drills.lone_gateway import SECONDS, LoneGateway
from tests.gateway.drills.waiting import until

UNREADY_SECONDS = 2


@pytest.fixture
async def triton() -> AsyncIterator[HeldTriton]:
    triton = HeldTriton()
    triton.pause = 0.01
    async with serving(triton) as triton.address, asyncio.timeout(SECONDS):
        yield triton


async def test_sigterm_loses_nothing(triton: HeldTriton, tmp_path: Path) -> None:
    settings = {"HEADRACE_GATEWAY__UNREADY_SECONDS": str(UNREADY_SECONDS)}
    with LoneGateway(tmp_path, triton.address, settings) as gateway:
        async with Clients(gateway.url, gateway.grpc) as clients:
            held = await _held(clients, triton)
            load = Load(clients, each=2, tokens=8)
            await load.until(answers=2)
            gateway.signal(signal.SIGTERM)
            await until(lambda: gateway.get("/health/ready") == 503)
            # A balancer looks elsewhere from here on; what is on its way, and on open connections, is answered.
            await load.until(answers=2)
            assert all(got.headers.get("connection") == "close" for got in load.got[-6:] if "grpc" not in got.way)
            found = await load.end()
            assert all(got.whole for got in found), [got for got in found if not got.whole][:3]
            late = await _until_refused(clients)
            assert not any(task.done() for task in held)
            triton.release.set()
            ends = await asyncio.gather(*held)
            assert all(got.whole for got in ends)
        assert gateway.exit_code() == 0
        recorded = {line.request_id: line.outcome for line in gateway.records()}
        assert {got.request_id for got in [*found, *ends, *late]} <= set(recorded)
        assert verify(gateway.audit_folder, None).intact
        assert not gateway.said("a defect in the gateway")


async def _held(clients: Clients, triton: HeldTriton) -> list[asyncio.Task[Got]]:
    """Streams that have begun, and go on until they are released."""
    ways = (clients.openai_stream, clients.generate_stream, clients.infer_stream)
    began = asyncio.Semaphore(0)
    held = [asyncio.create_task(ask("held", 8, began.release, temperature=1.0)) for ask in ways]
    for _ in held:
        await began.acquire()
    assert triton.held == len(held)
    return held


async def _until_refused(clients: Clients) -> list[Got]:
    """While the last ones are awaited, each new one is answered whole, or told that it is not."""
    answered: list[Got] = []
    for ask in clients.ways.values():
        while (got := await ask("late", 8, temperature=1.0)).whole:
            answered.append(got)
        assert got.status == 503 or not got.sent, got
    return answered


async def test_kill_9_costs_what_ran_and_the_audit_log_tells_it(triton: HeldTriton, tmp_path: Path) -> None:
    with LoneGateway(tmp_path, triton.address) as gateway:
        async with Clients(gateway.url, gateway.grpc) as clients:
            whole = [await ask("Hi", 8) for ask in clients.ways.values()]
            await until(lambda: len(gateway.records()) == len(whole))
            held = await _held(clients, triton)
            gateway.signal(signal.SIGKILL)
            assert [got.status for got in await asyncio.gather(*held)] == [None] * len(held)
            gateway.exit_code()
            gateway.start()
            report = verify(gateway.audit_folder, None)
            assert report.intact
        async with Clients(gateway.url, gateway.grpc) as clients:
            assert (await clients.openai("Hi", 8)).whole
        await until(lambda: len(gateway.records()) == len(whole) + 1)
        assert {got.request_id for got in whole} < {line.request_id for line in gateway.records()}
        assert verify(gateway.audit_folder, None).intact


async def test_what_takes_longer_than_the_drain_is_ended_with_a_word(triton: HeldTriton, tmp_path: Path) -> None:
    with LoneGateway(tmp_path, triton.address, {"HEADRACE_GATEWAY__DRAIN_SECONDS": "1"}) as gateway:
        async with Clients(gateway.url, gateway.grpc) as clients:
            held = await _held(clients, triton)
            gateway.signal(signal.SIGTERM)
            for got in await asyncio.gather(*held):
                assert (got.status, got.reason) == (200, ""), "it had begun, and did not end as an answer does"
                assert "this replica shut down" in got.error
        assert gateway.exit_code() == 0
    assert {(line.outcome, line.error) for line in gateway.records()} == {("failed", "TryLater")}
    assert len(gateway.records()) == len(held)
    assert not triton.running, "the engine is told"
    assert not gateway.said("not in the audit log")

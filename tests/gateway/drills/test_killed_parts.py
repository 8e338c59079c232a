"""Parts of a whole stack are killed, and the stack is stopped, while clients of all dialects work."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from headrace.audit.query import Filter, query
from headrace.audit.record import AuditLine
from headrace.audit.verify import verify
from headrace.tenants import change
from perf.stack import NO_GUARDS
from tests.gateway.drills.clients import Clients, Got
from tests.gateway.drills.leaks import leaks, secret_of
from tests.gateway.drills.load import Load
from tests.gateway.drills.lone_gateway import SECONDS
from tests.gateway.drills.pages import metric, status
from tests.gateway.drills.waiting import until
from tests.gateway_stack import GatewayStack
from tests.triton.http_port import call

EACH, LONG = 2, 3
PLACES = 6 * EACH + LONG
STEP_MS = 20
WORD = f"word{uuid.uuid4().hex}"
"""Of every prompt."""
SETTINGS = {
    "HEADRACE_ENGINE__NAME": "mock",
    "HEADRACE_ENGINE__MOCK__STEP_MS": str(STEP_MS),
    "HEADRACE_ENGINE__MOCK__TOKENS_PER_STEP": "1",
    "HEADRACE_LIMITS__MAX_OUTPUT_TOKENS": "4000",
    "HEADRACE_GUARD__POLICY": str(NO_GUARDS),
    "HEADRACE_SERVER__UNREADY_SECONDS": "0",
    "HEADRACE_SERVER__SETTLED_SECONDS": "0",
    "HEADRACE_SERVER__PROBE_SECONDS": "3600",
    "HEADRACE_GATEWAY__UNREADY_SECONDS": "2",
    "HEADRACE_GATEWAY__REQUEST_SECONDS": "60",
}


class Drilled(GatewayStack):
    def pid(self, part: str) -> int:
        found = self.folder.read_status()
        assert found is not None
        pid = found.parts[part].pid
        assert pid is not None
        return pid

    def all_records(self) -> list[AuditLine]:
        return list(query(self.audit_folder, Filter()))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drilled]:
    stack = Drilled(tmp_path_factory.mktemp("drill") / "tenants.yaml", **SETTINGS)
    limits = {"concurrent_requests": PLACES}
    stack.keys["drilled"] = change.add_tenant(stack.tenants, "drilled", limits, datetime.now(UTC), None)
    stack.up()
    yield stack
    stack.headrace("down", "--now")
    shutil.rmtree(stack.folder.root)


@pytest.fixture
async def clients(stack: Drilled) -> AsyncIterator[Clients]:
    key = {"authorization": f"Bearer {stack.keys['drilled']}"}
    async with asyncio.timeout(2 * SECONDS), Clients(stack.url, stack.grpc, key) as clients:
        yield clients


@pytest.mark.parametrize("part", ["engine_worker", "tritonserver"])
async def test_clients_are_told_and_served_again(stack: Drilled, clients: Clients, part: str) -> None:
    long = await begun(clients, 3000)
    load = Load(clients, EACH, 4, WORD)
    await load.until(answers=2)
    os.kill(stack.pid(part), signal.SIGKILL)
    for got in await asyncio.gather(*long):
        assert (got.status, got.reason) == (200, ""), "its beginning was there"
        assert "send it again" in got.error
    await until(lambda: any("the inference server does not answer" in got.error for got in load.got))
    if part == "tritonserver":  # away for long enough to look
        await until(lambda: metric(stack.gateway_port, "circuit_open") == 1)
        await until(lambda: status(stack.gateway_port)["triton"]["circuit"] != "closed")
    await load.until(answers=2)
    found = await load.end()
    odd = [got for got in found if not (got.whole or told(got))]
    assert not odd, odd[:3]
    assert metric(stack.gateway_port, "circuit_open") == 0
    await all_recorded(stack, [*found, *(task.result() for task in long)])
    again = await asyncio.gather(*(clients.openai(f"again {number}", 4) for number in range(PLACES)))
    assert not [got.error for got in again if "concurrent_requests" in got.error], "every place was given back"


async def begun(clients: Clients, tokens: int) -> list[asyncio.Task[Got]]:
    """Streams that have said something."""
    ways = (clients.openai_stream, clients.generate_stream, clients.infer_stream)
    began = asyncio.Semaphore(0)
    long = [
        asyncio.create_task(ask(f"long {WORD}", tokens, began.release, temperature=1.0, min_tokens=tokens))
        for ask in ways
    ]
    for _ in long:
        await began.acquire()
    return long


def told(got: Got) -> bool:
    """What went wrong, and when to come back; a stream that had begun cannot say when."""
    if got.status == 200:
        return "stream" in got.way and "send it again" in got.error
    # Metadata does not reach the requests of a gRPC stream one by one.
    return got.status in {429, 503} and (got.retry_after is not None or got.way == "triton grpc stream")


async def all_recorded(stack: Drilled, found: list[Got]) -> None:
    """Once each."""
    wanted = {got.request_id for got in found}
    await until(lambda: wanted <= {line.request_id for line in stack.all_records()})
    ids = [line.request_id for line in stack.all_records()]
    assert len(ids) == len(set(ids))
    assert verify(stack.audit_folder, None).intact


async def test_a_killed_gateway_comes_back_and_its_work_ends(stack: Drilled, clients: Clients) -> None:
    long = await begun(clients, 100)
    load = Load(clients, EACH, 4, WORD)
    await load.until(answers=2)
    os.kill(stack.pid("gateway"), signal.SIGKILL)
    assert {got.status for got in await asyncio.gather(*long)} == {None}
    await load.until(answers=2)
    assert {got.status for got in await load.end()} <= {200, 429, 503, None}
    # What nobody waits for ends at its own last token.
    await asyncio.to_thread(stack.until, lambda stats: stats.live == 0, SECONDS, "the engine is free")
    assert verify(stack.audit_folder, None).intact


async def test_the_stack_is_stopped_and_loses_nothing(stack: Drilled, clients: Clients) -> None:
    """The last one: it does not come back."""
    long = await begun(clients, 150)
    load = Load(clients, EACH, 4, WORD)
    await load.until(answers=2)
    down = asyncio.create_task(asyncio.to_thread(stack.headrace, "down"))
    await until(lambda: call(stack.gateway_port, "GET", "/health/ready", None, {"host": "localhost"})[0] == 503)
    found = await load.end()
    odd = [got for got in found if not (got.whole or got.status == 429)]
    assert not odd, odd[:3]
    ends = await asyncio.gather(*long)
    assert all(got.whole for got in ends), ends
    assert (await down).returncode == 0
    await all_recorded(stack, [*found, *ends])
    assert not leaks(stack.folder.root, [WORD, secret_of(stack.keys["drilled"])]), "whatever was killed"

"""The way to Triton: what its circuit is told, and when the place in the engine comes free."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from headrace.admission import Admission, AdmissionConfig
from headrace.client import Chunk, Client, Question
from headrace.errors import InvalidRequest, Overloaded, Unavailable
from headrace.gateway.circuit import Circuit
from headrace.gateway.ids import new_id
from headrace.gateway.upstream import Job, Upstream
from tests.fake_triton import FakeTriton, serving

SECONDS = 20.0
FULL = "the engine holds 4 requests, its limit; try again in a moment [QUEUE_FULL]"
AWAY = "the engine worker is not running; it restarts, try again in a moment [UNAVAILABLE]"


class Ways:
    def __init__(self, address: str, places: int = 4) -> None:
        self.client = Client(address)
        self.admission = Admission(
            AdmissionConfig(initial_limit=places, min_limit=places, max_waiting_per_tenant=0)
        )
        self.circuit = Circuit(failures=2, pause=0.0)
        self.upstream = Upstream(self.client, self.admission, self.circuit)

    @property
    def state(self) -> str:
        return self.circuit.state

    async def ask(self, stream: bool = True, deadline: float | None = None) -> str:
        chunks: list[Chunk] = []
        await self.upstream.run(job(stream, deadline), lambda: None, chunks.append)
        return "".join(chunk.text for chunk in chunks)


def job(stream: bool = True, deadline: float | None = None, patience: float = SECONDS) -> Job:
    question = Question(text_input="Hi", max_tokens=8)
    return Job(
        question=question,
        request_id=new_id(),
        stream=stream,
        tenant="acme",
        priority=3,
        traceparent="",
        admitted=lambda: None,
        work=16,
        deadline=deadline,
        seconds=SECONDS,
        latest=asyncio.get_running_loop().time() + patience,
    )


@pytest.fixture
def triton() -> FakeTriton:
    triton = FakeTriton()
    triton.pieces = ("a", "b", "c")
    return triton


@pytest.fixture
async def ways(triton: FakeTriton) -> AsyncIterator[Ways]:
    async with serving(triton) as address:
        ways = Ways(address)
        yield ways
        await ways.client.close()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_full_engine_is_overload_and_no_outage(triton: FakeTriton, ways: Ways, stream: bool) -> None:
    triton.error = FULL
    for _ in range(5):
        with pytest.raises(Overloaded, match=r"its limit; try again in a moment$"):
            await ways.ask(stream)
    assert ways.state == "closed"
    assert ways.admission.stats().in_flight == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_an_engine_that_is_away_opens_the_circuit(triton: FakeTriton, ways: Ways, stream: bool) -> None:
    triton.error = AWAY
    for _ in range(2):
        with pytest.raises(Unavailable, match="it restarts"):
            await ways.ask(stream)
    assert ways.state == "open"
    triton.error = ""
    assert await ways.ask(stream) == "abc"
    assert ways.state == "closed"


async def test_who_is_not_let_in_tells_the_circuit_nothing(triton: FakeTriton, ways: Ways) -> None:
    triton.error = AWAY
    for _ in range(2):
        with pytest.raises(Unavailable):
            await ways.ask()
    ran = triton.runs
    late = asyncio.get_running_loop().time() - 1
    for _ in range(3):
        with pytest.raises(Exception, match="deadline"):
            await ways.ask(deadline=late)
        assert ways.state == "open", "the next one may try"
    assert triton.runs == ran


async def test_the_clients_own_fault_closes_the_circuit(triton: FakeTriton, ways: Ways) -> None:
    triton.error = AWAY
    for _ in range(2):
        with pytest.raises(Unavailable):
            await ways.ask()
    triton.error = "top_p: must be at most 1"
    with pytest.raises(InvalidRequest):
        await ways.ask()
    assert ways.state == "closed"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("patience", "state"), [(0.2, "open"), (SECONDS, "closed")], ids=["ours", "the client's"])
async def test_a_triton_that_hangs_opens_the_circuit_when_our_own_patience_ends(
    triton: FakeTriton, ways: Ways, stream: bool, patience: float, state: str
) -> None:
    triton.pieces, triton.ends = (), False
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ways.upstream.run(job(stream, patience=patience), lambda: None, lambda _: None)
    assert ways.state == state


async def test_the_place_is_free_when_the_engine_has_done_its_work(triton: FakeTriton, ways: Ways) -> None:
    came: list[tuple[str, int]] = []

    def take(chunk: Chunk) -> None:
        came.append((chunk.text, ways.admission.stats().in_flight))

    async with asyncio.timeout(SECONDS):
        await ways.upstream.run(job(), lambda: None, take)
    assert came == [("a", 1), ("b", 1), ("c", 1)]
    assert not triton.running
    assert ways.admission.stats().in_flight == 0

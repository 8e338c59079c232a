"""What a request pays for its admission."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import uvloop

from headrace.admission import Admission, AdmissionConfig
from headrace.errors import Overloaded

ROUNDS, REQUESTS = 30, 500


def microseconds(request: Callable[[Admission], Awaitable[None]], limit: int, fill: int = 0) -> float:
    """The best round: what else the machine does is not the code's."""

    async def measure() -> float:
        admission = Admission(
            AdmissionConfig(initial_limit=limit, min_limit=1, max_waiting=0, max_waiting_per_tenant=0)
        )
        for _ in range(fill):
            await admission.admit("other", 3, 100).__aenter__()
        best = float("inf")
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for _ in range(REQUESTS):
                await request(admission)
            best = min(best, time.perf_counter() - began)
        return best / REQUESTS * 1e6

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure())


async def stream(admission: Admission) -> None:
    async with admission.admit("a", 3, 300) as ticket:
        ticket.first()
        ticket.done(100)


async def refused(admission: Admission) -> None:
    try:
        async with admission.admit("a", 3, 300):
            raise AssertionError("it was let in")
    except Overloaded:
        pass


def test_a_request_that_need_not_wait_costs_less_than_15_microseconds() -> None:
    assert microseconds(stream, limit=16) < 15


def test_a_refusal_costs_less_than_30_microseconds() -> None:
    assert microseconds(refused, limit=16, fill=16) < 30

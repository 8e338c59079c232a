from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import pytest

from headrace.client import Chunk, Client, Question
from headrace.engine.interface import EngineStats
from headrace.errors import EngineFailed
from headrace.serving import probe
from headrace.serving.probe import Door
from headrace.worker.protocol import WorkerStats

ANSWER = Chunk(text="x", finish_reason="length", completion_tokens=1)
DOORS: list[Door] = ["unary", "stream"]


class OneDoor:
    """A client whose server answers at one door only, or at none."""

    def __init__(self, open_door: Door | None, error: Exception | None = None) -> None:
        self._open = open_door
        self._error = error
        self.held = 0
        """Probes that are on their way."""

    async def answer(self, _question: Question, _seconds: float) -> Chunk:
        return await self._pass("unary")

    async def stream(self, _question: Question) -> AsyncGenerator[Chunk]:
        yield Chunk(text="x")
        yield await self._pass("stream")

    async def _pass(self, door: Door) -> Chunk:
        if self._error is not None:
            raise self._error
        if door == self._open:
            return ANSWER
        self.held += 1
        try:
            return await asyncio.Future()
        finally:
            self.held -= 1

    async def stats(self) -> WorkerStats:
        return WorkerStats(engine=EngineStats(), live=self.held, draining=False, refused=0, cancelled=0)


async def examine(client: OneDoor, door: Door) -> probe.Finding:
    return await probe.examine(cast("Client", client), door, 0.2, client.stats)


@pytest.mark.parametrize("door", DOORS)
async def test_each_door_is_asked_for_itself(door: Door) -> None:
    client = OneDoor("stream")
    problem = (await examine(client, door)).problem
    assert problem == (None if door == "stream" else "no answer within 0.2 s")


@pytest.mark.parametrize("door", DOORS)
async def test_the_worker_is_asked_while_the_probe_is_on_its_way(door: Door) -> None:
    client = OneDoor(None)
    finding = await examine(client, door)
    assert finding.worker is not None
    assert finding.worker.live == 1
    assert client.held == 0


@pytest.mark.parametrize("door", DOORS)
async def test_an_error_is_the_problem(door: Door) -> None:
    finding = await examine(OneDoor(None, EngineFailed("it broke")), door)
    assert finding.problem == "it broke"

"""Callers of all dialects that go on, each after its last answer, until they are told to stop."""

from __future__ import annotations

import asyncio
from itertools import count

from tests.gateway.drills.clients import Clients, Got


class Load:
    """`each`: callers of every way."""

    def __init__(self, clients: Clients, each: int, tokens: int, text: str = "Hi") -> None:
        self._clients = clients
        self._tokens = tokens
        self._text = text
        self._numbers = count()
        self._stop = asyncio.Event()
        self.got: list[Got] = []
        """In the order of their ends."""
        self._tasks = [asyncio.create_task(self._call(way)) for way in clients.ways for _ in range(each)]

    async def _call(self, way: str) -> None:
        while not self._stop.is_set():
            ask = self._clients.ways[way]
            got = await ask(f"{self._text} {next(self._numbers)}", self._tokens, temperature=1.0)
            self.got.append(got)
            if got.status != 200 or got.error:
                await asyncio.sleep(0.02)

    async def until(self, answers: int) -> None:
        """So many whole ones from now on, of each way."""
        begin = len(self.got)
        while any(
            sum(got.whole and got.way == way for got in self.got[begin:]) < answers for way in self._clients.ways
        ):
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.01)

    async def end(self) -> list[Got]:
        """Running ones end first."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        return self.got

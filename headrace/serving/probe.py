"""Does the stack answer? One real inference of one token, at one of the two doors."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from headrace.client import Chunk, Client, Question
from headrace.errors import HeadraceError, Unavailable
from headrace.worker.protocol import WorkerStats

Door = Literal["unary", "stream"]

FIRST_QUESTION = "What is the capital of France?"


async def ask_once(client: Client, seconds: float, *, question: str = "ping", max_tokens: int = 1) -> Chunk:
    """A real answer: no cache knows its scope. Raises `HeadraceError`."""
    return await client.answer(_uncached(question, max_tokens), seconds)


@dataclass(frozen=True)
class Finding:
    """What one probe has shown."""

    problem: str | None
    """Why there was no answer; None when there was one."""
    worker: WorkerStats | None
    """Its counters while the probe was still on its way; None when it did not say."""


async def examine(
    client: Client, door: Door, seconds: float, stats: Callable[[], Awaitable[WorkerStats | None]]
) -> Finding:
    """Ask at this door and wait `seconds` for one token."""
    asking = asyncio.create_task(_ask(client, door, seconds))
    try:
        await asyncio.wait((asking,), timeout=seconds)
        # Before the probe is withdrawn: whether it has reached the engine is what tells the two parts apart.
        worker = await stats()
        problem = f"no answer within {seconds:g} s"
        if asking.done():
            problem = asking.result() or ""
        return Finding(problem or None, worker)
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking


async def _ask(client: Client, door: Door, seconds: float) -> str | None:
    """The problem, if there was one."""
    question = _uncached("ping", 1)
    try:
        if door == "unary":
            # Longer than anybody waits: a call that ends by itself would say less.
            await client.answer(question, 2 * seconds)
            return None
        async with contextlib.aclosing(client.stream(question)) as chunks:
            async for chunk in chunks:
                if chunk.finish_reason is not None:
                    return None
        raise Unavailable("the stream ended without an answer")
    except HeadraceError as error:
        return str(error)


def _uncached(text: str, max_tokens: int) -> Question:
    return Question(text_input=text, max_tokens=max_tokens, temperature=0.0, cache_scope=f"probe-{uuid.uuid4()}")

"""How long a cancelled request still holds its place.

The clock starts when the client sends the stop (or cancels its call) and ends when the worker says that it has let
the request go, which it does between two steps; the pipeline leaves it out of the batch from the next step on.
The worker is asked over its own socket, because a client that cancelled its call hears nothing more; its answer
comes between two steps too, and carries the moment itself. All processes share one monotonic clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from headrace.client import STREAM_MODEL, stop_message
from headrace.client.tensors import Message
from perf.core.plan import NEW_TOKENS, PROMPT_TOKENS, Plan
from perf.load import LoadClient, LoadFailed, engine_question, question
from perf.prompts import PromptMaker
from perf.records import Recorder
from perf.sides import limit_seconds
from perf.worker_watch import LIMIT_SECONDS, WorkerWatch, watching

NAME = "cancel"
ANSWERED = "cancel_answered"
WAYS = ("stop request", "direct call")
BACKGROUND = (0, 8)
_VICTIM_TOKENS = 1024
# Longer than a step of a full batch, so that the stop falls at any moment of one.
_SPREAD_SECONDS = 0.1
# About an answer's time beside seven others.
_APART_SECONDS = 3.0


async def measure(
    record: Recorder, client: LoadClient, engine_socket: Path, prompts: PromptMaker, plan: Plan
) -> None:
    """One round: both ways, alone and beside eight other streams."""
    async with watching(engine_socket) as watch:
        for background in BACKGROUND:
            async with streams_beside(client, prompts, background):
                for _ in range(plan.cancels):
                    (prompt,) = prompts.make(1, PROMPT_TOKENS)
                    request_id = f"cancel-{uuid.uuid4()}"
                    victim = question(STREAM_MODEL, prompt, _VICTIM_TOKENS, request_id)
                    freed, answered = await _stop_one(client, watch, victim)
                    record.add(NAME, WAYS[0], "s", [freed], background=background)
                    record.add(ANSWERED, WAYS[0], "s", [answered], background=background)
                    direct = engine_question(prompt, _VICTIM_TOKENS)
                    record.add(NAME, WAYS[1], "s", [await _hang_up(client, watch, direct)], background=background)


async def _stop_one(client: LoadClient, watch: WorkerWatch, message: Message) -> tuple[float, float]:
    """Seconds until its place was free, and until its stream said `cancelled`."""
    cancelled_before = (await watch.stats()).cancelled
    stream = client.responses(message)
    await anext(stream)
    rest = asyncio.create_task(_last_reason(stream))
    await asyncio.sleep(random.uniform(0, _SPREAD_SECONDS))
    began = time.monotonic()
    stopping = asyncio.create_task(client.infer(stop_message(message.id)))
    freed = await watch.until_cancelled(cancelled_before)
    await stopping
    reason, answered = await asyncio.wait_for(rest, LIMIT_SECONDS)
    if reason != "cancelled":
        raise LoadFailed(f"a stopped stream ended with {reason!r} instead of 'cancelled'")
    return freed - began, answered - began


async def _last_reason(stream: AsyncIterator[dict[str, bytes]]) -> tuple[str, float]:
    reason = b""
    async for outputs in stream:
        reason = outputs["finish_reason"][4:]
        if reason:
            return reason.decode(), time.monotonic()
    return reason.decode(), time.monotonic()


async def _hang_up(client: LoadClient, watch: WorkerWatch, message: Message) -> float:
    """Seconds from the client's cancel of its call until the place was free."""
    cancelled_before = (await watch.stats()).cancelled
    call = client.call(message)
    await call.read()
    await asyncio.sleep(random.uniform(0, _SPREAD_SECONDS))
    began = time.monotonic()
    call.cancel()
    return await watch.until_cancelled(cancelled_before) - began


@contextlib.asynccontextmanager
async def streams_beside(client: LoadClient, prompts: PromptMaker, streams: int) -> AsyncIterator[None]:
    """Keep that many answers running; at the end wait for the last ones, so that the engine is free again."""
    enough = asyncio.Event()

    async def one_after_another() -> None:
        # The first ones begin apart, so that the streams are in all stages of an answer at any time.
        await asyncio.sleep(random.uniform(0, _APART_SECONDS))
        while not enough.is_set():
            (prompt,) = prompts.make(1, PROMPT_TOKENS)
            async with asyncio.timeout(limit_seconds(streams, NEW_TOKENS)):
                await client.stream(question(STREAM_MODEL, prompt, NEW_TOKENS))

    busy = [asyncio.create_task(one_after_another()) for _ in range(streams)]
    try:
        await asyncio.sleep(_APART_SECONDS if busy else 0)
        yield
    finally:
        enough.set()
        await asyncio.gather(*busy)

"""How long the engine works on for a client that has gone, by the worker's own clock (`perf.core.cancel`)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from headrace.client import STREAM_MODEL
from perf.core.plan import PROMPT_TOKENS
from perf.gateway.chat import ChatClient, chat_request
from perf.gateway.ways import GRPC, OPENAI
from perf.load import LoadClient, question
from perf.prompts import Prompt, PromptMaker
from perf.records import Recorder
from perf.worker_watch import watching

NAME = "left"
_TOKENS = 1024
_SPREAD_SECONDS = 0.05
_Leave = Callable[[Prompt], Awaitable[float]]


async def measure(
    record: Recorder, grpc: LoadClient, chat: ChatClient, engine_socket: Path, prompts: PromptMaker, count: int
) -> None:
    """One round: each client leaves after the first piece of its stream, at any moment of a step."""

    async def hang_up(prompt: Prompt) -> float:
        reader, writer = await chat.begin(chat_request(prompt, _TOKENS, stream=True))
        await reader.readuntil(b'"content":"')
        await asyncio.sleep(random.uniform(0, _SPREAD_SECONDS))
        left = time.monotonic()
        writer.close()
        return left

    async def cancel(prompt: Prompt) -> float:
        call = grpc.call(question(STREAM_MODEL, prompt, _TOKENS))
        await call.read()
        await asyncio.sleep(random.uniform(0, _SPREAD_SECONDS))
        left = time.monotonic()
        call.cancel()
        return left

    ways: dict[str, _Leave] = {OPENAI: hang_up, GRPC: cancel}
    async with watching(engine_socket) as watch:
        for name, leave in ways.items():
            found = []
            for prompt in prompts.make(count, PROMPT_TOKENS):
                before = (await watch.stats()).cancelled
                left = await leave(prompt)
                found.append(await watch.until_cancelled(before) - left)
            record.add(NAME, name, "s", found)

"""Memory of the gateway's process while a thousand streams are open."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import psutil

from perf.gateway.chat import ChatClient, ChatRequest, chat_request
from perf.prompts import PromptMaker
from perf.records import Recorder

EMPTY, FULL = "memory_before", "memory_with_streams"
STREAMS = 1000
STEP_MS = 500.0
_PROMPT_TOKENS = 60
_TOKENS = 60
"""Half a minute of steps: all streams are open at one time, with some of their text sent."""
_SAMPLE_SECONDS = 0.5
_LIMIT_SECONDS = 180


async def measure(record: Recorder, client: ChatClient, gateway: psutil.Process, prompts: PromptMaker) -> None:
    """The most that it had at any time."""
    record.add(EMPTY, "gateway", "bytes", [gateway.memory_info().rss])
    requests = [chat_request(one, _TOKENS, stream=True) for one in prompts.make(STREAMS, _PROMPT_TOKENS)]
    running = asyncio.create_task(_all(client, requests))
    sizes = [gateway.memory_info().rss]
    while not running.done():
        await asyncio.wait({running}, timeout=_SAMPLE_SECONDS)
        sizes.append(gateway.memory_info().rss)
    running.result()
    record.add(FULL, "gateway", "bytes", [max(sizes)])


async def _all(client: ChatClient, requests: Sequence[ChatRequest]) -> None:
    async with asyncio.timeout(_LIMIT_SECONDS), asyncio.TaskGroup() as group:
        for request in requests:
            group.create_task(client.send(request))

"""Answers from the gateway's cache: how fast, and how many a second from one process.

Eight clients who ask without a pause fill it and wait for each other; with four the time is nearer to its own.
"""

from __future__ import annotations

from perf.core.plan import PROMPT_TOKENS
from perf.gateway.chat import ChatClient, chat_request
from perf.load import closed_loop
from perf.prompts import PromptMaker
from perf.records import Recorder

TIME, RATE = "hit_seconds", "hits_per_second"
ONE, SOME, MANY = 1, 4, 8
_TOKENS = 32
_LIMIT_SECONDS = 120


async def measure(record: Recorder, client: ChatClient, prompts: PromptMaker, count: int) -> None:
    """One round."""
    (prompt,) = prompts.make(1, PROMPT_TOKENS)
    request = chat_request(prompt, _TOKENS, stream=False)
    await client.send(request)  # into the cache
    for concurrency in (ONE, SOME, MANY):
        load = await closed_loop(client, [request] * count, concurrency, _LIMIT_SECONDS)
        record.add(TIME, "gateway", "s", load.answer_seconds, concurrency=concurrency)
        record.add(RATE, "gateway", "requests/s", [len(load.samples) / load.seconds], concurrency=concurrency)

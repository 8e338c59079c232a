"""More requests than the engine can serve: how many answers a second still begin in time.

Requests come at random moments, whether or not others were answered (an open loop): users do not wait for each
other. The mock engine has few places and a fixed pace, so what it can serve is known.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

from headrace.config import Config
from perf.gateway.chat import ChatClient, ChatRequest, Refused, chat_request
from perf.prompts import PromptMaker
from perf.records import Recorder

GOOD, STATUS = "good_answers", "answers_by_status"
LOADS = (0.8, 1.0, 2.0, 3.0)
"""Requests a second, as multiples of what the engine can serve."""
TARGET_SECONDS = 0.4
_PLACES, _QUEUE, _TOKENS, _STEP_MS = 8, 24, 20, 20.0
CAPACITY = _PLACES / (_TOKENS * _STEP_MS / 1000)
"""Answers a second."""
_SETTLE_SECONDS, _SECONDS = 4.0, 8.0
_LIMIT_SECONDS = 30.0
_PROMPT_TOKENS = 60


def small_engine(config: Config) -> Config:
    """And the objective that a GPU has."""
    mock = config.engine.mock.model_copy(update={"step_ms": _STEP_MS, "tokens_per_step": 1})
    engine = {"name": "mock", "mock": mock, "max_running": _PLACES, "max_waiting": _QUEUE}
    admission = {
        "ttft_target_ms": TARGET_SECONDS * 1000,
        "max_wait_ms": TARGET_SECONDS * 500,
        "initial_limit": _PLACES,
        "min_limit": 4,
        "max_limit": _PLACES + _QUEUE,
    }
    return config.model_copy(
        update={
            "engine": config.engine.model_copy(update=engine),
            "admission": config.admission.model_copy(update=admission),
        }
    )


async def measure(record: Recorder, client: ChatClient, prompts: PromptMaker) -> None:
    """One round: each load for a while, once the limit has followed it."""
    for load in random.sample(LOADS, len(LOADS)):
        rate = load * CAPACITY
        requests = prompts.make(round(rate * (_SETTLE_SECONDS + _SECONDS) * 1.3) + 10, _PROMPT_TOKENS)
        await _run(client, [chat_request(one, _TOKENS, True) for one in requests], rate, record, load)


async def _run(
    client: ChatClient, requests: list[ChatRequest], rate: float, record: Recorder, load: float
) -> None:
    good, statuses = 0, Counter[str]()
    began = time.perf_counter()

    async def one(request: ChatRequest, counts: bool) -> None:
        nonlocal good
        status = "200"
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                sample = await client.send(request)
        except Refused as error:
            status = str(error.status)
        else:
            good += counts and sample.first - sample.sent <= TARGET_SECONDS
        if counts:
            statuses[status] += 1

    async with asyncio.TaskGroup() as group:
        due = 0.0
        for request in requests:
            due += random.expovariate(rate)
            if due > _SETTLE_SECONDS + _SECONDS:
                break
            await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
            group.create_task(one(request, due > _SETTLE_SECONDS))
    record.add(GOOD, "gateway", "answers/s", [good / _SECONDS], load=load)
    for status, count in statuses.items():
        record.add(STATUS, "gateway", "answers", [count], load=load, status=status)

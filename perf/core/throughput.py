"""Aggregate tokens per second of a closed loop: the platform, the bare engine and the engine class in turn."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from perf.core.plan import CONCURRENCIES, NEW_TOKENS, PROMPT_TOKENS, Plan
from perf.prompts import PromptMaker
from perf.records import Recorder
from perf.sides import Side

NAME = "throughput"
IDLE = "idle_cpu"


async def measure(record: Recorder, sides: Sequence[Side], prompts: PromptMaker, plan: Plan) -> None:
    """One round. All sides answer the same new prompts, in an order that is drawn for each concurrency."""
    for concurrency in CONCURRENCIES:
        count = plan.single_requests if concurrency == 1 else plan.batches * concurrency
        chosen = prompts.make(count, PROMPT_TOKENS)
        for side in random.sample(sides, len(sides)):
            others = [other for other in sides if other is not side]
            before = [other.cpu_seconds() for other in others]
            began = time.perf_counter()
            outcome = await side.run(chosen, concurrency, NEW_TOKENS)
            seconds = time.perf_counter() - began
            rate = outcome.tokens / outcome.seconds
            record.add(NAME, side.name, "tokens/s", [rate], concurrency=concurrency)
            for other, used in zip(others, before, strict=True):
                record.add(IDLE, other.name, "share", [(other.cpu_seconds() - used) / seconds])


async def warm_up(sides: Sequence[Side], prompts: PromptMaker) -> None:
    """The first batches of a process also allocate."""
    chosen = prompts.make(max(CONCURRENCIES), PROMPT_TOKENS)
    for side in sides:
        await side.run(chosen, max(CONCURRENCIES), NEW_TOKENS // 4)

"""Memory of the whole stack under load, and how long it takes to start."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

import psutil

from perf.core.plan import CONCURRENCIES, NEW_TOKENS, PROMPT_TOKENS, Plan
from perf.prompts import PromptMaker
from perf.records import Recorder
from perf.sides import Platform
from perf.stack import Stack

MEMORY = "memory"
START = "start"
_SAMPLE_SECONDS = 0.25


def record_start(record: Recorder, stack: Stack) -> None:
    record.add(START, "platform", "s", [stack.start_seconds])


async def measure(record: Recorder, platform: Platform, prompts: PromptMaker, plan: Plan) -> None:
    """The peak during the heaviest load, which is run for this alone: looking into page tables takes time."""
    most = max(CONCURRENCIES)
    chosen = prompts.make(plan.batches * most, PROMPT_TOKENS)
    load = asyncio.create_task(platform.run(chosen, most, NEW_TOKENS))
    sizes: list[float] = []
    while not load.done():
        sizes.append(proportional_bytes(platform.stack.processes()))
        await asyncio.wait((load,), timeout=_SAMPLE_SECONDS)
    load.result()
    record.add(MEMORY, "platform", "bytes", [max(sizes)])


def proportional_bytes(processes: Iterable[psutil.Process]) -> float:
    """Their memory together; a page that several share counts once (PSS)."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return float(total)

"""With the real engine: tokens per second through the gateway and past it, beside the bare engine."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence

from perf.core.plan import NEW_TOKENS, PROMPT_TOKENS
from perf.gateway.ways import Way
from perf.load import LoadFailed
from perf.prompts import Prompt, PromptMaker
from perf.records import Recorder
from perf.sides import BareEngine

NAME = "engine_rate"
BARE = "bare"
CONCURRENCIES = (8, 16)
_Rate = Callable[[Sequence[Prompt], int], Awaitable[float]]


async def measure(
    record: Recorder, ways: Sequence[Way], bare: BareEngine, prompts: PromptMaker, batches: int
) -> None:
    """One round. Each way gets new prompts: they share an engine, which would know another's again."""
    sides = {way.name: _through(way) for way in ways} | {BARE: _of_bare(bare)}
    for concurrency in CONCURRENCIES:
        for name in random.sample(list(sides), len(sides)):
            chosen = prompts.make(batches * concurrency, PROMPT_TOKENS)
            rate = await sides[name](chosen, concurrency)
            record.add(NAME, name, "tokens/s", [rate], concurrency=concurrency)


async def warm_up(ways: Sequence[Way], bare: BareEngine, prompts: PromptMaker) -> None:
    """The first batches of a process also allocate."""
    for rate in (*map(_through, ways), _of_bare(bare)):
        await rate(prompts.make(max(CONCURRENCIES), PROMPT_TOKENS), max(CONCURRENCIES))


def _through(way: Way) -> _Rate:
    async def rate(prompts: Sequence[Prompt], concurrency: int) -> float:
        load = await way.run(prompts, concurrency, [NEW_TOKENS] * len(prompts), True)
        tokens = sum(one.tokens for one in load.samples)
        if tokens != len(prompts) * NEW_TOKENS:
            raise LoadFailed(f"{way.name}: {tokens} tokens came back, not {len(prompts) * NEW_TOKENS}")
        return load.tokens_per_second

    return rate


def _of_bare(bare: BareEngine) -> _Rate:
    async def rate(prompts: Sequence[Prompt], concurrency: int) -> float:
        outcome = await bare.run(prompts, concurrency, NEW_TOKENS)
        return outcome.tokens / outcome.seconds

    return rate

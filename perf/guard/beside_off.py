"""The same stack with guards on and off, in turn: what they cost in rate and in time to the first token.

Off is the policy that looks for nothing: its requests take the same steps, which judge nothing.
"""

from __future__ import annotations

import random

from headrace.client import STREAM_MODEL
from perf.core.plan import NEW_TOKENS, PROMPT_TOKENS
from perf.load import Load, LoadClient, closed_loop, question
from perf.prompts import Prompt, PromptMaker
from perf.records import Recorder
from perf.sides import limit_seconds

RATE = "guarded_rate"
FIRST = "guarded_first_token"
BLOCKED = "guarded_blocked"
OFF = "off"
POLICIES = {"windowed": "standard", "buffered": "buffered", OFF: OFF}
"""Side → policy of the shipped policy.yaml."""
MANY = 16
_FIRST_TOKENS = 8
"""Tokens of the answers whose first is timed: enough for its first word to end."""


async def measure_rate(record: Recorder, client: LoadClient, prompts: PromptMaker, batches: int) -> None:
    """One round at C=16. Each side gets new prompts: the engine would know another side's again."""
    for side in random.sample(list(POLICIES), len(POLICIES)):
        load = await _run(client, prompts.make(MANY * batches, PROMPT_TOKENS), side, MANY, NEW_TOKENS)
        record.add(RATE, side, "tokens/s", [load.tokens_per_second])
        record.add(BLOCKED, side, "answers", [sum(s.finish_reason == "content_filter" for s in load.samples)])
        if side != "buffered":  # its first text comes at its end, as it should
            record.add(FIRST, side, "s", load.first_token_seconds, concurrency=MANY)


async def measure_first(record: Recorder, client: LoadClient, prompts: PromptMaker, count: int) -> None:
    """One round at C=1, the sides in turn."""
    found: dict[str, list[float]] = {"windowed": [], OFF: []}
    for _ in range(count):
        for side in random.sample(list(found), len(found)):
            load = await _run(client, prompts.make(1, PROMPT_TOKENS), side, 1, _FIRST_TOKENS)
            found[side] += load.first_token_seconds
    for side, values in found.items():
        record.add(FIRST, side, "s", values, concurrency=1)


async def warm_up(client: LoadClient, prompts: PromptMaker) -> None:
    for side in POLICIES:
        await _run(client, prompts.make(MANY, PROMPT_TOKENS), side, MANY, NEW_TOKENS // 4)


async def _run(client: LoadClient, chosen: list[Prompt], side: str, concurrency: int, tokens: int) -> Load:
    messages = [question(STREAM_MODEL, prompt, tokens, guard_policy=POLICIES[side]) for prompt in chosen]
    return await closed_loop(client, messages, concurrency, limit_seconds(len(chosen), tokens))

"""What the gateway adds to an answer's time, before an engine that takes its time but does no work.

Answers are of different lengths: those of one length would all end in one step of the engine, and the next
requests come at one moment, which no crowd of users does. What the engine takes for its tokens is taken off.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from perf.core.plan import PROMPT_TOKENS
from perf.gateway.ways import Way, shuffled
from perf.prompts import PromptMaker
from perf.records import Recorder

WHOLE = "whole_answer"
FIRST = "first_text"
CONCURRENCY = 8
STEP_MS = 5.0
_LENGTHS = (8, 32)
"""Tokens: 40 to 160 ms of the engine. Eight at a time leave the machine's cores free for a part of the time, so
that the way is measured and not how long its requests wait for a core."""


async def measure(record: Recorder, ways: Sequence[Way], prompts: PromptMaker, count: int) -> None:
    """One round. Every prompt is new, so that no cache answers; the lengths are the same for all."""
    lengths = [random.randint(*_LENGTHS) for _ in range(count)]
    for name, stream in ((WHOLE, False), (FIRST, True)):
        for way in shuffled(ways):
            load = await way.run(prompts.make(count, PROMPT_TOKENS), CONCURRENCY, lengths, stream)
            beyond = [one.ended - one.sent - one.tokens * STEP_MS / 1000 for one in load.samples]
            record.add(name, way.name, "s", load.first_token_seconds if stream else beyond)

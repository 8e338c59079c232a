"""What the gateway adds to an answer's time, before an engine that takes its time but does no work."""

from __future__ import annotations

from collections.abc import Sequence

from perf.core.plan import PROMPT_TOKENS
from perf.gateway.ways import Way, shuffled
from perf.prompts import PromptMaker
from perf.records import Recorder

WHOLE = "whole_answer"
FIRST = "first_text"
CONCURRENCY = 8
STEP_MS = 5.0
TOKENS = 16
"""80 ms of the engine: eight at a time leave the machine's cores free for a part of the time, so that the way is
measured and not how long its requests wait for a core."""


async def measure(record: Recorder, ways: Sequence[Way], prompts: PromptMaker, count: int) -> None:
    """One round. Every prompt is new, so that no cache answers."""
    for name, stream in ((WHOLE, False), (FIRST, True)):
        for way in shuffled(ways):
            load = await way.run(prompts.make(count, PROMPT_TOKENS), CONCURRENCY, TOKENS, stream)
            record.add(name, way.name, "s", load.first_token_seconds if stream else load.answer_seconds)

"""How many pieces of streams one gateway process carries: before a server that replays answers, since Triton with
its steps makes fewer on this machine than fill it."""

from __future__ import annotations

from collections.abc import Sequence

from perf.core.plan import PROMPT_TOKENS
from perf.gateway.ways import Way, shuffled
from perf.prompts import PromptMaker
from perf.records import Recorder

CHUNKS, TOKENS = "chunks", "tokens"
STREAMS = 16
PIECES = 64
TOKENS_EACH = 8
"""As the coalescer makes them (`coalescing.max_tokens`)."""


async def measure(record: Recorder, ways: Sequence[Way], prompts: PromptMaker, count: int) -> None:
    """One round."""
    for way in shuffled(ways):
        chosen = prompts.make(count, PROMPT_TOKENS)
        load = await way.run(chosen, STREAMS, [PIECES * TOKENS_EACH] * count, True)
        record.add(CHUNKS, way.name, "chunks/s", [sum(one.responses for one in load.samples) / load.seconds])
        record.add(TOKENS, way.name, "tokens/s", [load.tokens_per_second])

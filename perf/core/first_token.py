"""Time to the first token at concurrency 1, prompt by prompt on every side."""

from __future__ import annotations

import random
from collections.abc import Sequence

from perf.core.plan import PROMPT_TOKENS, Plan
from perf.prompts import PromptMaker
from perf.records import Recorder
from perf.sides import Side

NAME = "first_token"
# The first token's text can be held back until a character is whole, so a few more may follow.
_TOKENS = 4


async def measure(record: Recorder, sides: Sequence[Side], prompts: PromptMaker, plan: Plan) -> None:
    """One round. The values of the sides belong together by their place in the list: one place, one prompt."""
    found: dict[str, list[float]] = {side.name: [] for side in sides}
    for prompt in prompts.make(plan.first_tokens, PROMPT_TOKENS):
        for side in random.sample(sides, len(sides)):
            outcome = await side.run([prompt], 1, _TOKENS)
            found[side.name] += outcome.first_token_seconds
    for name, values in found.items():
        record.add(NAME, name, "s", values)

"""What `engine.openvino.max_batch_tokens` does: to the rate, and to how long the engine hears nothing.

The bare engine's loop, once for each size, in turn. Cancels and new requests wait until the running step ends.
"""

from __future__ import annotations

import contextlib
import random

from headrace.config import Config
from perf.core.plan import NEW_TOKENS, PROMPT_TOKENS, STEP_SIZES, Plan
from perf.prompts import PromptMaker
from perf.records import Recorder
from perf.sides import bare_engine
from perf.stack import config_file

RATE = "step_size_rate"
STEP = "step_size_step"
CONCURRENCY = 8


async def measure(record: Recorder, config: Config, prompts: PromptMaker, plan: Plan) -> None:
    with contextlib.ExitStack() as processes:
        engines = {}
        for size in STEP_SIZES:
            file = processes.enter_context(config_file(_with_size(config, size)))
            engines[size] = processes.enter_context(
                bare_engine("loop", f"bare engine, {size} tokens a step", file)
            )
        for number in range(-1, plan.rounds):
            chosen = prompts.make(CONCURRENCY * plan.batches, PROMPT_TOKENS)
            for size in random.sample(STEP_SIZES, len(STEP_SIZES)):
                outcome = await engines[size].run(chosen, CONCURRENCY, NEW_TOKENS)
                if number < 0:
                    continue  # the first loads of a process also allocate
                record.start_round(number)
                record.add(RATE, "bare", "tokens/s", [outcome.tokens / outcome.seconds], size=size)
                record.add(STEP, "bare", "s", outcome.step_seconds, size=size)


def _with_size(config: Config, size: int) -> Config:
    openvino = config.engine.openvino.model_copy(update={"max_batch_tokens": size})
    return config.model_copy(update={"engine": config.engine.model_copy(update={"openvino": openvino})})

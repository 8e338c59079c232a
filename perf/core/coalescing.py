"""What the coalescing policy does to a stream's rate and to its first token.

With the mock engine the path itself is the limit; with the real one the engine is. Each policy needs a stack
of its own, and each start of the real one is also a sample of the time to the first answer.
"""

from __future__ import annotations

from headrace.client import STREAM_MODEL
from headrace.config import Config, MockConfig
from perf.core.footprint import record_start
from perf.core.plan import NEW_TOKENS, POLICIES, PROMPT_TOKENS, Plan
from perf.load import Load, LoadClient, closed_loop, question
from perf.prompts import PromptMaker
from perf.records import Recorder
from perf.sides import limit_seconds
from perf.stack import Stack, running

RATE = "coalescing_rate"
FIRST = "coalescing_first_token"
RESPONSES = "coalescing_responses"
CONCURRENCY = 8
MOCK_STEP_MS = 1.0
"""A step of the mock engine: eight streams can have 8 000 tokens/s, more than one response a token carries."""
_MOCK_TOKENS = 256
_WARM_UP_TOKENS = 16


async def measure_mock(record: Recorder, config: Config, prompts: PromptMaker, plan: Plan) -> None:
    for policy in POLICIES:
        with running(with_mock(_with_policy(config, policy), MOCK_STEP_MS)) as stack:
            await _load(record, stack, "mock", policy, prompts, plan.mock_streams, _MOCK_TOKENS)


async def measure_real(record: Recorder, config: Config, prompts: PromptMaker, plan: Plan) -> None:
    for policy in POLICIES:
        with running(_with_policy(config, policy)) as stack:
            record_start(record, stack)
            requests = CONCURRENCY * plan.batches
            await _load(record, stack, "engine", policy, prompts, requests, NEW_TOKENS)


def with_mock(config: Config, step_ms: float) -> Config:
    changes = {"name": "mock", "mock": MockConfig(step_ms=step_ms)}
    return config.model_copy(update={"engine": config.engine.model_copy(update=changes)})


def _with_policy(config: Config, most_tokens: int) -> Config:
    policy = config.coalescing.model_copy(update={"max_tokens": most_tokens})
    return config.model_copy(update={"coalescing": policy})


async def _load(
    record: Recorder, stack: Stack, engine: str, policy: int, prompts: PromptMaker, requests: int, tokens: int
) -> None:
    async with LoadClient(stack.grpc) as client:

        async def run(count: int, tokens: int) -> Load:
            messages = [question(STREAM_MODEL, p, tokens) for p in prompts.make(count, PROMPT_TOKENS)]
            return await closed_loop(client, messages, CONCURRENCY, limit_seconds(count, tokens))

        await run(CONCURRENCY, _WARM_UP_TOKENS)
        load = await run(requests, tokens)
    responses = sum(sample.responses for sample in load.samples) / load.seconds
    record.add(RATE, engine, "tokens/s", [load.tokens_per_second], policy=policy)
    record.add(RESPONSES, engine, "responses/s", [responses], policy=policy)
    record.add(FIRST, engine, "s", load.first_token_seconds, policy=policy)

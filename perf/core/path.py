"""The path without a model: both doors with a mock engine that answers at once."""

from __future__ import annotations

from headrace.client import STREAM_MODEL, UNARY_MODEL
from perf.core.plan import PROMPT_TOKENS, Plan
from perf.load import LoadClient, closed_loop, question
from perf.prompts import PromptMaker
from perf.records import Recorder
from perf.sides import limit_seconds
from perf.stack import Stack

NAME = "path"
FIRST = "path_first_token"
CONCURRENCIES = (1, 8)
_TOKENS = 1
_STREAM_TOKENS = 4


async def measure(record: Recorder, stack: Stack, prompts: PromptMaker, plan: Plan) -> None:
    """One round. Every prompt is new, so that no cache answers."""
    async with LoadClient(stack.grpc) as client:
        for concurrency in CONCURRENCIES:
            chosen = prompts.make(plan.mock_requests, PROMPT_TOKENS)
            messages = [question(UNARY_MODEL, prompt, _TOKENS) for prompt in chosen]
            load = await closed_loop(client, messages, concurrency, limit_seconds(len(chosen), _TOKENS))
            record.add(NAME, UNARY_MODEL, "s", load.answer_seconds, concurrency=concurrency)
            rate = len(load.samples) / load.seconds
            record.add("path_rate", UNARY_MODEL, "requests/s", [rate], concurrency=concurrency)
        chosen = prompts.make(plan.mock_requests, PROMPT_TOKENS)
        messages = [question(STREAM_MODEL, prompt, _STREAM_TOKENS) for prompt in chosen]
        load = await closed_loop(client, messages, 1, limit_seconds(len(chosen), _STREAM_TOKENS))
        record.add(FIRST, STREAM_MODEL, "s", load.first_token_seconds)

"""A repeated unary request, answered from Triton's response cache: one client, one connection, an idle server."""

from __future__ import annotations

import time

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput

from headrace.client import UNARY_MODEL
from perf.core.plan import PROMPT_TOKENS, Plan
from perf.prompts import Prompt, PromptMaker
from perf.records import Recorder

NAME = "cache_hit"
MODELS = ("completion", UNARY_MODEL)
_TOKENS = 8


def measure(record: Recorder, address: str, prompts: PromptMaker, plan: Plan) -> None:
    """One round. The client is tritonclient's synchronous one, as a user has it: its time is in the figures."""
    (prompt,) = prompts.make(1, PROMPT_TOKENS)
    inputs = _inputs(prompt)
    with InferenceServerClient(address) as client:
        for model in MODELS:
            client.infer(model, inputs)  # into the cache
            before = _hits(client)
            seconds = []
            for _ in range(plan.cache_hits):
                began = time.perf_counter()
                client.infer(model, inputs)
                seconds.append(time.perf_counter() - began)
            record.add(NAME, model, "s", seconds)
            record.add("cache_hit_share", model, "share", [(_hits(client) - before) / plan.cache_hits])


def _hits(client: InferenceServerClient) -> int:
    """Of `completion`: the only model with a cache."""
    statistics = client.get_inference_statistics("completion")
    return sum(int(model.inference_stats.cache_hit.count) for model in statistics.model_stats)


def _inputs(prompt: Prompt) -> list[InferInput]:
    text = InferInput("text_input", [1, 1], "BYTES")
    text.set_data_from_numpy(np.array([[prompt.text]], dtype=np.object_))
    tokens = InferInput("max_tokens", [1, 1], "INT32")
    tokens.set_data_from_numpy(np.array([[_TOKENS]], dtype=np.int32))
    return [text, tokens]

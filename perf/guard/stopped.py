"""How long the engine works on for a stream that a guard has ended.

The clock starts when the client reads `content_filter` and ends when the worker says that it has let the request
go. The stop is sent before the client is told, so a figure may be below zero.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import yaml

from headrace.client import STREAM_MODEL
from headrace.guard.policy import PolicyFile
from perf.core.cancel import streams_beside
from perf.core.plan import PROMPT_TOKENS
from perf.load import LoadClient, LoadFailed, question
from perf.prompts import PromptMaker
from perf.records import Recorder
from perf.worker_watch import LIMIT_SECONDS, WorkerWatch, watching

NAME = "guarded_stop"
SIDE = "blocked stream"
BACKGROUND = (0, 8)
_POLICY = "ends-soon"
_CATEGORY = "common_word"
_WORDS = ("of", "and", "to", "in", "is", "the", "a", "for", "that")
_TOKENS = 256
_TRIES = 8
"""A small model may begin to repeat itself, with none of these words."""


def with_policy(shipped: PolicyFile, folder: Path) -> Path:
    """A policy file as it is shipped, with one more policy, which hardly any answer passes."""
    said = shipped.model_dump(mode="json", exclude_unset=True)
    said["policies"][_POLICY] = {"stream": "windowed", "response": {_CATEGORY: {"block": 0.5}}}
    said.setdefault("rails", {}).setdefault("terms", {})[_CATEGORY] = {"terms": list(_WORDS)}
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(said), encoding="utf-8")
    return file


async def measure(
    record: Recorder, client: LoadClient, engine_socket: Path, prompts: PromptMaker, count: int
) -> None:
    """One round: alone, and beside eight other streams."""
    async with watching(engine_socket) as watch:
        for streams in BACKGROUND:
            async with streams_beside(client, prompts, streams):
                values = [await _one(client, watch, prompts) for _ in range(count)]
            record.add(NAME, SIDE, "s", values, background=streams)


async def _one(client: LoadClient, watch: WorkerWatch, prompts: PromptMaker) -> float:
    before = (await watch.stats()).cancelled
    for prompt in prompts.make(_TRIES, PROMPT_TOKENS):
        message = question(STREAM_MODEL, prompt, _TOKENS, guard_policy=_POLICY)
        async with asyncio.timeout(LIMIT_SECONDS):
            async for outputs in client.responses(message):
                reason = outputs["finish_reason"][4:].decode()
                told = time.monotonic()
        if reason == "content_filter":
            # The moment comes from the worker: asking late does not change it.
            return await watch.until_cancelled(before) - told
    raise LoadFailed(f"none of {_TRIES} answers had one of the words {', '.join(_WORDS)}")

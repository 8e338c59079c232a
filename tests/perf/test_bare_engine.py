"""The bare engine is a fair opponent: the platform's settings, and the same tokens from the same prompts."""

from __future__ import annotations

import pytest

from headrace.config import EngineConfig, OpenVinoConfig
from headrace.engine.openvino import OpenVinoEngine
from perf.bare_engine import EngineClass, Job, PlainLoop

_SCHEDULER_KEYS = (
    "cache_size",
    "max_num_batched_tokens",
    "max_num_seqs",
    "enable_prefix_caching",
    "dynamic_split_fuse",
    "num_kv_blocks",
    "use_cache_eviction",
)


@pytest.mark.parametrize("precision", ["auto", "bf16", "f32"])
async def test_the_settings_are_the_workers(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"precision": precision, "threads": 2, "max_batch_tokens": 128, "prefix_cache": False}
    config = EngineConfig(openvino=OpenVinoConfig.model_validate(settings), max_running=3)
    seen: list[tuple[object, ...]] = []

    class Pipeline:
        def __init__(self, *arguments: object) -> None:
            seen.append(arguments)

        def has_non_finished_requests(self) -> bool:
            return False

    monkeypatch.setattr("openvino_genai.ContinuousBatchingPipeline", Pipeline)
    engine = OpenVinoEngine()
    await engine.start(config)
    await engine.stop()
    PlainLoop(config)
    (model, scheduler, device, properties), (bare_model, bare_scheduler, bare_device, bare_properties) = seen
    assert (bare_model, bare_device, bare_properties) == (model, device, properties)
    for key in _SCHEDULER_KEYS:
        assert getattr(bare_scheduler, key) == getattr(scheduler, key), key


async def test_both_ways_make_every_token_of_every_prompt() -> None:
    config = EngineConfig(max_running=4)
    job = Job(prompts=[[1, 2, n] for n in range(3, 8)], concurrency=2, tokens=6)
    engine = EngineClass()
    await engine.start(config)
    for bare in (PlainLoop(config), engine):
        outcome = await bare.run(job)
        assert outcome.tokens == 30
        assert len(outcome.first_token_seconds) == 5
        assert all(0 < first <= outcome.seconds for first in outcome.first_token_seconds)
    await engine.stop()

"""The names of TensorRT-LLM's LLM API in the release that the engine is written for.

The facts lie in `llm_api_1.2.1.json`, so that options and requests can be checked without the package.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

import msgspec

VERSION = "1.2.1"
REQUIRED = "<required>"

NESTED = {
    "kv_cache_config": "KvCacheConfig",
    "cuda_graph_config": "CudaGraphConfig",
    "moe_config": "MoeConfig",
    "attention_dp_config": "AttentionDpConfig",
    "cache_transceiver_config": "CacheTransceiverConfig",
}
"""Arguments of `LLM` that are groups of options, and the class of `tensorrt_llm.llmapi` for each."""


class Parameter(msgspec.Struct, frozen=True):
    """One argument or field. `default` is JSON's form of it, or `REQUIRED`."""

    name: str
    type: str
    default: Any
    status: str = "stable"
    not_in: tuple[str, ...] = ()
    only_in: tuple[str, ...] = ()
    default_in: dict[str, Any] = {}
    constraint: str = ""

    @property
    def certain(self) -> bool:
        """Whether the releases before and after the pinned one both have it."""
        return not self.not_in and not self.only_in


@cache
def parameters(section: str) -> dict[str, Parameter]:
    """Arguments or fields by name. Sections: `LLM.__init__`, `LLM.generate_async`, `SamplingParams`, …"""
    return {entry.name: entry for entry in msgspec.convert(_facts()[section], list[Parameter])}


@cache
def names(section: str) -> tuple[str, ...]:
    """A plain list of names: `LLM.methods`, `LLM.positional`, `RequestOutput.methods`, `llmapi.errors`."""
    return tuple(_facts()[section])


@cache
def _facts() -> dict[str, Any]:
    file = resources.files(__package__) / f"llm_api_{VERSION}.json"
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return facts

"""Classes of the LLM API with the recorded release's names and defaults, and no others."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from headrace.engine.trtllm import api


def certain(section: str) -> list[api.Parameter]:
    return [parameter for parameter in api.parameters(section).values() if parameter.certain]


def _type(text: str) -> Any:
    """The recorded type where Python alone can express it, else anything."""
    try:
        return eval(text, {**vars(typing), "Path": Path})
    except (NameError, SyntaxError, TypeError):
        return Any


def _model(name: str, section: str) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for p in certain(section):
        nested = NESTED.get(p.name) if section == "LLM.__init__" else None
        if nested:
            fields[p.name] = (nested | None, nested() if p.default else None)
        else:
            fields[p.name] = (_type(p.type), ... if p.default == api.REQUIRED else p.default)
    return create_model(name, __config__=ConfigDict(extra="forbid", protected_namespaces=()), **fields)


def _dataclass(name: str, section: str, check: Callable[[Any], None]) -> type:
    fields: list[Any] = []
    for p in certain(section):
        if p.default == api.REQUIRED:
            fields.append((p.name, Any))
        elif p.default == []:
            fields.append((p.name, Any, dataclasses.field(default_factory=list)))
        else:
            fields.append((p.name, Any, p.default))
    namespace = {"__post_init__": check}
    return dataclasses.make_dataclass(name, fields, namespace=namespace, slots=True, kw_only=True)


def _check_sampling(params: Any) -> None:
    if params.temperature is not None and not params.temperature > 0:
        raise ValueError(f"temperature must be > 0, got {params.temperature}")
    if not params.max_tokens >= 1:
        raise ValueError(f"max_tokens must be >= 1, got {params.max_tokens}")


def _check_guided(params: Any) -> None:
    if sum(bool(getattr(params, f.name)) for f in dataclasses.fields(params)) > 1:
        raise ValueError("only one guide can be used for a request")


NESTED: dict[str, type[BaseModel]] = {}
NESTED.update({key: _model(name, name) for key, name in api.NESTED.items()})
KvCacheConfig = NESTED["kv_cache_config"]
CudaGraphConfig = NESTED["cuda_graph_config"]
MoeConfig = NESTED["moe_config"]
AttentionDpConfig = NESTED["attention_dp_config"]
CacheTransceiverConfig = NESTED["cache_transceiver_config"]
TorchLlmArgs = _model("TorchLlmArgs", "LLM.__init__")
SamplingParams: Any = _dataclass("SamplingParams", "SamplingParams", _check_sampling)
GuidedDecodingParams: Any = _dataclass("GuidedDecodingParams", "GuidedDecodingParams", _check_guided)
CompletionOutput: Any = _dataclass("CompletionOutput", "CompletionOutput", lambda _: None)

"""The names that `tensorrt_llm.llmapi` exports, as far as they are used."""

from tensorrt_llm._llm import LLM, RequestError, RequestOutput
from tensorrt_llm._types import (
    AttentionDpConfig,
    CacheTransceiverConfig,
    CompletionOutput,
    CudaGraphConfig,
    GuidedDecodingParams,
    KvCacheConfig,
    MoeConfig,
    SamplingParams,
)

__all__ = [
    "LLM",
    "AttentionDpConfig",
    "CacheTransceiverConfig",
    "CompletionOutput",
    "CudaGraphConfig",
    "GuidedDecodingParams",
    "KvCacheConfig",
    "MoeConfig",
    "RequestError",
    "RequestOutput",
    "SamplingParams",
]

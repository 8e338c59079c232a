"""The names that `tensorrt_llm.llmapi` exports, as far as they are used."""

from importlib import import_module

_fake = import_module("tensorrt_llm._fake")

LLM = _fake.LLM
SamplingParams = _fake.SamplingParams
GuidedDecodingParams = _fake.GuidedDecodingParams
KvCacheConfig = _fake.KvCacheConfig
CudaGraphConfig = _fake.CudaGraphConfig
MoeConfig = _fake.MoeConfig
AttentionDpConfig = _fake.AttentionDpConfig
CacheTransceiverConfig = _fake.CacheTransceiverConfig
CompletionOutput = _fake.CompletionOutput
RequestOutput = _fake.RequestOutput

"""The model of `LLM`'s arguments."""

from tensorrt_llm._types import TorchLlmArgs

__all__ = ["TorchLlmArgs"]

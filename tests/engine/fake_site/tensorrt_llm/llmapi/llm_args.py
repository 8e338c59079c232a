"""The model of `LLM`'s arguments."""

from importlib import import_module

TorchLlmArgs = import_module("tensorrt_llm._fake").TorchLlmArgs

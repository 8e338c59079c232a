"""TensorRT-LLM on NVIDIA GPUs, through its LLM API (PyTorch backend)."""

from headrace.engine.trtllm.engine import TrtLlmEngine

__all__ = ["TrtLlmEngine"]

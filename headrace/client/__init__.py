"""A client of the two public models over gRPC: one answer, or a stream of its chunks."""

from headrace.client.connection import ENGINE_MODEL, PUBLIC_MODELS, STREAM_MODEL, UNARY_MODEL, Client, stop_message
from headrace.client.question import Chunk, Question

__all__ = [
    "ENGINE_MODEL",
    "PUBLIC_MODELS",
    "STREAM_MODEL",
    "UNARY_MODEL",
    "Chunk",
    "Client",
    "Question",
    "stop_message",
]

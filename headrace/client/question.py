"""What may be asked of the public models, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headrace.client import tensors
from headrace.client.protocol import service_pb2
from headrace.client.tensors import BOOL, BYTES, FP32, INT32, UINT64, Kind, Message, Outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One request; its fields are the models' inputs. What is None is left out: the server's default applies."""

    text_input: str | None = None
    """The prompt; or else `messages`."""
    messages: str | None = None
    """A conversation, as JSON."""
    max_tokens: int | None = None
    min_tokens: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    random_seed: int | None = None
    stop_words: tuple[str, ...] = ()
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    return_log_probs: bool | None = None
    response_format: str | None = None
    """A JSON schema."""
    cache_scope: str | None = None
    """Who may share a cached answer."""
    guard_policy: str | None = None

    def message(self, model: str, request_id: str = "") -> Message:
        """`service_pb2.ModelInferRequest`. Raises `InvalidRequest` for a value that no tensor can hold."""
        message = service_pb2.ModelInferRequest(model_name=model, id=request_id)
        for name, kind in INPUTS.items():
            value: Any = getattr(self, name)
            if value is None or value == ():
                continue
            tensors.add(message, name, kind, value if isinstance(value, tuple) else (value,))
        return message


INPUTS: dict[str, Kind] = {
    "text_input": BYTES,
    "messages": BYTES,
    "max_tokens": INT32,
    "min_tokens": INT32,
    "temperature": FP32,
    "top_k": INT32,
    "top_p": FP32,
    "random_seed": UINT64,
    "stop_words": BYTES,
    "frequency_penalty": FP32,
    "presence_penalty": FP32,
    "repetition_penalty": FP32,
    "return_log_probs": BOOL,
    "response_format": BYTES,
    "cache_scope": BYTES,
    "guard_policy": BYTES,
}
"""Name → datatype, of shape [1, 1]; `stop_words` is [1, n]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A piece of an answer, or all of it. The last one has a finish reason, the counts and the verdict."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    log_probs: tuple[float, ...] = ()
    """Of the tokens in this piece, when they were asked for."""
    log_prob_tokens: tuple[str, ...] = ()
    """These tokens (`headrace.text.token_text`); empty ones stand where text was taken out."""
    guard: str = ""
    """The verdict, as JSON (docs/guardrails.md)."""

    @classmethod
    def read(cls, found: Outputs) -> Chunk:
        return cls(
            text=tensors.text(found, "text_output"),
            finish_reason=tensors.text(found, "finish_reason") or None,
            prompt_tokens=tensors.integer(found, "prompt_tokens"),
            completion_tokens=tensors.integer(found, "completion_tokens"),
            log_probs=tensors.floats(found, "log_probs"),
            log_prob_tokens=tensors.texts(found, "log_prob_tokens"),
            guard=tensors.text(found, "guard"),
        )

"""What makes two requests the same: everything that changes the answer, and who may share it."""

from __future__ import annotations

import hashlib
from dataclasses import fields

import msgspec

from headrace.client import Question

_FIELDS = tuple(field.name for field in fields(Question))


def is_deterministic(question: Question) -> bool:
    """The server's own default temperature is 0, which takes the likeliest token."""
    return not question.temperature or question.random_seed is not None


def key(question: Question, *, scope: str, model_version: str, policy_version: str, whole: bool) -> bytes:
    """`question` is as the server gets it. `whole`: the pieces of a stream differ from a whole answer, of which a
    policy may show other parts."""
    values = [getattr(question, name) for name in _FIELDS]
    said = msgspec.msgpack.encode([scope, model_version, policy_version, whole, values])
    return hashlib.sha256(said).digest()

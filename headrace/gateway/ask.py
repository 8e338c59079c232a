"""One request, whatever dialect it came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from headrace.client import Question

Dialect = Literal["openai", "triton-http", "triton-grpc"]


@dataclass(frozen=True, slots=True)
class CacheWish:
    """What `cache-control` says."""

    read: bool = True
    """False for `no-cache`: do not answer from it."""
    write: bool = True
    """False for `no-store`: keep nothing of this request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    question: Question
    """Without `guard_policy` and `cache_scope`: those are the tenant's."""
    model: str
    """As the client named it."""
    stream: bool
    dialect: Dialect
    operation: str
    request_id: str
    choices: int = 1
    deadline: float | None = None
    """On the event loop's clock: an answer that comes later is of no use."""
    cache: CacheWish = field(default_factory=CacheWish)
    trace_id: str = ""

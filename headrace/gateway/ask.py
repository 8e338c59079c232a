"""One request, whatever dialect it came in."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.audit.record import Dialect
from headrace.client import Question
from headrace.gateway.trace import Trace


@dataclass(frozen=True, slots=True)
class Call:
    """That somebody asks, before it is known who and what."""

    dialect: Dialect
    operation: str
    """Such as `chat.completions` or `ModelInfer`."""
    request_id: str
    trace: Trace


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
    """Its `guard_policy` and `cache_scope` are wishes: the tenant's settings go before them."""
    model: str
    """As the client named it."""
    stream: bool
    choices: int = 1
    deadline: float | None = None
    """On the event loop's clock: an answer that comes later is of no use."""
    cache: CacheWish = field(default_factory=CacheWish)

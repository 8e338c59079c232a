"""What the audit log says of a request, and of its own recovery."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

Dialect = Literal["openai", "triton-http", "triton-grpc"]
CacheState = Literal["hit", "miss", "join", "bypass"]
Outcome = Literal["ok", "blocked", "refused", "cancelled", "failed", "deadline", "budget"]
HeadState = Literal["ok", "missing", "bad", "ahead", "differs"]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from when the request came in; None for what it did not get to."""

    queue: float | None = None
    """How long it waited to be admitted."""
    first_token: float | None = None
    total: float | None = None


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One request. The fields stand in its line in this order, between those of `AuditLine`."""

    time: str
    """When it came in, as `timestamp` writes it."""
    request_id: str
    trace_id: str | None = None
    """Of the W3C trace context."""
    tenant: str | None = None
    """None: who asked was not known."""
    key_id: str | None = None
    """Never the key."""
    dialect: Dialect
    operation: str
    """Such as `chat.completions` or `ModelInfer`."""
    model: str | None = None
    model_version: str | None = None
    policy: str | None = None
    policy_version: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: int = 0
    """What was taken from the budget: billionths of the currency's unit."""
    currency: str = "USD"
    guard: dict[str, Any] = msgspec.field(default_factory=dict)
    """Both halves of the verdict: actions, scores, versions. No text."""
    cache: CacheState = "bypass"
    latency_ms: Latency = Latency()
    outcome: Outcome
    status: int
    """HTTP status; over gRPC the one that its code maps to."""
    finish_reason: str | None = None
    error: str | None = None
    """The error's class. Never its message, which may hold text."""
    prompt_hmac: str | None = None
    answer_hmac: str | None = None
    prompt: str | UnsetType = UNSET
    """The texts themselves stand here only if the tenant opted in; else the line does not have these fields."""
    answer: str | UnsetType = UNSET


class AuditLine(AuditRecord, frozen=True, kw_only=True):
    """A record as it stands in the log."""

    schema: int
    sequence: int
    prev: str
    hash: str


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """The log was not as it was left, most likely by a crash, and goes on from here."""

    time: str
    lost_bytes: int
    """Of unfinished lines, cut off the end."""
    kept: str | None
    """File with these bytes, beside the segments."""
    lost_records: int
    """Confirmed by the head, and not in the log: no crash does that, but the loss of power under fsync `never`."""
    head: HeadState
    """What the head was; all but `ok` are findings of a verification."""


_encoder = msgspec.json.Encoder()


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC, always with microseconds: sorts as text. Raises `ValueError` for a time without a zone."""
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone; give one, such as datetime.now(UTC)")
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def encode(record: AuditRecord | Recovered) -> bytes:
    """The record's fields as they stand in a line: JSON without the braces.

    A lone surrogate, which is not text, becomes `?`: whatever a client sent, its record is written.
    """
    try:
        return _encoder.encode(record)[1:-1]
    except UnicodeEncodeError:
        return _encoder.encode(_readable(msgspec.to_builtins(record)))[1:-1]


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    return value

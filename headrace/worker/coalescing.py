"""Tokens of one stream, gathered into fewer responses.

Each response costs every step of the ensemble about the same, whatever it holds. So the first token goes at
once, the first few where a guard waits for the end of the first word. Later ones travel together: up to
`max_tokens`, or as many as are there at the next departure. Departures are `max_delay_ms` apart and the same for
all streams: what leaves together wakes the steps once.
"""

from __future__ import annotations

from headrace.config import CoalescingConfig
from headrace.engine.interface import FinishReason, TokenDelta


class Coalescer:
    """Gathers deltas of one request. `now` is a monotonic clock in seconds, given by the caller."""

    def __init__(self, policy: CoalescingConfig, stream: bool, first_tokens: int = 1) -> None:
        self._max_tokens = policy.max_tokens
        self._max_delay = policy.max_delay_ms / 1000
        self._stream = stream
        self._first_tokens = first_tokens
        """How many are still to go at once."""
        self._token_ids: list[int] = []
        self._log_probs: list[float] = []
        self._finish_reason: FinishReason | None = None
        self._departure = 0.0

    def add(self, delta: TokenDelta, now: float) -> None:
        if not self._token_ids:
            self._departure = _next_departure(now, self._max_delay)
        self._token_ids += delta.token_ids
        self._log_probs += delta.log_probs
        self._finish_reason = delta.finish_reason

    def due(self, now: float) -> bool:
        """True when what was gathered should be sent now."""
        if self._finish_reason is not None:
            return True
        if not self._stream or not self._token_ids:
            return False
        if self._first_tokens > 0 or len(self._token_ids) >= self._max_tokens:
            return True
        return now >= self._departure

    def due_at(self) -> float | None:
        """When the gathered tokens become due by time alone; None when nothing waits."""
        if not self._stream or not self._token_ids:
            return None
        return self._departure

    def take(self) -> TokenDelta:
        """Everything gathered; starts anew."""
        delta = TokenDelta(tuple(self._token_ids), tuple(self._log_probs), self._finish_reason)
        self._first_tokens -= len(self._token_ids)
        self._token_ids, self._log_probs = [], []
        return delta


def _next_departure(now: float, interval: float) -> float:
    return min(now + interval, (now // interval + 1) * interval) if interval else now

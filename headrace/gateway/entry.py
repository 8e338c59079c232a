"""What is known of a request by now: filled on its way, settled and recorded at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from headrace.audit.record import CacheState, Outcome
from headrace.client import Chunk
from headrace.errors import (
    BudgetSpent,
    DeadlineExceeded,
    Forbidden,
    HeadraceError,
    InvalidRequest,
    NotFound,
    RateLimited,
    RequestCancelled,
    Unauthenticated,
)
from headrace.gateway.ask import Ask, Call
from headrace.gateway.rules import Terms
from headrace.gateway.verdict import read
from headrace.limits.model import Reservation
from headrace.tenants.identity import Identity

_REFUSALS = (RateLimited, InvalidRequest, NotFound, Forbidden, Unauthenticated)


@dataclass(slots=True)
class Entry:
    call: Call
    began: float
    """On the event loop's clock."""
    at: datetime
    identity: Identity | None = None
    ask: Ask | None = None
    terms: Terms | None = None
    reservation: Reservation | None = None
    cache: tuple[CacheState, ...] = ()
    """Of each choice."""
    error: BaseException | None = None
    admitted: float | None = None
    """When the engine took it: no sooner than all of its choices."""
    first: float | None = None
    """When the first text came."""
    last: dict[int, Chunk] = field(default_factory=dict)
    """Of each choice."""
    texts: dict[int, list[str]] = field(default_factory=dict)
    renewal: asyncio.TimerHandle | None = None
    settling: asyncio.Task[None] | None = None
    billed_prompt_tokens: int = 0
    billed_completion_tokens: int = 0
    cost: int = 0
    """Nano units; these three once it is settled."""

    def was_admitted(self) -> None:
        self.admitted = asyncio.get_running_loop().time()

    def came(self, index: int, chunk: Chunk) -> None:
        if self.first is None and chunk.text:
            self.first = asyncio.get_running_loop().time()
        self.last[index] = chunk
        self.texts.setdefault(index, []).append(chunk.text)

    @property
    def completion_tokens(self) -> int:
        """Those that came, or that the engine made for this request alone before its client left."""
        return max(self.billed_completion_tokens, self._came())

    def _came(self) -> int:
        return sum(chunk.completion_tokens or 0 for chunk in self.last.values())

    @property
    def finish_reason(self) -> str | None:
        """Of the first choice; `content_filter` of any counts before others."""
        reasons = [self.last[index].finish_reason for index in sorted(self.last)]
        return "content_filter" if "content_filter" in reasons else next(iter(reasons), None)

    @property
    def guard(self) -> dict[str, Any]:
        """The first choice's verdict; {} when it has none."""
        found = next((self.last[index].guard for index in sorted(self.last) if self.last[index].guard), "")
        return read(found)

    @property
    def answer(self) -> Sequence[str]:
        """The text of each choice."""
        return ["".join(self.texts[index]) for index in sorted(self.texts)]

    @property
    def abandoned(self) -> bool:
        """By its client, which went away or gave it too little time."""
        match self.outcome:
            case "cancelled":
                return True
            case "deadline":
                now = asyncio.get_running_loop().time()
                return self.ask is not None and self.ask.deadline is not None and self.ask.deadline <= now
        return False

    @property
    def outcome(self) -> Outcome:
        match self.error:
            case None:
                return "blocked" if self.finish_reason == "content_filter" else "ok"
            case BudgetSpent():
                return "budget"
            case DeadlineExceeded():
                return "deadline"
            case RequestCancelled() | asyncio.CancelledError() | GeneratorExit():
                return "cancelled"
            case error if isinstance(error, _REFUSALS):
                return "refused"
        return "failed"

    @property
    def status(self) -> int:
        """HTTP's."""
        if self.error is None:
            return 200
        if isinstance(self.error, HeadraceError):
            return self.error.http_status
        return RequestCancelled.http_status if self.outcome == "cancelled" else HeadraceError.http_status

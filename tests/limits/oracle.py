"""What a store must say, worked out anew each time from a list of all that happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from headrace.limits.budget import Period
from headrace.limits.model import Limits, Used, Wanted

MICROSECONDS = 1_000_000
WINDOW = 60 * MICROSECONDS


@dataclass
class Request:
    wanted: Wanted
    admitted: int
    """Microseconds of the monotonic clock, as all times here."""
    lease_end: int
    tokens: int
    """That count in the window now."""
    settled: bool = False


@dataclass
class Oracle:
    limits: Limits
    lease: int
    requests: list[Request] = field(default_factory=list)
    extra: list[tuple[int, int]] = field(default_factory=list)
    """Tokens beyond the reservation: when they were settled, how many."""
    spent: list[tuple[float, int]] = field(default_factory=list)
    """Wall clock and nano units of each settle."""

    def fits(self, wanted: Wanted, now: int, wall: float) -> bool:
        limits = self.limits
        requests, tokens = self.window(now)
        running = [one for one in self.requests if self._open(one, now)]
        held = sum(one.wanted.cost for one in running)
        places = sum(one.wanted.places for one in running) + wanted.places
        return (
            (limits.requests_per_minute is None or requests + 1 <= limits.requests_per_minute)
            and (limits.tokens_per_minute is None or tokens + wanted.tokens <= limits.tokens_per_minute)
            and (limits.concurrent_requests is None or places <= limits.concurrent_requests)
            and all(
                self.spent_in(budget.period, wall) + held + wanted.cost <= budget.amount
                for budget in limits.budgets
            )
        )

    def window(self, now: int) -> tuple[int, int]:
        """Requests and tokens of the 61 whole seconds that lie in the last 60, in part or as a whole."""
        since = now // MICROSECONDS * MICROSECONDS - WINDOW
        recent = [one.tokens for one in self.requests if one.admitted >= since]
        return len(recent), sum(recent) + sum(tokens for when, tokens in self.extra if when >= since)

    def admit(self, wanted: Wanted, now: int) -> None:
        self.requests.append(Request(wanted, now, now + self.lease, wanted.tokens))

    def settle(self, place: int, used: Used, now: int, wall: float) -> None:
        one = self.requests[place]
        if one.settled:
            return
        one.settled = True
        self.spent.append((wall, used.cost))
        if used.tokens > one.tokens:
            self.extra.append((now, used.tokens - one.tokens))
        elif one.admitted >= now // MICROSECONDS * MICROSECONDS - WINDOW:
            one.tokens = used.tokens

    def renew(self, place: int, now: int) -> bool:
        one = self.requests[place]
        if not self._open(one, now):
            return False
        one.lease_end = now + self.lease
        return True

    def spent_in(self, period: Period, wall: float) -> int:
        return sum(cost for when, cost in self.spent if _period(period, when) == _period(period, wall))

    def most_in_a_minute(self) -> tuple[int, int]:
        """Requests and tokens in the fullest span of exactly 60 s, to the microsecond, wherever it lies."""
        events = [(one.admitted, 1, one.tokens) for one in self.requests]
        events += [(when, 0, tokens) for when, tokens in self.extra]
        spans = [[event for event in events if end - WINDOW <= event[0] <= end] for end, *_ in events]
        return (
            max((sum(requests for _, requests, _ in span) for span in spans), default=0),
            max((sum(tokens for *_, tokens in span) for span in spans), default=0),
        )

    @staticmethod
    def _open(one: Request, now: int) -> bool:
        return not one.settled and one.lease_end > now


def _period(period: Period, wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime({"day": "%Y-%m-%d", "month": "%Y-%m", "total": ""}[period])

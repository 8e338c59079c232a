"""Limits as response headers, in the names and forms of OpenAI's API (its guide "Rate limits in headers")."""

from __future__ import annotations

import math

from headrace.errors import HeadraceError
from headrace.limits.errors import NEVER_SECONDS, BudgetReached, LimitReached
from headrace.limits.standing import Rate, Standing

Headers = list[tuple[bytes, bytes]]


def standing(found: Standing) -> Headers:
    """`x-ratelimit-*` of each limit that there is."""
    return [*_rate(b"requests", found.requests), *_rate(b"tokens", found.tokens)]


def refused(error: HeadraceError) -> Headers:
    """`retry-after` where it is known, where the client stands, and `x-should-retry: false` (the official clients
    honour it) where waiting does not help."""
    if error.retry_after is None:
        return []
    headers: Headers = [(b"retry-after", b"%d" % max(1, math.ceil(error.retry_after)))]
    if error.retry_after >= NEVER_SECONDS:
        headers.append((b"x-should-retry", b"false"))
    if isinstance(error, LimitReached | BudgetReached):
        headers += standing(error.standing)
    return headers


def duration(seconds: float) -> str:
    """As OpenAI writes it: `20ms`, `1s`, `6m0s`, `1h0m0s`. Rounded up, to a millisecond below a second."""
    if seconds < 1 and (milliseconds := max(0, math.ceil(seconds * 1000))) < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _rate(what: bytes, rate: Rate | None) -> Headers:
    if rate is None:
        return []
    return [
        (b"x-ratelimit-limit-" + what, b"%d" % rate.limit),
        (b"x-ratelimit-remaining-" + what, b"%d" % rate.remaining),
        (b"x-ratelimit-reset-" + what, duration(rate.reset_seconds).encode()),
    ]

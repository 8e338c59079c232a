from __future__ import annotations

import pytest

from headrace.errors import Overloaded
from headrace.limits import headers
from headrace.limits.budget import Budget
from headrace.limits.errors import NEVER_SECONDS, BudgetReached, LimitReached
from headrace.limits.standing import UNKNOWN, BudgetLeft, Rate, Standing

STANDING = Standing(Rate(60, 59, 1.0), Rate(150_000, 149_984, 360.0), (BudgetLeft(Budget(5, "day"), 3),))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0s"), (-1, "0s"), (0.0001, "1ms"), (0.02, "20ms"), (0.9991, "1s"), (1, "1s"), (1.01, "2s"),
        (59.5, "1m0s"),
        (61, "1m1s"), (360, "6m0s"), (3599.1, "1h0m0s"), (3600, "1h0m0s"), (90_061, "25h1m1s"),
    ],
)  # fmt: skip
def test_a_duration_is_written_as_openai_does(seconds: float, said: str) -> None:
    assert headers.duration(seconds) == said


def test_a_standing_is_told_in_openais_headers() -> None:
    assert headers.standing(STANDING) == [
        (b"x-ratelimit-limit-requests", b"60"),
        (b"x-ratelimit-remaining-requests", b"59"),
        (b"x-ratelimit-reset-requests", b"1s"),
        (b"x-ratelimit-limit-tokens", b"150000"),
        (b"x-ratelimit-remaining-tokens", b"149984"),
        (b"x-ratelimit-reset-tokens", b"6m0s"),
    ]
    assert headers.standing(UNKNOWN) == []


@pytest.mark.parametrize(("seconds", "said"), [(0, b"1"), (0.2, b"1"), (1, b"1"), (1.001, b"2"), (59.5, b"60")])
def test_retry_after_is_in_whole_seconds_rounded_up(seconds: float, said: bytes) -> None:
    assert headers.refused(Overloaded("busy", seconds)) == [(b"retry-after", said)]


@pytest.mark.parametrize("kind", [LimitReached, BudgetReached])
def test_a_refusal_says_where_the_client_stands(kind: type[LimitReached | BudgetReached]) -> None:
    told = headers.refused(kind("too much", 3.2, STANDING))
    assert told == [(b"retry-after", b"4"), *headers.standing(STANDING)]


def test_what_waiting_does_not_help_with_should_not_be_tried_again() -> None:
    told = dict(headers.refused(LimitReached("too much", NEVER_SECONDS, UNKNOWN)))
    assert told == {b"retry-after": b"86400", b"x-should-retry": b"false"}

"""How long the last answers took."""

from __future__ import annotations

import pytest

from headrace.gateway.recent import MOST, SPAN_SECONDS, RecentLatency


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_percentiles_are_times_that_were_measured() -> None:
    recent = RecentLatency(Clock())
    for number in range(1, 101):
        recent.add(number / 1000, number / 100)
    said = recent.said()
    assert said["requests"] == 100
    assert said["first_token_ms"] == pytest.approx({"p50": 50.0, "p95": 95.0})
    assert said["total_ms"] == pytest.approx({"p50": 500.0, "p95": 950.0})


def test_only_streams_have_a_first_token() -> None:
    recent = RecentLatency(Clock())
    recent.add(None, 0.2)
    assert recent.said()["first_token_ms"] is None
    assert recent.said()["total_ms"] == {"p50": 200.0, "p95": 200.0}


def test_what_is_long_ago_is_forgotten() -> None:
    clock = Clock()
    recent = RecentLatency(clock)
    recent.add(0.1, 0.2)
    clock.now += SPAN_SECONDS / 2
    recent.add(0.3, 0.4)
    clock.now += SPAN_SECONDS / 2 + 1
    assert recent.said()["total_ms"] == {"p50": 400.0, "p95": 400.0}
    clock.now += SPAN_SECONDS
    assert (recent.said()["requests"], recent.said()["total_ms"]) == (0, None)


def test_it_keeps_so_many_and_no_more() -> None:
    recent = RecentLatency(Clock())
    for _ in range(2 * MOST):
        recent.add(0.1, 0.2)
    assert recent.said()["requests"] == MOST

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.serving.backoff import Backoff


def test_doubles_up_to_the_longest_wait_and_then_gives_up() -> None:
    backoff = Backoff(first=0.2, longest=1.0, most_quick_deaths=6)
    assert [backoff.after_death(0.1) for _ in range(6)] == [0.2, 0.4, 0.8, 1.0, 1.0, None]


def test_a_long_life_starts_the_count_anew() -> None:
    backoff = Backoff(most_quick_deaths=3)
    assert [backoff.after_death(seconds) for seconds in (1, 1, 30, 1)] == [0.2, 0.4, 0.2, 0.4]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40))
def test_gives_up_exactly_after_the_eighth_quick_death_in_a_row(lifetimes: list[float]) -> None:
    backoff = Backoff()
    in_a_row = 0
    for lifetime in lifetimes:
        in_a_row = 1 if lifetime >= backoff.settled else in_a_row + 1
        delay = backoff.after_death(lifetime)
        assert (delay is None) == (in_a_row >= 8)
        assert delay is None or 0.2 <= delay <= 10

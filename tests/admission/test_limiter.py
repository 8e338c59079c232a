from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.admission.config import AdmissionConfig
from headrace.admission.limiter import FAILED, Limiter


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def config(**values: object) -> AdmissionConfig:
    return AdmissionConfig.model_validate({"initial_limit": 16, "min_limit": 2, "smoothing": 1.0, **values})


def window(limiter: Limiter, clock: Clock, ratios: list[float], in_flight: int | None = None) -> int:
    """One, of requests let in after the last, which fill the limit. Returns the limit after it."""
    clock.now += 0.001
    granted = clock.now
    for ratio in ratios[:-1]:
        limiter.add(ratio, granted, limiter.limit if in_flight is None else in_flight)
    clock.now += 0.6
    limiter.add(ratios[-1], granted, limiter.limit if in_flight is None else in_flight)
    return limiter.limit


def test_it_grows_by_its_root_and_less_near_the_objective(clock: Clock) -> None:
    limiter = Limiter(config(), clock)
    assert window(limiter, clock, [0.0] * 20) == 16 + 8
    limiter = Limiter(config(), clock)
    assert window(limiter, clock, [0.75] * 20) == 16 + 2
    limiter = Limiter(config(), clock)
    assert window(limiter, clock, [1.0] * 20) == 16


def test_it_falls_as_far_as_the_objective_is_missed_and_never_by_more_than_half(clock: Clock) -> None:
    assert window(Limiter(config(), clock), clock, [1.25] * 20) == 12
    assert window(Limiter(config(), clock), clock, [50.0] * 20) == 8


def test_smoothing_takes_only_a_part_of_each_move(clock: Clock) -> None:
    assert window(Limiter(config(smoothing=0.5), clock), clock, [0.0] * 20) == 20
    assert window(Limiter(config(smoothing=0.5), clock), clock, [9.0] * 20) == 12


def test_one_slow_request_in_twenty_is_within_p95_and_two_are_not(clock: Clock) -> None:
    assert window(Limiter(config(), clock), clock, [9.0] + [0.5] * 19) > 16
    assert window(Limiter(config(), clock), clock, [9.0, 9.0] + [0.5] * 18) < 16


def test_failures_by_overload_lower_it(clock: Clock) -> None:
    assert window(Limiter(config(), clock), clock, [FAILED, FAILED] + [0.1] * 18) == 8


@pytest.mark.parametrize("ratio", [0.1, 9.0])
def test_a_limit_that_is_not_half_used_stays(clock: Clock, ratio: float) -> None:
    limiter = Limiter(config(), clock)
    assert window(limiter, clock, [ratio] * 20, in_flight=7) == 16
    assert limiter.last.p95 == ratio
    assert window(limiter, clock, [ratio] * 20, in_flight=8) != 16


def test_it_keeps_within_its_bounds(clock: Clock) -> None:
    limiter = Limiter(config(max_limit=20), clock)
    assert [window(limiter, clock, [0.0] * 20) for _ in range(2)] == [20, 20]
    assert [window(limiter, clock, [FAILED] * 20) for _ in range(5)] == [10, 5, 2, 2, 2]


def test_who_was_let_in_before_a_decrease_tells_nothing_of_the_limit_after_it(clock: Clock) -> None:
    limiter = Limiter(config(), clock)
    before = clock.now
    assert window(limiter, clock, [9.0] * 20) == 8
    for _ in range(100):
        clock.now += 0.1
        limiter.add(9.0, before, 16)
    assert limiter.limit == 8
    assert window(limiter, clock, [9.0] * 20) == 4


def test_a_window_needs_enough_samples_and_enough_time(clock: Clock) -> None:
    limiter = Limiter(config(window_samples=20, window_ms=500, max_window_ms=2000), clock)
    start = clock.now
    for _ in range(1000):
        limiter.add(0.0, start, 16)
    assert limiter.last.samples == 0
    clock.now += 0.5
    limiter.add(0.0, start, 16)
    assert limiter.last.samples == 1001


def test_a_window_ends_with_few_samples_when_it_gets_old(clock: Clock) -> None:
    limiter = Limiter(config(window_samples=20, window_ms=500, max_window_ms=2000), clock)
    start = clock.now
    limiter.add(9.0, start, 16)
    clock.now += 1.9
    limiter.add(9.0, start, 16)
    assert limiter.limit == 16
    clock.now += 0.1
    limiter.add(9.0, start, 16)
    assert (limiter.limit, limiter.last.samples) == (8, 3)


def test_the_first_sample_after_a_silence_is_no_window_of_its_own(clock: Clock) -> None:
    limiter = Limiter(config(), clock)
    clock.now += 3600
    limiter.add(9.0, clock.now, 16)
    assert (limiter.limit, limiter.last.samples) == (16, 0)


def rested(engine: Callable[[float], float], start: int, windows: int, smoothing: float) -> list[int]:
    """The limits, window by window, of an engine whose P95 / objective is this function of them."""
    clock = Clock()
    limiter = Limiter(config(initial_limit=start, max_limit=400, smoothing=smoothing), clock)
    return [window(limiter, clock, [engine(limiter._exact)] * 20) for _ in range(windows)]


@given(best=st.integers(8, 144), start=st.integers(2, 400), power=st.floats(1.0, 2.0))
def test_it_comes_to_rest_where_the_objective_is_just_met(best: int, start: int, power: float) -> None:
    """From wherever it starts, within 80 windows, without passing by on the way down."""
    limits = rested(lambda limit: (limit / best) ** power, start, 80, AdmissionConfig().smoothing)
    assert all(abs(limit - best) <= max(2.0, 0.1 * best) for limit in limits[-5:])
    if start > best:
        assert min(limits) >= math.floor(0.9 * best) - 1


@given(best=st.integers(8, 144))
def test_it_follows_an_engine_that_gets_half_as_fast_and_recovers(best: int) -> None:
    """15 windows down, 60 up again, to within 10 % (or 2)."""
    clock = Clock()
    limiter = Limiter(config(initial_limit=best, max_limit=400, smoothing=AdmissionConfig().smoothing), clock)
    for windows, speed in ((15, best / 2), (60, float(best))):
        for _ in range(windows):
            window(limiter, clock, [limiter._exact / speed] * 20)
        assert abs(limiter.limit - speed) <= max(2.0, 0.1 * speed)

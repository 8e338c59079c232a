from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf.statistics import Bound, Estimate, bootstrap, geometric_mean, pooled, quantile, ratio

times = st.lists(st.floats(0.001, 1000), min_size=1, max_size=50)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([3, 1, 2], 0.5, 2),
        ([1, 2, 3, 4], 0.5, 2.5),
        (list(range(101)), 0.95, 95),
        ([7], 0.95, 7),
        ([0, 10], 0.95, 9.5),
    ],
)
def test_quantile_of_known_values(values: list[float], share: float, expected: float) -> None:
    assert quantile(values, share) == pytest.approx(expected)


def test_nothing_has_no_quantile_and_no_mean() -> None:
    assert math.isnan(quantile([], 0.5))
    assert math.isnan(geometric_mean([]))


@given(times, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_rise_and_stay_within_the_values(values: list[float], one: float, other: float) -> None:
    low, high = sorted((quantile(values, one), quantile(values, other)), key=float)
    if one > other:
        one, other = other, one
    assert quantile(values, one) <= quantile(values, other) * (1 + 1e-12)
    assert min(values) <= low * (1 + 1e-12)
    assert high <= max(values) * (1 + 1e-12)


def test_a_ratio_by_hand() -> None:
    """Of 0.9 and 1.1 the geometric mean is the root of 0.99; the ends are what drawing one of them twice gives."""
    found = ratio([90, 110], [100, 100])
    assert found.value == pytest.approx(0.994987, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((0.9, 1.1))


def test_ratios_are_paired_by_round() -> None:
    """The machine was twice as fast in the second round; the ratio does not care."""
    found = ratio([90, 180, 45], [100, 200, 50])
    assert (found.value, found.low, found.high) == pytest.approx((0.9, 0.9, 0.9))


def test_a_ratio_needs_both_sides_of_a_round() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])


@settings(max_examples=20)
@given(st.lists(times, min_size=2, max_size=3))
def test_an_interval_holds_its_value_and_lies_within_the_values(rounds: list[list[float]]) -> None:
    found = bootstrap(rounds, pooled(lambda values: quantile(values, 0.5)))
    values = [value for part in rounds for value in part]
    assert min(values) * (1 - 1e-9) <= found.low <= found.high <= max(values) * (1 + 1e-9)


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(7)
    trials = 100
    held = 0
    for trial in range(trials):
        rounds = [[value] for value in draw.normal(5, 1, size=20)]
        found = bootstrap(rounds, pooled(lambda values: sum(values) / len(values)), seed=trial)
        held += found.low <= 5 <= found.high
    assert 85 <= held <= 100


def test_more_rounds_make_a_narrower_interval() -> None:
    """About twice 1.96 standard errors wide: 0.78 for 25 rounds with a deviation of one."""
    rounds = [[value] for value in np.random.default_rng(3).normal(5, 1, size=25)]
    found = bootstrap(rounds, pooled(lambda values: sum(values) / len(values)))
    assert 0.5 < found.high - found.low < 1.1


def test_rounds_are_drawn_not_values() -> None:
    """Many values of two rounds that disagree tell no more than the two rounds."""
    found = bootstrap([[1.0] * 500, [3.0] * 500], pooled(lambda values: sum(values) / len(values)))
    assert (found.value, found.low, found.high) == (2, 1, 3)


def test_one_round_has_no_interval() -> None:
    found = bootstrap([[1.0, 2.0]], pooled(max))
    assert found.value == 2
    assert math.isnan(found.low)
    assert math.isnan(found.high)


_RATE = Bound(0.92, limit=0.85, at_least=True)
_TIME = Bound(0.050, limit=0.150)


@pytest.mark.parametrize(
    ("bound", "low", "high", "verdict"),
    [
        (_RATE, 0.93, 1.0, "pass"),
        (_RATE, 0.92, 0.95, "pass"),
        (_RATE, 0.90, 0.95, "inconclusive"),
        (_RATE, 0.86, 0.91, "below target"),
        (_RATE, 0.84, 0.91, "inconclusive"),
        (_RATE, 0.70, 0.84, "fail"),
        (_TIME, 0.010, 0.050, "pass"),
        (_TIME, 0.040, 0.060, "inconclusive"),
        (_TIME, 0.060, 0.140, "below target"),
        (_TIME, 0.160, 0.200, "fail"),
        (Bound(3.0, at_least=True), 2.0, 2.9, "fail"),
        (Bound(3.0, at_least=True), 2.0, 3.1, "inconclusive"),
        (_RATE, math.nan, math.nan, "inconclusive"),
    ],
)
def test_a_verdict_needs_the_whole_interval(bound: Bound, low: float, high: float, verdict: str) -> None:
    assert bound.judge(Estimate((low + high) / 2, low, high, rounds=7)) == verdict

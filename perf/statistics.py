"""Quantiles, and intervals by bootstrap over rounds.

A round is the unit that is drawn again: values within a round share what else the machine did at that time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
FEWEST_ROUNDS = 6
"""For a verdict: an interval from fewer rounds is too narrow to be believed."""

Values = Sequence[float]
Round = TypeVar("Round")
Verdict = Literal["pass", "below target", "fail", "inconclusive"]


@dataclass(frozen=True)
class Estimate:
    """A value and the interval that holds it with 95 % confidence; nan ends when there is none."""

    value: float
    low: float
    high: float
    rounds: int

    @classmethod
    def exact(cls, value: float, rounds: int) -> Estimate:
        """What was seen, and nothing said of what else there may be."""
        return cls(value, math.nan, math.nan, rounds)


def quantile(values: Values, share: float) -> float:
    """The value below which `share` of the values lie, interpolated between neighbours. nan of nothing."""
    return float(np.quantile(values, share)) if len(values) else math.nan


def geometric_mean(ratios: Values) -> float:
    """The mean for ratios: 2 and 1/2 give 1."""
    return float(np.exp(np.mean(np.log(ratios)))) if len(ratios) else math.nan


def pooled(statistic: Callable[[Values], float]) -> Callable[[Sequence[Values]], float]:
    """A statistic of values, as one of rounds: all their values together."""
    return lambda rounds: statistic([value for values in rounds for value in values])


def bootstrap(rounds: Sequence[Round], statistic: Callable[[Sequence[Round]], float], seed: int = 1) -> Estimate:
    """The statistic of all rounds, with the interval of what it is when rounds are drawn with replacement."""
    value = statistic(rounds)
    if len(rounds) < 2:
        return Estimate.exact(value, len(rounds))
    draw = np.random.default_rng(seed)
    chosen = draw.integers(len(rounds), size=(RESAMPLES, len(rounds)))
    drawn = [statistic([rounds[place] for place in places]) for places in chosen]
    tail = (1 - CONFIDENCE) / 2
    return Estimate(value, quantile(drawn, tail), quantile(drawn, 1 - tail), len(rounds))


def shift(ours: Sequence[Values], theirs: Sequence[Values], share: float) -> Estimate:
    """How much later our quantile lies than theirs, over the same rounds. What disturbs both alike cancels out."""

    def difference(rounds: Sequence[tuple[Values, Values]]) -> float:
        mine, other = ([value for pair in rounds for value in pair[side]] for side in (0, 1))
        return quantile(mine, share) - quantile(other, share)

    return bootstrap(list(zip(ours, theirs, strict=True)), difference)


def ratio(above: Values, below: Values) -> Estimate:
    """The typical ratio of two values taken in the same round, one of each a round."""
    pairs = [[a / b] for a, b in zip(above, below, strict=True)]
    return bootstrap(pairs, pooled(geometric_mean))


@dataclass(frozen=True)
class Bound:
    """What a number must keep to. Between `target` and `limit` it is below target, beyond `limit` it fails."""

    target: float
    limit: float | None = None
    """The target itself when None."""
    at_least: bool = False
    """True: higher is better. False: `target` is the most it may be."""

    def judge(self, estimate: Estimate) -> Verdict:
        """By the whole interval: one that reaches over a bound, or comes from few rounds, is inconclusive."""
        if estimate.rounds < FEWEST_ROUNDS:
            return "inconclusive"
        sign = 1.0 if self.at_least else -1.0
        limit = self.target if self.limit is None else self.limit
        ends = (estimate.value,) * 2 if math.isnan(estimate.low) else (estimate.low, estimate.high)
        worst, best = sorted(sign * end for end in ends)
        if worst >= sign * self.target:
            return "pass"
        if best < sign * limit:
            return "fail"
        if best < sign * self.target and worst >= sign * limit:
            return "below target"
        return "inconclusive"

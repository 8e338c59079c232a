"""How well the rails do on labelled texts, at the thresholds of a policy."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.errors import InvalidRequest
from headrace.guard.policy import Policy
from headrace.guard.rail import Rail, Scores

ANY = "any"
BATCH = 32
ALONE = 200
"""Texts that are timed one by one."""
_RESAMPLES = 300
_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Labelled:
    text: str
    bad: bool
    rail: str
    """The one that should find it; `any` when the file does not say."""
    place: str = ""
    """File and line."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, with Wilson's 95 % interval."""

    count: int
    of: int

    @property
    def value(self) -> float:
        return self.count / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        if not self.of:
            return math.nan, math.nan
        p, n, z = self.value, self.of, _Z95
        middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


@dataclass(frozen=True, slots=True)
class Result:
    """One rail on the texts of one file that are for it."""

    file: str
    rail: str
    precision: Share
    recall: Share
    false_positives: Share
    auc: tuple[float, float, float] | None
    """Area under the ROC curve with its bootstrapped 95 % interval; None when all texts have one label."""
    milliseconds: tuple[float, float]
    """Of one text alone: median and 95th percentile."""
    per_second: float
    """Texts, in batches of 32."""


def evaluate(name: str, examples: Sequence[Labelled], rails: Sequence[Rail], policy: Policy) -> list[Result]:
    """`any` and every rail for texts that name none; else the rails that the texts name."""
    known = {rail.name: rail for rail in rails}
    for example in examples:
        if example.rail not in {ANY, *known}:
            raise InvalidRequest(example.place, f"no rail {example.rail[:40]!r}; there are {', '.join(known)}")
    found = []
    for rail_name in [ANY, *known]:
        chosen = [one for one in examples if one.rail in {ANY, rail_name}]
        if not chosen:
            continue
        these = list(rails) if rail_name == ANY else [known[rail_name]]
        found.append(_result(name, rail_name, chosen, these, policy))
    return found


def _result(
    file: str, rail_name: str, examples: Sequence[Labelled], rails: Sequence[Rail], policy: Policy
) -> Result:
    texts = [example.text for example in examples]
    began = time.perf_counter()
    scores = np.concatenate([_scores(rails, texts[n : n + BATCH], policy) for n in range(0, len(texts), BATCH)])
    per_second = len(texts) / (time.perf_counter() - began)
    alone = []
    for text in texts[:ALONE]:
        began = time.perf_counter()
        _scores(rails, [text], policy)
        alone.append((time.perf_counter() - began) * 1000)
    bad = np.array([example.bad for example in examples])
    flagged = scores >= 1
    return Result(
        file,
        rail_name,
        precision=Share(int((flagged & bad).sum()), int(flagged.sum())),
        recall=Share(int((flagged & bad).sum()), int(bad.sum())),
        false_positives=Share(int((flagged & ~bad).sum()), int((~bad).sum())),
        auc=_auc(scores, bad),
        milliseconds=(float(np.median(alone)), float(np.percentile(alone, 95))),
        per_second=per_second,
    )


def _scores(rails: Sequence[Rail], texts: Sequence[str], policy: Policy) -> NDArray[np.float64]:
    """Of each text the highest score in units of its category's lowest threshold: from 1 on it is flagged."""
    highest = np.zeros(len(texts))
    for rail in rails:
        for place, scores in enumerate(rail.score_batch(texts)):
            highest[place] = max(highest[place], _strength(scores, policy))
    return highest


def _strength(scores: Scores, policy: Policy) -> float:
    levels = [
        score / threshold
        for category, score in scores.by_category.items()
        if (threshold := policy.lowest(category)) is not None
    ]
    return max(levels, default=0.0)


def _auc(scores: NDArray[np.float64], bad: NDArray[np.bool_]) -> tuple[float, float, float] | None:
    if bad.all() or not bad.any():
        return None
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(0)
    drawn = []
    for _ in range(_RESAMPLES):
        places = draw.integers(0, len(bad), len(bad))
        if bad[places].any() and not bad[places].all():
            drawn.append(roc_auc_score(bad[places], scores[places]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(roc_auc_score(bad, scores)), float(low), float(high)

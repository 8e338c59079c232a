"""Toxicity by words: alt-profanity-check's model and our own head, whose margins are averaged.

Words alone cannot tell hate from counter-speech that quotes it (docs/guardrails.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.guard.head import Head, logistic
from headrace.guard.pieces import worst
from headrace.guard.profanity import Profanity
from headrace.guard.rail import Scores
from headrace.guard.readings import readings

CATEGORY = "toxicity"
WEIGHTS = Path(__file__).parent / "weights" / "toxicity.npz"
_SURE = 1e-4


class ToxicityRail:
    name = "toxicity"
    categories = frozenset({CATEGORY})
    points = False

    def __init__(self, weights: Path = WEIGHTS) -> None:
        self._head = Head.load(weights)
        version = metadata.version("alt-profanity-check")
        self._profanity = Profanity()
        self.backend = f"alt-profanity-check {version} + head {self._head.sha256[:16]}"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        scores = worst([readings(text) for text in texts], self._scores)
        return [Scores({CATEGORY: float(score)}) for score in scores]

    def _scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        given = np.clip(self._profanity.probabilities(texts), _SURE, 1 - _SURE)
        return logistic((self._head.margins(texts) + np.log(given / (1 - given))) / 2)

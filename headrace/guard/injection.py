"""Prompt injection and jailbreaks: signs in phrases, and a head that learned the rest.

Several signs add up over the whole text; the head judges piece by piece. Where both see something, both
count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headrace.guard.head import Head, logistic
from headrace.guard.pieces import worst
from headrace.guard.rail import Scores
from headrace.guard.readings import readings
from headrace.guard.rules import suspicion

CATEGORY = "injection"
WEIGHTS = Path(__file__).parent / "weights" / "injection.npz"
RULES_VERSION = 2
_MARGIN_OF_SIGNS = 2.0
LONGEST = 65_536
"""Characters in which signs are looked for, half of them from the beginning and half from the end."""


class InjectionRail:
    name = "injection"
    categories = frozenset({CATEGORY})
    points = False

    def __init__(self, weights: Path = WEIGHTS) -> None:
        self._head = Head.load(weights)
        self.backend = f"rules {RULES_VERSION} + head {self._head.sha256[:16]}"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        read = [readings(text) for text in texts]
        margins = worst(read, self._head.margins)
        signs = np.array([max(suspicion(_ends(reading)) for reading in of_text) for of_text in read])
        scores = np.maximum(signs, logistic(margins + _MARGIN_OF_SIGNS * signs))
        return [Scores({CATEGORY: float(score)}) for score in scores]


def _ends(text: str) -> str:
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}\n{text[-half:]}"

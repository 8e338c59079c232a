"""Toxicity by words: alt-profanity-check's model and our own head, whose margins are averaged.

An insult is a few words long, and a few harmless ones beside it halve the score: so short spans are judged too.

Words alone cannot tell hate from counter-speech that quotes it (docs/guardrails.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headrace.guard.head import Head, logistic
from headrace.guard.pieces import WORD, spans, worst
from headrace.guard.profanity import Profanity
from headrace.guard.rail import Scores
from headrace.guard.readings import readings

CATEGORY = "toxicity"
WEIGHTS = Path(__file__).parent / "weights" / "toxicity.npz"
_SURE = 1e-4
_SUSPICIOUS = 0.1
"""Score of a word alone, from which on its surroundings are judged."""
_LESS = 0.6
"""Log odds that a span has to have more than a piece: there are many of them, and each is a chance to be wrong."""
_WORDS_REMEMBERED, _NEW_WORDS, _LONGEST_WORD = 1 << 16, 1 << 14, 32
"""At most: words whose scores are kept, new ones in a batch, and characters of a word."""


class ToxicityRail:
    name = "toxicity"
    categories = frozenset({CATEGORY})
    points = False

    def __init__(self, weights: Path = WEIGHTS) -> None:
        self._head = Head.load(weights)
        version = metadata.version("alt-profanity-check")
        self._profanity = Profanity()
        self._words: dict[str, float] = {}
        self.backend = f"alt-profanity-check {version} + head {self._head.sha256[:16]}"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        read = [readings(text) for text in texts]
        self._remember(reading for of_text in read for reading in of_text)
        # Apart, because the injection rail's head has seen the same pieces: their features are remembered.
        margins = np.maximum(worst(read, self._margins), worst(read, self._margins, self._spans) - _LESS)
        scores = logistic(margins)
        return [Scores({CATEGORY: float(score)}) for score in scores]

    def _spans(self, reading: str) -> list[str]:
        return spans(reading, lambda word: self._words.get(word.lower(), 0.0) >= _SUSPICIOUS)

    def _remember(self, texts: Iterable[str]) -> None:
        """The words' scores."""
        words = {word for text in texts for word in WORD.findall(text.lower()) if len(word) <= _LONGEST_WORD}
        if len(self._words) > _WORDS_REMEMBERED:
            self._words.clear()
        new = sorted(words - self._words.keys())[:_NEW_WORDS]
        self._words.update(zip(new, logistic(self._margins(new)).tolist(), strict=True))

    def _margins(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Log odds, one a text."""
        if not texts:
            return np.zeros(0)
        given = np.clip(self._profanity.probabilities(texts), _SURE, 1 - _SURE)
        margins: NDArray[np.float64] = (self._head.margins(texts) + np.log(given / (1 - given))) / 2
        return margins

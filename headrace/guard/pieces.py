"""Long texts in pieces that overlap, for rails that judge a whole by its worst part.

A classifier of words drowns in a long text: what ten thousand harmless characters hold is lost in their average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

SIZE, STEP = 200, 120
"""Characters of a piece, and from one to the next: 80 that stand together stand together in one of them."""
MOST = 8192
"""Pieces of one text; of a longer one they are taken evenly, beginning and end among them."""


def pieces(text: str) -> list[str]:
    if len(text) <= SIZE:
        return [text]
    starts = range(0, len(text) - SIZE + STEP, STEP)
    if len(starts) > MOST:
        return [text[round(start) : round(start) + SIZE] for start in np.linspace(0, len(text) - SIZE, MOST)]
    return [text[start : start + SIZE] for start in starts]


def worst(
    texts: Sequence[Sequence[str]], score: Callable[[Sequence[str]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Of each text, given by its readings, the score of the worst one's worst piece; all are one batch."""
    if not texts:
        return np.zeros(0)
    # Readings differ in few places, so that most of their pieces are the same.
    parts = [list(dict.fromkeys(piece for reading in text for piece in pieces(reading))) for text in texts]
    scores = score([part for of_text in parts for part in of_text])
    ends = np.cumsum([len(of_text) for of_text in parts])
    return np.array([of_text.max() for of_text in np.split(scores, ends[:-1])])

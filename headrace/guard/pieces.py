"""Texts in pieces, for rails that judge a whole by its worst part.

A classifier of words drowns in a long text: what ten thousand harmless characters hold is lost in their average.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

SIZE, STEP = 200, 120
"""Characters of a piece, and from one to the next: 80 that stand together stand together in one of them."""
MOST = 8192
"""Pieces of one text; of a longer one they are taken evenly, beginning and end among them."""
SHORT, AROUND = 60, 16
"""Characters of a sentence that is a span as it is, and beside a word in a longer one."""
MOST_SPANS = 32_768
_ENDS = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|[\n\"“”„«»{}\[\]<>|]+")
"""Of sentences, lines, quotes, and values in JSON."""
WORD = re.compile(r"[^\W\d_][\w'’]*")
_LETTER = re.compile(r"[^\W\d_]")

Cut = Callable[[str], list[str]]


def pieces(text: str) -> list[str]:
    if len(text) <= SIZE:
        return [text]
    starts = range(0, len(text) - SIZE + STEP, STEP)
    if len(starts) > MOST:
        return [text[round(start) : round(start) + SIZE] for start in np.linspace(0, len(text) - SIZE, MOST)]
    return [text[start : start + SIZE] for start in starts]


def spans(text: str, suspicious: Callable[[str], bool]) -> list[str]:
    """Short sentences, and of long ones what is around each suspicious word, which harmless words would hide.

    None is all of the text.
    """
    whole = text.strip()
    found = [
        span for part in _ENDS.split(text) for span in _of_sentence(part.strip(), suspicious) if span != whole
    ]
    if len(found) > MOST_SPANS:
        return [found[round(place)] for place in np.linspace(0, len(found) - 1, MOST_SPANS)]
    return found


def _of_sentence(sentence: str, suspicious: Callable[[str], bool]) -> Iterator[str]:
    if len(sentence) > SHORT:
        for word in WORD.finditer(sentence):
            if suspicious(word[0]):
                yield _around(sentence, word.start(), word.end())
    elif _LETTER.search(sentence):
        yield sentence


def _around(sentence: str, start: int, end: int) -> str:
    """Whole words, as far as they fit."""
    first, last = max(0, start - AROUND), min(len(sentence), end + AROUND)
    if first:
        first = sentence.find(" ", first, start) + 1 or start
    if last < len(sentence):
        last = max(end, sentence.rfind(" ", end, last + 1))
    return sentence[first:last]


def worst(
    texts: Sequence[Sequence[str]],
    score: Callable[[Sequence[str]], NDArray[np.float64]],
    cut: Cut = pieces,
) -> NDArray[np.float64]:
    """Of each text, given by its readings, the score of the worst one's worst piece; all are one batch.

    Minus infinity for a text that `cut` makes nothing of.
    """
    if not texts:
        return np.zeros(0)
    # Readings differ in few places, so that most of their pieces are the same.
    parts = [list(dict.fromkeys(piece for reading in text for piece in cut(reading))) for text in texts]
    scores = score([part for of_text in parts for part in of_text])
    ends = np.cumsum([len(of_text) for of_text in parts])
    return np.array([of_text.max(initial=-np.inf) for of_text in np.split(scores, ends[:-1])])

"""Deny lists, and the canary: words that must not come out, found whatever their writing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from headrace.guard.folding import fold
from headrace.guard.rail import Scores, Span


class TermsRail:
    """Finds whole words and phrases, without regard to case, width or the spaces between words."""

    points = True

    def __init__(self, name: str, category: str, terms: Iterable[str]) -> None:
        self.name = name
        self.categories = frozenset({category})
        self._category = category
        words = [_pattern(term) for term in terms if term.strip()]
        self.backend = f"{name}:{len(words)} terms"
        # Longest first: of two that begin alike, the longer one is what was written.
        self._terms = re.compile("|".join(sorted(words, key=len, reverse=True)), re.IGNORECASE) if words else None

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores.of_spans(self._spans(text)) for text in texts]

    def _spans(self, text: str) -> list[Span]:
        if self._terms is None:
            return []
        folded = fold(text)
        return [
            Span(*folded.original(match.start(), match.end()), self._category)
            for match in self._terms.finditer(folded.text)
        ]


def _pattern(term: str) -> str:
    words = fold(term.strip()).text.split()
    return r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)"

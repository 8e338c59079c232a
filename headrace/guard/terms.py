"""Deny lists, and the canary: words that must not come out, found whatever their writing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from headrace.guard.folding import fold
from headrace.guard.rail import Scores, Span
from headrace.guard.readings import LOOKALIKES, readings

CANARY = "canary"
_SHORTEST_APART = 8
"""Letters and digits of a canary that is found with anything between them; fewer turn up by chance."""


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
        seen = folded.text.translate(LOOKALIKES)
        return [
            Span(*folded.original(match.start(), match.end()), self._category)
            for match in self._terms.finditer(seen)
        ]


class CanaryRail(TermsRail):
    """Words of the system prompt: found in every reading of an answer too, since models can be told to encode it.

    What is encoded has no place in the text that could be redacted: a canary is flagged or blocked.
    """

    points = False

    def __init__(self, terms: Iterable[str]) -> None:
        terms = list(terms)
        super().__init__(CANARY, CANARY, terms)
        squeezed = map(_squeezed, terms)
        self._squeezed = [term for term in squeezed if len(term) >= _SHORTEST_APART]

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores({CANARY: 1.0} if self._leaks(text) else {}) for text in texts]

    def _leaks(self, text: str) -> bool:
        read = readings(text)
        if self._spans(text) or any(map(self._spans, read)):
            return True
        squeezed = _squeezed(read[0])
        return any(term in squeezed for term in self._squeezed)


def _squeezed(text: str) -> str:
    """Letters and digits alone."""
    return "".join(filter(str.isalnum, text)).casefold()


def _pattern(term: str) -> str:
    words = fold(term.strip()).text.translate(LOOKALIKES).split()
    return r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)"

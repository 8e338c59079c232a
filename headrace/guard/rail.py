"""What every rail does: texts in, scores by category out, and spans where it can point at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` of a text."""

    start: int
    end: int
    category: str
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one text. A category that is missing scores 0."""

    by_category: Mapping[str, float] = field(default_factory=dict)
    """0 to 1; of a category with spans the highest of theirs."""
    spans: tuple[Span, ...] = ()

    @classmethod
    def of_spans(cls, spans: Sequence[Span]) -> Scores:
        highest: dict[str, float] = {}
        for span in spans:
            highest[span.category] = max(span.score, highest.get(span.category, 0.0))
        return cls(highest, tuple(sorted(spans, key=lambda span: (span.start, -span.end))))


class Rail(Protocol):
    """Stateless after construction; called from one thread at a time."""

    name: str
    """As in the policy's `rails`."""
    categories: frozenset[str]
    points: bool
    """Whether it finds spans, which alone can be redacted."""
    backend: str
    """What judges, with its version or hash: it goes into every decision record."""

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        """One `Scores` a text, in the same order. May raise anything: the policy says what follows then."""

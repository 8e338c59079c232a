"""Personal data by form and checksum: the pattern recognizers of Microsoft Presidio, and no language model.

Names and places have no form: they need a spaCy model, which the policy can name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

from headrace.errors import ConfigError
from headrace.guard import recognizers
from headrace.guard.folding import fold
from headrace.guard.policy import PiiConfig
from headrace.guard.rail import Scores, Span

LONGEST = 4000
"""Characters given to a recognizer at once; pieces overlap by more than any entity of a form is long."""
_OVERLAP = 200
_CONTEXT = 60
"""Characters before an entity in which a word for it makes it likelier."""
_CONTEXT_BONUS = 0.4
# Each entity of a form holds a digit or an @: what has neither needs no look.
_MAY_HOLD = re.compile(r"[\d@]")


class PiiRail:
    name = "pii"
    points = True

    def __init__(self, config: PiiConfig) -> None:
        self.categories = frozenset(entity.lower() for entity in config.entities)
        self._entities = list(config.entities)
        self._by_form = recognizers.by_form(config)
        self._by_model = recognizers.by_model(config)
        unknown = set(config.entities) - {e for r in self._recognizers() for e in r.supported_entities}
        if unknown:
            found = f"{', '.join(sorted(unknown))}: unknown, or needs rails.pii.spacy_model"
            raise ConfigError(f"rails.pii.entities: {found}")
        version = metadata.version("presidio-analyzer")
        self.backend = f"presidio-analyzer {version}, {config.spacy_model or 'patterns'}"

    def _recognizers(self) -> Iterator[Any]:
        yield from self._by_form
        if self._by_model is not None:
            yield self._by_model

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores.of_spans(self._spans(text)) for text in texts]

    def _spans(self, text: str) -> list[Span]:
        folded = fold(text)
        found: set[Span] = set()
        for start, entity in self._entities_of(folded.text):
            place = folded.original(start + entity.start, start + entity.end)
            found.add(Span(*place, entity.entity_type.lower(), round(entity.score, 2)))
        return sorted(found, key=lambda span: (span.start, span.end, span.category))

    def _entities_of(self, text: str) -> Iterator[tuple[int, Any]]:
        """Each with the place that its own is counted from."""
        pieces = [(start, text[start : start + LONGEST]) for start in range(0, len(text), LONGEST - _OVERLAP)]
        for start, piece in pieces:
            if self._by_model is not None:
                yield from ((start, entity) for entity in self._by_model.analyze(piece, self._entities, None))
        for recognizer in self._by_form:
            whole = isinstance(recognizer, recognizers.OfWholeText)
            for start, piece in [(0, text)] if whole else pieces:
                if _MAY_HOLD.search(piece):
                    yield from ((start, entity) for entity in self._formed(recognizer, piece))

    def _formed(self, recognizer: Any, text: str) -> Iterator[Any]:
        for entity in recognizer.analyze(text, self._entities, None):
            if entity.entity_type in self._entities:
                entity.score = min(1.0, entity.score + _bonus(text, entity.start, recognizer.context))
                yield entity


def _bonus(text: str, place: int, words: Sequence[str] | None) -> float:
    """A number beside "passport" is a passport number more often than one that stands alone."""
    before = text[max(0, place - _CONTEXT) : place].lower()
    return _CONTEXT_BONUS if any(word in before for word in words or ()) else 0.0

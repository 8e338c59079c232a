"""Text as it is compared, with the place in the original of each of its characters."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Folded:
    """Compatibility forms made plain (full-width digits, ligatures), invisible characters left out."""

    text: str
    _places: tuple[int, ...] | None
    """None when nothing changed."""

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where these characters stand in the text that was folded."""
        if self._places is None:
            return start, end
        return self._places[start], self._places[end - 1] + 1


def fold(text: str) -> Folded:
    if text.isascii():
        return Folded(text, None)
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if unicodedata.category(character) == "Cf":
            continue  # between letters or digits it would hide what they spell
        for part in unicodedata.normalize("NFKC", character):
            folded.append(part)
            places.append(place)
    return Folded("".join(folded), tuple(places))

"""Text as it is compared, with the place in the original of each of its characters.

Here alone it is said what is invisible, and what is a digit, a dash or a blank: rails and windows must not differ.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain


@dataclass(frozen=True, slots=True)
class Folded:
    """A text with some of its characters replaced or left out."""

    text: str
    _places: tuple[int, ...] | None
    """Of each character, and of the end; None when nothing changed."""

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where these characters stand in the text that was folded, with what was left out right after them."""
        if self._places is None:
            return start, end
        return self._places[start], max(self._places[end - 1] + 1, self._places[end])


def fold(text: str) -> Folded:
    """Compatibility forms and digits made plain, dashes and blanks made alike, invisible characters left out."""
    if _ASCII.fullmatch(text):
        return Folded(text, None)
    folded: list[str] = []
    places: list[int] = []
    for match in _ASCII_OR_ONE.finditer(text):
        place = match.start()
        if match[1]:
            folded += match[1]
            places += range(place, match.end())
            continue
        plain = _plain(match[0])
        if plain and folded and folded[-1] in _DIGITS and unicodedata.combining(plain[0]):
            continue  # a stroke through a digit, a line below it
        folded += plain
        places += [place] * len(plain)
    return Folded("".join(folded), (*places, len(text)))


def invisible(character: str) -> bool:
    """Shows nothing by itself: between letters or digits it would hide what they spell.

    Format and control characters, fillers, choices of a glyph, and the key or ring around a digit.
    """
    if unicodedata.category(character) in {"Cf", "Me"} or character in _IGNORABLE:
        return True
    return unicodedata.category(character) == "Cc" and not character.isspace()


@lru_cache(maxsize=1 << 14)
def _plain(character: str) -> str:
    if invisible(character):
        return ""
    parts = unicodedata.normalize("NFKC", character)
    return "".join(_alike(part) for part in parts if not invisible(part))


def _alike(character: str) -> str:
    if (digit := unicodedata.digit(character, None)) is not None:
        return str(digit)
    if unicodedata.category(character) == "Pd" or character in _DASHES:
        return "-"
    return " " if character == _BRAILLE_BLANK else character


# Of Unicode's Default_Ignorable_Code_Point what is not in the category Cf.
_IGNORABLE = frozenset(
    map(
        chr,
        chain(
            (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x3164, 0xFFA0),
            range(0x180B, 0x1810),
            range(0xFE00, 0xFE10),
            range(0xFFF0, 0xFFF9),
            range(0xE0000, 0xE1000),
        ),
    )
)
_ASCII = re.compile(r"[\t-\r\x1c-~]*")
_ASCII_OR_ONE = re.compile(r"([\t-\r\x1c-~]+)|[\s\S]")
_DIGITS = frozenset("0123456789")
_DASHES = "\u2212\u2043\u02d7\u2796"  # minus, bullet, modifier, heavy: no dashes to Unicode, but to a reader
_BRAILLE_BLANK = "\u2800"

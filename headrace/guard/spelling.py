"""The writings of a word: as what texts and terms are compared, and the pattern that finds all of a term's."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from headrace.guard.folding import Folded
from headrace.guard.readings import LOOKALIKES, shows

_GAP, _WIDE_GAP = 3, 8
"""Characters between the letters of a word that are set apart, and between two words."""
# Scripts that put no space between words, or, as Korean, endings right after them.
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_OF_A_WORD = rf"[^\W_{_SPACELESS}]"
_BEGINS, _ENDS = rf"(?<!{_OF_A_WORD})", rf"(?!{_OF_A_WORD})"
_SPACELESS_LETTER = re.compile(f"[{_SPACELESS}]")
_BETWEEN_WORDS = re.compile(r"[\s\-_./]+")
_FEWEST_APART = 3
_LONGEST_REMEMBERED = 8_000
_DIGITS = {"o": "0", "i": "1", "l": "1", "e": "3", "a": "4", "s": "5", "t": "7", "b": "8"}
_FIRST_MARK = "\u0300"
_DRAWN = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")  # not Hebrew, Thai …
_NOT_PLAIN = re.compile(rf"[^\t-\r\x1c-~]|\s{{{_WIDE_GAP + 1}}}")


def seen(text: str) -> Folded:
    """Small letters without marks that no language writes, one for all that look alike."""
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _seen(text)


@lru_cache(maxsize=64)
def _remembered(text: str) -> Folded:
    """One list after the other asks for the same text."""
    return _seen(text)


def _seen(text: str) -> Folded:
    if not _NOT_PLAIN.search(text):
        return Folded(text.lower(), None)
    letters: list[str] = []
    places: list[int] = []
    bare = 0  # letters up to the last one that has lost its marks
    for place, character in enumerate(text):
        for letter in _plain(character):
            if letters and letter >= _FIRST_MARK and unicodedata.combining(letter):
                if bare == len(letters):
                    continue
                letters[-1], drawn = _marked(letters[-1], letter)
                bare = len(letters) if drawn else bare
            elif letter != " " or letters[-1:] != [" "]:
                letters.append(letter)
                places.append(place)
    return Folded("".join(letters), (*places, len(text)))


@lru_cache(maxsize=1 << 14)
def _plain(character: str) -> str:
    """Nothing for what is not seen."""
    if character.isspace():
        return " "
    folded = unicodedata.normalize("NFKC", character).translate(LOOKALIKES).casefold()
    return "".join(filter(shows, folded.replace("i\u0307", "i")))  # the Turkish I with a dot


def _marked(letter: str, mark: str) -> tuple[str, bool]:
    """A letter with a mark as languages have it; with more of them it is decoration, and has none."""
    composed = unicodedata.normalize("NFC", letter + mark)
    if len(composed) > 1 and _DRAWN.match(mark):
        return unicodedata.normalize("NFD", letter)[0], True
    return composed, False


@dataclass(frozen=True, slots=True)
class Term:
    pattern: str
    """Of the text that `seen` returns."""
    letters: str
    """Letters and digits alone."""
    longest: int
    """Characters of its longest writing. What is not seen does not count, and many spaces count as a few."""
    beginnings: tuple[str, ...]
    """Letters and digits of its first word, its first two, and so on, but not of all."""
    spaced: bool
    """Whether it is a word by what stands around it; else `pattern` says itself where it may stand."""


def term(text: str) -> Term:
    """Its words with anything but letters between them, or all its letters apart."""
    written = seen(text.strip()).text
    in_words = written == written.strip("-_./ ")  # `.net` is not `net`
    words = _BETWEEN_WORDS.split(written) if in_words else [written]
    letters = "".join(filter(str.isalnum, written))
    forms = [rf"[\W_]{{1,{_WIDE_GAP}}}".join(map(re.escape, words))]
    longest = len(written) + (len(words) - 1) * (_WIDE_GAP - 1)
    spaceless = [bool(_SPACELESS_LETTER.match(edge)) for edge in (written[:1], written[-1:])]
    if "".join(words) == letters and len(letters) >= (_FEWEST_APART - all(spaceless)):
        forms.append(_apart(letters))
        longest = max(longest, (len(letters) - 1) * (_GAP + 1) + 1)
    pattern = f"(?:{'|'.join(forms)})"
    if any(spaceless):
        pattern = f"{'' if spaceless[0] else _BEGINS}{pattern}{'' if spaceless[1] else _ENDS}"
    beginnings = tuple("".join(filter(str.isalnum, "".join(words[:count]))) for count in range(1, len(words)))
    return Term(pattern, letters, longest, beginnings, not any(spaceless))


def _apart(letters: str) -> str:
    """The first one is a letter: `1 5 1 5` are numbers."""
    rest = (f"[{letter}{_DIGITS[letter]}]" if letter in _DIGITS else letter for letter in letters[1:])
    return rf"[\W_]{{1,{_GAP}}}".join([letters[0], *rest])


def any_of(terms: list[Term]) -> list[re.Pattern[str]]:
    """Patterns that find all of them; at one place the longest one."""
    ordered = sorted(terms, key=lambda one: len(one.letters), reverse=True)
    spaced = [one.pattern for one in ordered if one.spaced]
    others = [one.pattern for one in ordered if not one.spaced]
    patterns = [f"{_BEGINS}(?:{'|'.join(spaced)}){_ENDS}"] if spaced else []
    return list(map(re.compile, patterns + (["|".join(others)] if others else [])))

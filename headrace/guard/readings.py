"""What evasions make of a text, undone: the readings of it that a rail of words has to judge.

The first reading is the text as a person sees it. Others follow only where the text hides something: words of
digits and signs, letters set apart, what is written in a code (`headrace.guard.encodings`). A rail judges all of
them, and the highest score counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from headrace.guard.encodings import decoded
from headrace.guard.folding import invisible

_LONGEST_REMEMBERED = 8_000
_MARKS_IN_A_ROW = 1

# Letters of other alphabets, and signs, that look like Latin ones. NFKC has already folded the styled forms.
LOOKALIKES = str.maketrans(
    {
        # Cyrillic
        "а": "a", "в": "b", "с": "c", "ԁ": "d", "е": "e", "һ": "h", "і": "i", "ј": "j", "к": "k", "ӏ": "l", "м": "m",
        "н": "h", "о": "o", "р": "p", "ԛ": "q", "ѕ": "s", "т": "t", "у": "y", "ѵ": "v", "ԝ": "w", "х": "x", "ғ": "f",
        "А": "A", "В": "B", "С": "C", "Е": "E", "Н": "H", "І": "I", "Ј": "J", "К": "K", "М": "M", "О": "O", "Р": "P",
        "Ѕ": "S", "Т": "T", "У": "Y", "Х": "X",
        # Greek
        "α": "a", "β": "b", "ε": "e", "η": "n", "ι": "i", "κ": "k", "ν": "v", "ο": "o", "ρ": "p", "τ": "t", "υ": "u",
        "χ": "x", "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H", "Ι": "I", "Κ": "K", "Μ": "M", "Ν": "N", "Ο": "O",
        "Ρ": "P", "Τ": "T", "Υ": "Y", "Χ": "X",
        # Latin of other shapes
        "ı": "i", "ɩ": "i", "ɑ": "a", "ɡ": "g", "ʀ": "r", "ѐ": "e", "ø": "o", "đ": "d", "ł": "l", "ʏ": "y", "ᴀ": "a",
        "ʙ": "b", "ᴄ": "c", "ᴅ": "d", "ᴇ": "e", "ꜰ": "f", "ɢ": "g", "ʜ": "h", "ɪ": "i", "ᴊ": "j", "ᴋ": "k", "ʟ": "l",
        "ᴍ": "m", "ɴ": "n", "ᴏ": "o", "ᴘ": "p", "ꜱ": "s", "ᴛ": "t", "ᴜ": "u", "ᴠ": "v", "ᴡ": "w", "ᴢ": "z",
    }
)  # fmt: skip
_NO_LETTERS = frozenset({"Cc", "Cn", "Co", "Cs"})
# Strokes and rings that no language writes, and a blank that is a letter.
_NO_LETTERS_OWN = frozenset(map(chr, [*range(0x334, 0x339), *range(0x20D2, 0x20F1), 0x2800]))
_ASCII_UNSEEN = re.compile(r"[\0-\x08\x0e-\x1b\x7f]")
_LOOKALIKE_LETTERS = frozenset(map(chr, LOOKALIKES))
# Signs that are read as letters; 1 and what looks like it are i or l.
SIGNS = tuple(str.maketrans("0134578@$!|+", f"o{one}eastbas{one}{one}t") for one in "il")
_SIGN_BEFORE_LETTER = re.compile(r"[0134578@$!|+][A-Za-z]")
# A sign stands for a letter within a word or before it; after it, it only ends a sentence.
_WORD_OF_SIGNS = re.compile(
    r"(?<![A-Za-z0-9@$!|+])(?=[A-Za-z]*[0134578@$!|+]{1,3}[A-Za-z])[A-Za-z0134578@$!|+]{3,40}(?![A-Za-z0-9@$|+])"
)
_QUANTITY = re.compile(r"\d{2,}[A-Za-z]{1,4}")  # `44th`, `100ml`
# `_` is a letter for \w and stands between letters here: were it both, a row of them could be split in 2^n ways.
_LETTER = r"[^\W_]"
_ALONE = rf"{_LETTER}(?!{_LETTER})"
_GAP = r"(?:_|[^\w\"'’()\[\]{}<>=+:;#&%$@!?])"  # not the signs of code and quotes, where letters stand alone
_LETTERS_ALONE = re.compile(rf"[\W_]{_ALONE}(?:[\W_]{{1,2}}{_ALONE}){{2}}")
_APART = re.compile(rf"(?<!{_LETTER}){_LETTER}(?:{_GAP}{{1,2}}{_ALONE}){{3,}}")
_APART_ALIKE = re.compile(rf"(?<!{_LETTER}){_LETTER}(?P<gap>{_GAP}{{1,3}}){_ALONE}(?:(?P=gap){_ALONE})*")
_BETWEEN = re.compile(r"[\W_]+")
_UNSEEN = "\0"
_UNSEEN_BETWEEN = re.compile(rf"(?<=\w\w){_UNSEEN}+(?=\w\w)")
_SPACES = re.compile(r"[^\S\n]{2,}|[^\S\n ]")


def readings(text: str) -> tuple[str, ...]:
    """At least one. Linear in the length of the text."""
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _read(text)


@lru_cache(maxsize=256)
def _remembered(text: str) -> tuple[str, ...]:
    """One rail after the other asks for those of the same batch."""
    return _read(text)


def _read(text: str) -> tuple[str, ...]:
    marked = _marked(text)
    spread = _letters(marked.replace(_UNSEEN, ""))
    plain = _close(spread)
    found = [plain, signs_read(plain)]
    if _UNSEEN in marked:
        # What is not seen may stand for the spaces, too; between single letters it hides a word.
        found.append(as_seen(_UNSEEN_BETWEEN.sub(" ", marked)))
    if _LETTERS_ALONE.search(plain) and (joined := _APART.sub(_without_gaps, plain)) != plain:
        found += [joined, signs_read(joined), _close(_APART_ALIKE.sub(_without_gaps, spread))]
    found += map(as_seen, decoded(plain))
    return tuple(dict.fromkeys(reading for reading in found if reading)) or ("",)


def as_seen(text: str) -> str:
    """Without what is invisible, and with one letter for all that look alike."""
    return _close(_letters(_marked(text).replace(_UNSEEN, "")))


def _marked(text: str) -> str:
    """In plain forms, with a mark in place of each invisible character."""
    text = text.replace("\r\n", "\n")
    if text.isascii() and not _ASCII_UNSEEN.search(text):
        return text
    folded = unicodedata.normalize("NFKC", text)
    # Asked once a letter, not once a character: most of a long text's time would go there.
    unseen = {ord(character): _UNSEEN for character in set(folded) if not shows(character)}
    return folded.translate(unseen) if unseen else folded


@lru_cache(maxsize=4096)
def shows(character: str) -> bool:
    """Whether it is a sign or a space; format characters (zero-width, direction, tags) and controls are neither."""
    if character.isspace():
        return True
    unseen = character in _NO_LETTERS_OWN or unicodedata.category(character) in _NO_LETTERS
    return not (unseen or invisible(character))


def _letters(text: str) -> str:
    if text.isascii():
        return text
    letters = set(text)
    text = _without_piled_marks(text) if any(map(_piles_marks, letters)) else unicodedata.normalize("NFC", text)
    return text if letters.isdisjoint(_LOOKALIKE_LETTERS) else text.translate(LOOKALIKES)


@lru_cache(maxsize=4096)
def _piles_marks(character: str) -> bool:
    """Whether it is a mark, or has more than one."""
    return bool(unicodedata.combining(character)) or len(unicodedata.normalize("NFD", character)) > 2


def _close(text: str) -> str:
    return _SPACES.sub(" ", text)


def _without_piled_marks(text: str) -> str:
    """A letter keeps one combining mark, as languages have it; piles of them are decoration."""
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFD", text):
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MARKS_IN_A_ROW:
            kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


def signs_read(text: str, signs: Mapping[int, int] = SIGNS[0]) -> str:
    """`h4t3` as `hate`: only in words that mix letters with such signs, so that numbers stay numbers.

    Of the same length.
    """
    if not _SIGN_BEFORE_LETTER.search(text):
        return text
    return _WORD_OF_SIGNS.sub(lambda match: _word_read(match[0], signs), text)


def _word_read(word: str, signs: Mapping[int, int]) -> str:
    return word if _QUANTITY.fullmatch(word) else word.replace("11", "ll").translate(signs)


def _without_gaps(match: re.Match[str]) -> str:
    """`i g n o r e` as `ignore`; `1, 2, 3, 4` stays a list."""
    letters = _BETWEEN.sub("", match[0])
    return letters if 2 * sum(map(str.isalpha, letters)) >= len(letters) else match[0]

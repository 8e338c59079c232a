"""What evasions make of a text, undone: the readings of it that a rail of words has to judge.

The first reading is the text as a person sees it. Others follow only where the text hides something: words of
digits and signs, letters set apart, base64. A rail judges all of them, and the highest score counts.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from functools import lru_cache

LONGEST = 2_000
"""Characters of a decoded segment that are looked at."""
MOST_SEGMENTS = 8
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
_HIDDEN = frozenset({"Cf", "Cc", "Cn", "Co", "Cs"})
# Marks that no language writes: strokes through a letter, rings around it, joiners, choices of glyph.
_NO_LETTERS_OWN = frozenset(
    chr(code)
    for first, last in ((0x334, 0x338), (0x34F, 0x34F), (0x20D2, 0x20F0), (0xFE00, 0xFE0F))
    for code in range(first, last + 1)
)
_SIGNS = str.maketrans("0134578@$!|+", "oieastbasiit")
# A sign stands for a letter within a word or before it; after it, it only ends a sentence.
_WORD_OF_SIGNS = re.compile(
    r"(?<![A-Za-z0-9@$!|+])(?=[A-Za-z]*[0134578@$!|+]{1,3}[A-Za-z])[A-Za-z0134578@$!|+]{3,40}(?![A-Za-z0-9@$|+])"
)
_APART = re.compile(r"(?<!\w)(?:\w[ .\-_*]{1,2}){3,40}\w(?!\w)")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{20,4000}={0,2}(?![A-Za-z0-9+/=_-])")
_SPACES = re.compile(r"[^\S\n]+")


def readings(text: str) -> tuple[str, ...]:
    """At least one. Linear in the length of the text."""
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _read(text)


@lru_cache(maxsize=256)
def _remembered(text: str) -> tuple[str, ...]:
    """One rail after the other asks for those of the same batch."""
    return _read(text)


def _read(text: str) -> tuple[str, ...]:
    plain = as_seen(text)
    found = [plain, _signs_read(plain), _joined(plain), *_decoded(text)]
    return tuple(dict.fromkeys(reading for reading in found if reading)) or ("",)


def as_seen(text: str) -> str:
    """Without what is invisible, and with one letter for all that look alike."""
    folded = unicodedata.normalize("NFKC", text)
    # Asked once a letter, not once a character: most of a long text's time would go there.
    visible = folded.translate({ord(character): None for character in set(folded) if not _shows(character)})
    return _SPACES.sub(" ", _without_piled_marks(visible).translate(LOOKALIKES))


def _shows(character: str) -> bool:
    """Format characters (zero-width, direction, tags) and controls do not; a line's end does."""
    if character in "\n\t":
        return True
    return character not in _NO_LETTERS_OWN and unicodedata.category(character) not in _HIDDEN


def _without_piled_marks(text: str) -> str:
    """A letter keeps one combining mark, as languages have it; piles of them are decoration."""
    if text.isascii():
        return text
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFD", text):
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MARKS_IN_A_ROW:
            kept.append(character)
    return unicodedata.normalize("NFC", "".join(kept))


def _signs_read(text: str) -> str:
    """`h4t3` as `hate`: only in words that mix letters with such signs, so that numbers stay numbers."""
    return _WORD_OF_SIGNS.sub(lambda match: match[0].translate(_SIGNS), text)


def _joined(text: str) -> str:
    """`i g n o r e` as `ignore`."""
    return _APART.sub(lambda match: re.sub(r"[ .\-_*]", "", match[0]), text)


def _decoded(text: str) -> list[str]:
    found: list[str] = []
    for match in _BASE64.finditer(text):
        if len(found) == MOST_SEGMENTS:
            break
        if decoded := _from_base64(match[0]):
            found.append(as_seen(decoded[:LONGEST]))
    return found


def _from_base64(segment: str) -> str | None:
    """None when it holds no text: most long words and hashes do not."""
    data = segment.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(data + "=" * (-len(data) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    letters = sum(character.isalpha() or character == " " for character in text)
    return text if letters >= 0.8 * len(text) else None

"""What a text holds in a code that a model reads as easily as words: base64, hex, escapes, marks of HTML, ciphers.

All of it takes time linear in the length of the text, and what comes out is together a few times as long at most:
every code but the ciphers makes a text longer, and only so many layers are opened.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Iterator
from html.entities import html5

MOST_SEGMENTS = 8
"""Texts that are given one by one; the last one holds all the rest."""
_LAYERS = 3
_UNESCAPED_AGAIN = 3

# Lines that follow at once belong to it: that is how mail and keys wrap base64.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}+(?:\n[A-Za-z0-9+/_-]++)*={0,2}")
# The same where it touches other words: what only the other alphabet has ends it.
_BASE64_PARTS = (re.compile(r"[A-Za-z0-9+/]{16,}+"), re.compile(r"[A-Za-z0-9_-]{16,}+"))
# Latin letters, digits and signs lie between 20 and 7f: it begins with one of them.
_HEX = re.compile(r"[2-7][0-9A-Fa-f](?:[ :,;\n-]{0,2}(?:0x)?[0-9A-Fa-f]{2}){7,}")
_NO_DIGITS = re.compile(r"0x|[^0-9A-Fa-f]")
_CONTROLS = bytes({*range(32), 127} - {9, 10, 13})
_NO_LETTERS = re.compile(r"[\W\d_]+")

# Marks of HTML that stand within words.
_INLINE = (
    "a|abbr|big|bd[io]|b|code|del|em|font|ins|i|kbd|mark|q|samp|small|span|strike|strong|su[bp]|s|tt|u|var|wbr"
)
_ESCAPE = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|&#(?:(?P<decimal>\d{1,7})|[xX](?P<hex>[0-9A-Fa-f]{1,6}));?"
    r"|&(?P<name>[A-Za-z]{2,31}\d{0,2};)"
    r"|\\{1,4}(?:u\{(?P<braces>[0-9A-Fa-f]{1,6})\}|(?:u(?P<u>[0-9A-Fa-f]{4})|U(?P<U>[0-9A-Fa-f]{8})|x(?P<x>[0-9A-Fa-f]{2}))"
    r"|(?P<octal>[0-7]{3}))"
    r"|(?<=[\w.,;!?)\]\"'])\\{1,4}(?P<newline>n)"
    rf"|</?(?i:{_INLINE})\b[^<>]{{0,200}}>|<!--\s{{0,8}}-->"
)
_MAY_HOLD_ESCAPES = ("%", "&", "\\", "<")
_HIGHEST = 0x10FFFF

_COMMON = (" the ", " you", "ignore", "instructions", "previous", "prompt", "rules", "system")


def _reversed(text: str) -> str:
    return text[::-1]


def _words_reversed(text: str) -> str:
    return " ".join(word[::-1] for word in text.split(" "))


def _rot13(text: str) -> str:
    return codecs.encode(text, "rot13")


# How common words look in them.
_CIPHERS: tuple[tuple[tuple[str, ...], tuple[Callable[[str], str], ...]], ...] = (
    (tuple(map(_reversed, _COMMON)), (_reversed, _words_reversed)),
    (tuple(map(_rot13, _COMMON)), (_rot13,)),
)


def decoded(text: str) -> Iterator[str]:
    """Every text that stands in this one in some code, and what those hold in turn."""
    layer = [text]
    for _ in range(_LAYERS):
        opened: list[str] = []
        for outer in layer:
            plain = unescaped(outer)
            if plain != outer:
                yield plain
            opened += _segments(plain)
        layer = [*opened[: MOST_SEGMENTS - 1], "\n".join(opened[MOST_SEGMENTS - 1 :])]
        layer = [inner for inner in layer if inner]
        yield from layer
    yield from _deciphered(text)


def unescaped(text: str) -> str:
    """`%69`, `&#105;`, `\\u0069` as `i`, also when they are escaped again; without the marks of HTML."""
    for _ in range(_UNESCAPED_AGAIN):
        if not any(map(text.__contains__, _MAY_HOLD_ESCAPES)):
            break
        before, text = text, _ESCAPE.sub(_meant, text)
        if text == before:
            break
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON writes what lies beyond 16 bits in two halves
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _meant(match: re.Match[str]) -> str:
    kind, value = match.lastgroup, match[match.lastgroup or 0]
    match kind:
        case "percent":
            return bytes.fromhex(value.replace("%", "")).decode("utf-8", "replace")
        case "decimal" | "octal":
            return _character(int(value, 10 if kind == "decimal" else 8))
        case "hex" | "braces" | "u" | "U" | "x":
            return _character(int(value, 16))
        case "name":
            return html5.get(value, match[0])
        case "newline":
            return "\n"
    return ""  # a mark of HTML


def _character(code: int) -> str:
    return chr(code) if code <= _HIGHEST else ""


def _segments(text: str) -> list[str]:
    """What runs of base64 and hex hold, where it is text: most long words and hashes hold none."""
    found = [_from_hex(match[0]) for match in _HEX.finditer(text)]
    for match in _BASE64.finditer(text):
        segment = match[0]
        whole = _from_base64(segment.replace("\n", ""))
        parts = dict.fromkeys(part for pattern in _BASE64_PARTS for part in pattern.findall(segment))
        found += [whole] if whole else map(_from_base64, parts)
    return [held for held in found if held]


def _from_hex(segment: str) -> str | None:
    digits = _NO_DIGITS.sub("", segment)
    return _text(bytes.fromhex(digits[: len(digits) // 2 * 2]))


def _from_base64(segment: str) -> str | None:
    letters = segment.rstrip("=").replace("-", "+").replace("_", "/")
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]  # one letter alone is no byte
    try:
        return _text(base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True))
    except binascii.Error:
        return None


def _text(data: bytes) -> str | None:
    """None unless nearly all of it can be read, and half of it is letters."""
    text = data.decode("utf-8", "replace")
    unreadable = text.count("\ufffd") + len(data) - len(data.translate(None, _CONTROLS))
    if unreadable > 0.1 * len(text) or len(_NO_LETTERS.sub("", text)) < 0.5 * len(text):
        return None
    return text


def _deciphered(text: str) -> Iterator[str]:
    """Read the other way where at least two common words show that it was written so."""
    lowered = text.lower()
    for words, ciphers in _CIPHERS:
        if sum(map(lowered.__contains__, words)) > 1:
            yield from (cipher(text) for cipher in ciphers)

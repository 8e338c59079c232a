"""International bank account numbers in any groups (ISO 13616). All of it is about folded text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from headrace.guard.digits import BETWEEN

# In pieces (`DE 89`) by capitals alone: many a word is a country's letters.
_HEAD = re.compile(rf"(?<![A-Za-z0-9])(?:[A-Za-z]{{2}}\d\d|[A-Z]{BETWEEN}[A-Z]{BETWEEN}\d{BETWEEN}\d)")
_BACKWARDS = re.compile(rf"(?:{BETWEEN}[A-Za-z0-9]){{1,32}}")
"""The longest IBAN less a letter."""
_HALF_HEAD = re.compile(rf"(?<![A-Za-z0-9])([A-Z])(?:{BETWEEN}([A-Z])(?:{BETWEEN}\d)?)?\Z")
_MODULUS_97 = 97


def ibans(text: str) -> Iterator[tuple[int, int]]:
    """Where they stand. What follows one may look like more of it: its country says how long it is."""
    for head in _HEAD.finditer(text):  # no head begins within another
        if (end := _end(text, head)) is not None:
            yield head.start(), end


def unfinished(text: str) -> int | None:
    """Where the first one begins, if any, that letters or digits after the text may go on with."""
    last = _BACKWARDS.match(text[::-1])
    for head in _HEAD.finditer(text, len(text) - last.end() if last else len(text)):
        length = _length(head[0])
        if length is not None and sum(map(str.isalnum, text[head.start() :])) < length:
            return head.start()
    half = _HALF_HEAD.search(text)
    while half is not None and half[2] is not None and half[1] + half[2] not in _LENGTHS:
        half = _HALF_HEAD.search(text, half.start() + 1)
    return half.start() if half else None


def _length(head: str) -> int | None:
    """None when no IBAN begins so."""
    return _LENGTHS.get("".join(filter(str.isalpha, head)).upper())


def _end(text: str, head: re.Match[str]) -> int | None:
    """None when it is none."""
    if (length := _length(head[0])) is None or (rest := _account(length - 4).match(text, head.end())) is None:
        return None
    iban = "".join(filter(str.isalnum, head[0] + rest[0])).upper()
    if len(head[0]) > 4 and sum(map(str.isdigit, iban)) < length / 2:
        return None  # capitals, a number and words
    number = int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4]))
    return rest.end() if number % _MODULUS_97 == 1 else None


@lru_cache
def _account(length: int) -> re.Pattern[str]:
    return re.compile(rf"(?:{BETWEEN}[A-Za-z0-9]){{{length}}}")


# Of the IBAN registry (SWIFT, release 99).
_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip

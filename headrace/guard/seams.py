"""Where a text may be cut so that no number is cut in two.

Numbers are looked for in folded text, by the same definitions as the rails' (`digits.py`, `iban.py`). Only some
hundred characters are looked at for one cut, so that all of them together take time in proportion to the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from string import ascii_letters, digits

from headrace.guard.digits import BLANKS, LONGEST, MOST_BLANKS, RUN, SSN, Run
from headrace.guard.folding import Folded, fold
from headrace.guard.iban import ibans, unfinished

LONGEST_RUN = 128
"""Characters of a list of numbers that are kept together without a closer look."""
_BACK, _AHEAD = 320, 64
"""Characters before a cut, more than an IBAN takes whose letters stand as far apart as they can; and after it."""
_FAR = 2 * _BACK
_WORD_END = re.compile(r"\S(?=\s)")
_BORDER = re.compile(r"\d(?=\D)|\D(?=\d)|[\W_](?=\w)")
_LETTERS_AND_DIGITS = frozenset(ascii_letters + digits)
_SSN = re.compile(SSN)


def goes_on(text: str, start: int, place: int, final: bool) -> bool | None:
    """Whether a number that began after `start` may go on at `place`. None: only more text tells."""
    before = _seen(text, start, place, MOST_BLANKS + 1)[1].text
    number = before.rstrip(BLANKS)
    if (last := number[-1:]) not in _LETTERS_AND_DIGITS:
        return False
    ahead = fold(text[place : place + _AHEAD]).text
    rest = ahead.lstrip(BLANKS)
    if rest and rest[0] not in _LETTERS_AND_DIGITS:
        return False
    if len(before) - len(number) + len(ahead) - len(rest) > MOST_BLANKS:
        return False
    digits_meet = last.isdigit() and (not rest or rest[0].isdigit())
    if not digits_meet and unfinished(_seen(text, start, place, _BACK)[1].text.rstrip(BLANKS)) is None:
        return False
    if rest or place + _AHEAD < len(text):
        return True  # who hides so much between two characters that nothing is seen hides a number
    return False if final else None


def within(text: str, start: int, end: int, in_word: bool = False) -> int | None:
    """The last place after `start`, the end of a word or anywhere `in_word`, that cuts no number in two.

    Numbers go on at `end`. In a list of them it is a place that no card, IBAN or SSN can span, whatever follows.
    """
    begin, folded = _seen(text, start, end, _FAR)
    whole = [folded.original(*span) for span in _whole(folded.text)]
    # What began before the text that is looked at has ended by then.
    first = 1 if begin == start else folded.original(_BACK, _BACK + 1)[0]
    places = [match.end() - begin for match in (_BORDER if in_word else _WORD_END).finditer(text, begin, end)]
    for place in reversed(places):
        if place < first:
            break
        if not any(one < place < other for one, other in whole):
            return begin + place
    return None


def _seen(text: str, start: int, end: int, enough: int) -> tuple[int, Folded]:
    """Of the text between these places so much of the end that there is enough to see, and where that begins."""
    size = enough
    while True:
        begin = max(start, end - size)
        folded = fold(text[begin:end])
        if begin == start or len(folded.text) >= enough:
            return begin, folded
        size *= 2


def _whole(text: str) -> Iterator[tuple[int, int]]:
    """What must not be cut; also what the end of the text may lie within."""
    end = len(text.rstrip(BLANKS))
    for match in RUN.finditer(text):
        if len(match[0]) < LONGEST_RUN:
            yield match.start(), len(text) if match.end() == end else match.end()
            continue
        run = Run(text, *match.span())
        yield from run.possible()
        yield from (ssn.span() for ssn in _SSN.finditer(text, *match.span()))
        # Groups with less than a card's digits from there on may yet begin one.
        decided = bisect_right(run.before, run.before[-1] - LONGEST)
        if match.end() == end and decided < len(run.groups):
            yield run.groups[decided][0], len(text)
    yield from ibans(text)
    if (iban := unfinished(text[:end])) is not None:
        yield iban, len(text)

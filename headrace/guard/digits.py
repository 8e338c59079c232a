"""Digits that belong together, and the cards among them (ISO/IEC 7812).

All of it is about folded text (`folding.py`): digits are ASCII, dashes are `-`. What stands between two digits of
one number is said here alone, for rails and for windows.

One run of numbers in ten holds a right check digit by chance. So what else speaks for a card has to be there: the
prefix and length of a network, and the usual groups, or that nearly all of the run or of its line is the card.
Not found are a card in odd groups within a long list of numbers, and one that looks like a number with decimals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from itertools import accumulate

BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "-./_·•∙⋅‧・*`~()"
"""What may stand between two digits of one number."""
MOST_BLANKS = 7
"""So much of it: `**4111** - **1111**`."""
BETWEEN = rf"[{re.escape(BLANKS)}]{{0,{MOST_BLANKS}}}"
APART = rf"[{re.escape(BLANKS)}]{{1,{MOST_BLANKS}}}"
SHORTEST, LONGEST = 12, 19
"""Digits of a card."""

RUN = re.compile(rf"\d+(?:{APART}\d+)*")
"""Digits that belong together, if any do."""
_APART = rf"(?!\s*[*/]\s*\d){APART}"  # no product
SSN = rf"(?<!\d)(?<!\d-)\d{{3}}{_APART}\d{{2}}{_APART}\d{{4}}(?!-?\d)"
"""A social security number of the US, in groups."""
_GROUP = re.compile(r"\d+")
_FEW = 6
"""Groups that may stand beside a card in odd groups: the number of a room, a list's or a month's."""
_NETWORKS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:6011\d\d|64[4-9]\d{3}|65\d{4})\d{10}"  # Discover
    r"|3(?:0[0-5]|095|[689]\d)\d{11}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|220[0-4]\d{12}"  # Mir
)
_MAESTRO = re.compile(r"(?:50|5[6-9]|6\d)\d{10,17}")
"""So many numbers begin and end like it that only one that stands alone is taken for it."""
_BORDERS = {14: {4, 10}, 15: {4, 10}, 19: {4, 6, 8, 12, 16}}
"""By the number of digits, where the groups of a card end."""
_FIRST = "23456"
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def cards(text: str) -> list[tuple[int, int]]:
    """Where they stand. They may overlap: which of two is the card nobody knows, and no digit of it may stay."""
    runs = (match.span() for match in RUN.finditer(text) if len(match[0]) >= SHORTEST)
    return [card for run in runs for card in Run(text, *run).cards()]


class Run:
    """Groups of digits. A card begins and ends with a group: none is ever cut."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self.groups = [group.span() for group in _GROUP.finditer(text, start, end)]
        self._text = text
        self._digits = "".join(text[first:last] for first, last in self.groups)
        self.before = [0, *accumulate(last - first for first, last in self.groups)]
        """How many digits precede each group; then how many there are."""
        self._hits = self._checked()

    def _checked(self) -> dict[int, list[int]]:
        """First group → the ends of those groups from there whose last digit is a right check digit."""
        values = [byte - 48 for byte in self._digits.encode()]
        doubled = [_DOUBLED[value] for value in values]
        # Sums from the beginning with every other digit doubled: those at even or those at odd places.
        sums = [
            [0, *accumulate(doubled[n] if n % 2 == odd else value for n, value in enumerate(values))]
            for odd in (0, 1)
        ]
        hits: dict[int, list[int]] = {}
        for first, start in enumerate(self.before[:-1]):
            if self._digits[start] not in _FIRST:
                continue
            for last, end in enumerate(self.before[first + 1 : first + 1 + LONGEST], first + 1):
                if end - start > LONGEST:
                    break
                right = (sums[end % 2][end] - sums[end % 2][start]) % 10 == 0
                if end - start >= SHORTEST and right and not self._decimal(first, last):
                    hits.setdefault(first, []).append(last)
        return hits

    def _decimal(self, first: int, last: int) -> bool:
        """One number with decimals, or they alone."""
        if last == first + 1:
            first -= 1
        if first < 0 or last != first + 2:
            return False
        (start, end), (after, _) = self.groups[first:last]
        return end - start < 4 and self._text[end:after] == "."

    def cards(self) -> list[tuple[int, int]]:
        return self._spans(lambda first, last: self._whole(first, last) or self._grouped(first, last))

    def possible(self) -> list[tuple[int, int]]:
        """All that a longer or a shorter run could show to be cards."""
        return self._spans(
            lambda first, last: any(of.fullmatch(self._of(first, last)) for of in (_NETWORKS, _MAESTRO))
        )

    def _spans(self, certain: Callable[[int, int], bool]) -> list[tuple[int, int]]:
        found = {(first, last) for first, ends in self._hits.items() for last in ends if certain(first, last)}
        if self._hits:
            found = found.union(*(self._alone(*part) for part in {(0, len(self.groups)), *self._lines()}))
        return sorted((self.groups[first][0], self.groups[last - 1][1]) for first, last in found)

    def _whole(self, first: int, last: int) -> bool:
        """One group by itself."""
        return last == first + 1 and self._plausible(first, last)

    def _grouped(self, first: int, last: int) -> bool:
        """Groups end where those on a card do, though not all of them have to."""
        start, *borders, end = self.before[first : last + 1]
        usual = _BORDERS.get(end - start, {4, 8, 12, 16})
        return usual.issuperset(border - start for border in borders) and self._network(first, last)

    def _alone(self, first: int, last: int) -> set[tuple[int, int]]:
        """In any groups: all of these; or cards with few other groups before, between and after them."""
        found = {(first, last)} if last in self._hits.get(first, ()) and self._plausible(first, last) else set()
        ends: dict[int, list[int]] = {}
        for place in reversed(range(first, last)):
            fit = [end for end in self._hits.get(place, ()) if end <= last and self._network(place, end)]
            fit = [end for end in fit if last - end <= _FEW or _few(end, ends, 1)]
            if fit:
                ends[place] = fit
        edges = {first}
        for place in reversed(ends):
            if _few(place, edges, -1):
                edges.update(ends[place])
                found.update((place, end) for end in ends[place])
        return found

    def _lines(self) -> Iterator[tuple[int, int]]:
        first = 0
        for place in range(1, len(self.groups)):
            if "\n" in self._text[self.groups[place - 1][1] : self.groups[place][0]]:
                yield first, place
                first = place
        yield first, len(self.groups)

    def _plausible(self, first: int, last: int) -> bool:
        """Not a date and a time, a phone's number with its country, or one digit over and over."""
        digits, start = self._of(first, last), self.groups[first][0]
        with_country = self._text[max(0, start - 1) : start] == "+"
        return not (digits.startswith("20") or with_country) and len(set(digits)) > 1

    def _network(self, first: int, last: int) -> bool:
        return _NETWORKS.fullmatch(self._of(first, last)) is not None

    def _of(self, first: int, last: int) -> str:
        return self._digits[self.before[first] : self.before[last]]


def _few(place: int, places: Container[int], direction: int) -> bool:
    """Whether one of them is this one or few groups away."""
    return any(place + direction * groups in places for groups in range(_FEW + 1))

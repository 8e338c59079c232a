"""Deny lists, and the canary: words that must not come out, found whatever their writing."""

from __future__ import annotations

import base64
import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

from headrace.guard.rail import Scores, Span
from headrace.guard.readings import SIGNS, readings, signs_read
from headrace.guard.spelling import any_of, seen, term
from headrace.guard.windows import OPENINGS

CANARY = "canary"
_SHORTEST_APART = 8
"""Letters and digits of what is found with anything between them; fewer turn up by chance."""
_NO_LETTERS = re.compile(r"[\W_]+")


class TermsRail:
    """Finds whole words and phrases, without regard to case, width, look-alikes, strokes, and what is not seen.

    Anything but letters may stand between the words of a phrase, or between all letters of a term, and digits and
    signs for letters. Where a script has no spaces between words, a term is found within what looks like one.
    """

    points = True

    def __init__(self, name: str, category: str, terms: Iterable[str]) -> None:
        self.name = name
        self.categories = frozenset({category})
        self._category = category
        listed = sorted({text.strip() for text in terms if seen(text).text.strip()})
        found = [term(text) for text in listed]
        self._patterns = any_of(found)
        self._letters = tuple(one.letters for one in found)
        self._beginnings = tuple({letters for one in found for letters in one.beginnings if letters})
        self.longest = max((one.longest for one in found), default=0)
        """Characters of the longest term in its longest writing."""
        self.backend = f"{name}:{len(found)} terms{self._told(listed)}"

    def _told(self, terms: Sequence[str]) -> str:
        """What tells this list from another one."""
        return f", sha256 {hashlib.sha256(chr(10).join(terms).encode('utf-8', 'replace')).hexdigest()[:16]}"

    def begins(self, opening: str) -> bool:
        """Whether a term could begin with this text, in any writing."""
        text = seen(opening).text
        begun = tuple({_squeezed(one) for one in (text, *map(text.translate, SIGNS))})
        return any(one.startswith(letters) for one in self._letters for letters in begun)

    def begun(self, text: str) -> bool:
        """Whether it ends with the first words of a phrase, which the next words may complete."""
        return bool(self._beginnings) and _squeezed(text[-self.longest :]).endswith(self._beginnings)

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores.of_spans(self._spans(text)) for text in texts]

    def _spans(self, text: str) -> list[Span]:
        found = seen(text)
        read = {found.text, *(signs_read(found.text, signs) for signs in SIGNS)}
        places = {
            found.original(*match.span())
            for one in read
            for pattern in self._patterns
            for match in pattern.finditer(one)
        }
        return [Span(start, end, self._category) for start, end in sorted(places)]


class CanaryRail(TermsRail):
    """Words of the system prompt: found in every reading of an answer too, since models can be told to encode it.

    What is encoded has no place in the text that could be redacted: a canary is flagged or blocked.
    """

    points = False

    def __init__(self, terms: Iterable[str]) -> None:
        terms = list(terms)
        super().__init__(CANARY, CANARY, terms)
        forms = {_squeezed(form) for text in terms for form in _forms(text.strip())}
        self._letters += tuple(forms)
        self._squeezed = tuple(form for form in forms if len(form) >= _SHORTEST_APART)

    def _told(self, terms: Sequence[str]) -> str:
        """Nothing: a hash would let anybody try words until one has it."""
        return ""

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        return [Scores({CANARY: 1.0} if any(map(self._leaks, readings(text))) else {}) for text in texts]

    def _leaks(self, text: str) -> bool:
        squeezed = _squeezed(text)
        return any(map(squeezed.__contains__, self._squeezed)) or bool(self._spans(text))


class Lists:
    """Of an answer that comes in pieces: where none of these lists' terms may be cut."""

    def __init__(self, rails: Sequence[TermsRail] = ()) -> None:
        self._rails = rails
        self.openings = tuple(one for one in OPENINGS if not any(rail.begins(one) for rail in rails))
        """Beginnings of answers with which no term begins."""

    def begun(self, text: str) -> bool:
        return any(rail.begun(text) for rail in self._rails)


NO_LISTS = Lists()


def _squeezed(text: str) -> str:
    """Letters and digits alone."""
    return _NO_LETTERS.sub("", seen(text).text)


def _forms(text: str) -> Iterator[str]:
    """How a word looks in a code, where only what stands around it is looked for in that code as well."""
    data = text.encode("utf-8", "replace")
    yield from (text, text[::-1], codecs.encode(text, "rot13"), data.hex())
    for before in range(3):
        # base64 puts 3 bytes into 4 letters: those that bytes of others share are left out.
        written = base64.b64encode(bytes(before) + data).decode()
        yield written[-(-before * 4 // 3) : (before + len(data)) * 4 // 3]

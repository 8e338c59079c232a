"""Cuts an answer, as it arrives, into windows that are judged one by one.

Where a window ends depends on the text alone, never on how it arrived: so a stream and a whole answer, and a
stream in any other pieces, get the same verdicts. Windows begin small, so that the first word is soon on its way,
and grow to 200 characters; the end of a sentence ends a window too. Only the next word tells that one has ended:
a few openings of answers, harmless whatever they go on to be, are windows at once.

What a rail can point at must not be cut in two. So a window never ends within a word, between two groups of one
number (`4111 1111 …`, `DE89 3704 …`), or within a block of a private key, up to a length that nothing real has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SIZES = (1, 24, 48, 96, 200)
"""Characters of the first windows, at least; the last size is that of all others. 1: one word."""
OPENINGS = (
    "The", "This", "That", "Here", "Hello", "Sure", "Yes", "You", "What", "When", "Where", "How", "For", "From",
    "And", "But", "Let", "Please", "Certainly", "Absolutely", "Great", "Thank", "Sorry", "Unfortunately", "Based",
    "One", "First", "Both", "While", "Once", "Title", "Dear", "Note", "Now", "I'", "I ", "It'", "It ", "In ",
    "To ", "As ", "We ", "My ", "If ", "No,", "No ",
)  # fmt: skip
"""None begins another one. None begins a number that may have to be redacted, as `IT`, `NO` or `I` alone would."""
CONTEXT = 200
"""Characters before a window that its rails see too."""
LONGEST_WORD, LONGEST_RUN, LONGEST_KEY = 4096, 128, 8192
"""Characters after which a word, groups of a number, and a private key are cut all the same."""

_STOPS = "。！？、，"  # they end a word where no space does
_WORD = re.compile(rf"\s{{0,64}}([^\s{_STOPS}]{{0,{LONGEST_WORD}}}[{_STOPS}]{{0,8}})")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"')\]]{0,4}$")
_JOINER = re.compile(r"[-./‐‑‒–—―]{1,3}")
_IBAN_START = re.compile(r"\W{0,4}[A-Za-z]{2}\d\d")
_IBAN_GROUP = re.compile(r"[A-Za-z]{1,4}")


@dataclass(frozen=True, slots=True)
class Window:
    before: str
    """Up to `CONTEXT` characters that precede it."""
    text: str


class Windows:
    """The state of one answer."""

    def __init__(self, sizes: tuple[int, ...] = SIZES) -> None:
        self._sizes = sizes
        self._count = 0
        self._text = ""
        self._start = 0
        """Where the next window begins in `_text`; what lies before it is context."""
        self._read = 0
        """Where the next word begins."""
        self._together = _Together()

    @property
    def pending(self) -> str:
        """What came in and is in no window yet."""
        return self._text[self._start :]

    def feed(self, text: str, final: bool = False) -> Iterator[Window]:
        """The windows that this text completes; with `final` also what is left."""
        self._text += text
        if self._count == 0 and (opening := next(filter(self._text.startswith, OPENINGS), None)):
            yield self._cut(len(opening))
        while (word := _WORD.match(self._text, self._read)) and word[0]:
            if word.end() == len(self._text) and not final:
                break  # it may go on
            if self._together.undecided and not self._together.goes_on(word[1], self._read):
                yield from self._cut_if_due(self._read)
            self._together.read(word[1], word.start(1), word.end())
            self._read = word.end()
            if not self._together.undecided:
                yield from self._cut_if_due(self._read)
            self._forget()
        if final and self._start < len(self._text):
            yield self._cut(len(self._text))

    def _cut_if_due(self, end: int) -> Iterator[Window]:
        size = self._sizes[min(self._count, len(self._sizes) - 1)]
        ends_line = self._text[end : end + 1] == "\n"
        if end - self._start >= size or ends_line or _SENTENCE_END.search(self._text, max(0, end - 5), end):
            yield self._cut(end)

    def _cut(self, end: int) -> Window:
        window = Window(self._text[max(0, self._start - CONTEXT) : self._start], self._text[self._start : end])
        self._start = end
        self._count += 1
        return window

    def _forget(self) -> None:
        """Text that is no context any more."""
        if (surplus := self._start - CONTEXT) > CONTEXT:
            self._text = self._text[surplus:]
            self._start -= surplus
            self._read -= surplus
            self._together.shift(-surplus)


class _Together:
    """Whether what follows a word belongs to it: more groups of a number, or more of a private key."""

    def __init__(self) -> None:
        self._run_start: int | None = None
        self._run_end = 0
        self._iban = False
        self._key_start: int | None = None
        self._key_ends = False

    @property
    def undecided(self) -> bool:
        """The next word says whether a window may end before it."""
        return self._run_start is not None or self._key_start is not None

    def goes_on(self, word: str, place: int) -> bool:
        """Whether the next word, before which a window might end at `place`, belongs to what precedes."""
        if self._key_start is not None:
            return place - self._key_start < LONGEST_KEY
        if self._run_start is None or place - self._run_start >= LONGEST_RUN:
            return False
        return _has_digit(word) or bool(_JOINER.fullmatch(word) or (self._iban and _IBAN_GROUP.fullmatch(word)))

    def read(self, word: str, start: int, end: int) -> None:
        if self._run_start is not None and not self.goes_on(word, self._run_end):
            self._run_start = None
        if self._run_start is None and _has_digit(word):
            self._run_start = start
            self._iban = bool(_IBAN_START.match(word))
        self._run_end = end
        self._read_key(word, start)

    def _read_key(self, word: str, start: int) -> None:
        if self._key_start is not None and start - self._key_start >= LONGEST_KEY:
            self._key_start = None
        if self._key_start is None:
            if "-----BEGIN" in word:
                self._key_start, self._key_ends = start, False
        elif self._key_ends and word.endswith("-----"):
            self._key_start = None
        if "-----END" in word:
            self._key_ends = True

    def shift(self, by: int) -> None:
        self._run_end += by
        if self._run_start is not None:
            self._run_start += by
        if self._key_start is not None:
            self._key_start += by


def _has_digit(word: str) -> bool:
    return any(map(str.isdigit, word))

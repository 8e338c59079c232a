"""Cuts an answer, as it arrives, into windows that are judged one by one.

Where a window ends depends on the text alone, never on how it arrived: so a stream and a whole answer, and a
stream in any other pieces, get the same verdicts. Windows begin small, so that the first word is soon on its way,
and grow to 200 characters; the end of a sentence ends a window too.

What a rail can point at must not be cut in two. So a window never ends within a word, between two groups of one
number (`seams.py`), or within a block of a private key, up to a length that nothing real has.

Only the next word tells that one has ended, and waiting for it costs a step of the engine. So a few openings of
answers are windows at once. None begins a card, an IBAN or an SSN; but a term, a name or an address may begin like
one (`Theo@example.com`), and its first letters would be out. So who redacts such chooses the openings
(`headrace.guard.answer`), and who shows nothing before the end lets an opening go with the next window.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from headrace.guard import seams

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
LONGEST_WORD, LONGEST_LIST, LONGEST_KEY, LONGEST_PHRASE = 4096, 8192, 8192, 512
"""Characters after which a word, a window that numbers go on after, a private key, and a window that may end in
the middle of a phrase are cut all the same."""
_PATIENCE = 64
"""Characters that a list of numbers goes on before a place for a cut is looked for again."""

_LAST = 1024
"""Characters of a word that is too long in which a sign is looked for that parts it."""

_PARTING = re.compile(r"[\",;<>\[\]{}]")  # none of an address, a key or a number
_STOPS = "。！？、，"  # they end a word where no space does
_WORD = re.compile(rf"\s{{0,64}}([^\s{_STOPS}]{{0,{LONGEST_WORD}}}[{_STOPS}]{{0,8}})")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"')\]]{0,4}$")


@dataclass(frozen=True, slots=True)
class Window:
    before: str
    """Up to `CONTEXT` characters that precede it."""
    text: str


class Windows:
    """The state of one answer.

    `apart`: an opening is a window by itself, else the beginning of the first one. `begun`: whether a text ends
    with a part of something that must not be cut.
    """

    def __init__(
        self,
        sizes: tuple[int, ...] = SIZES,
        openings: Sequence[str] = OPENINGS,
        apart: bool = True,
        begun: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._sizes = sizes
        self._openings = tuple(openings)
        self._apart = apart
        self._begun = begun
        self._count = 0
        self._text = ""
        self._start = 0
        """Where the next window begins in `_text`; what lies before it is context."""
        self._counted = 0
        """From where on its characters count: those of an opening do not."""
        self._read = 0
        """Where the next word begins."""
        self._due = False
        """A window ends there, if nothing that belongs together does not."""
        self._patient_until: int | None = None
        self._key = _Key()

    @property
    def pending(self) -> str:
        """What came in and is in no window yet."""
        return self._text[self._start :]

    def feed(self, text: str, final: bool = False) -> Iterator[Window]:
        """The windows that this text completes; with `final` also what is left."""
        self._text += text
        if self._count == 0 and (opening := next(filter(self._text.startswith, self._openings), None)):
            self._counted = len(opening)
            if self._apart:
                yield self._cut(len(opening))
            self._count = 1
        while True:
            if self._due:
                goes_on = seams.goes_on(self._text, self._first, self._read, final)
                if goes_on is None:
                    break
                self._due = False
                if (place := self._in_list() if goes_on else self._read) is not None:
                    yield self._cut(place)
            if (word := self._word(final)) is None:
                break
            self._key.read(self._text[slice(*word)], word[0])
            self._read = word[1]
            self._due = self._may_end(self._read)
        if final and self._start < len(self._text):
            yield self._cut(len(self._text))
        self._forget()

    @property
    def _first(self) -> int:
        return max(self._start, self._counted)

    def _word(self, final: bool) -> tuple[int, int] | None:
        """Where the next one stands; None when it may go on."""
        word = _WORD.match(self._text, self._read)
        if word is None or not word[0] or (word.end() == len(self._text) and not final):
            return None
        end = word.end()
        if len(word[1]) >= LONGEST_WORD:
            signs = list(_PARTING.finditer(self._text, end - _LAST, end))
            end = signs[-1].end() if signs else end
        return word.start(1), end

    def _may_end(self, end: int) -> bool:
        """Whether a window is long enough there, or a line or a sentence ends."""
        if self._key.holds(end) or end <= self._first:
            return False
        size = self._sizes[min(self._count, len(self._sizes) - 1)]
        ends_line = self._text[end : end + 1] == "\n"
        ends = (
            end - self._first >= size
            or ends_line
            or _SENTENCE_END.search(self._text, max(0, end - 5), end) is not None
        )
        too_long = end - self._first >= size + LONGEST_PHRASE
        return ends and (too_long or not self._begun(self._text[self._start : end]))

    def _in_list(self) -> int | None:
        """Where to cut a list of numbers that goes on where a window should end."""
        if self._read - self._first >= LONGEST_LIST:
            return seams.within(self._text, self._first, self._read, in_word=True) or self._read
        if self._patient_until is None:
            self._patient_until = self._read + seams.LONGEST_RUN
        if self._read < self._patient_until:
            return None
        self._patient_until = self._read + _PATIENCE
        return seams.within(self._text, self._first, self._read)

    def _cut(self, end: int) -> Window:
        window = Window(self._text[max(0, self._start - CONTEXT) : self._start], self._text[self._start : end])
        self._start = end
        self._count += 1
        self._patient_until = None
        return window

    def _forget(self) -> None:
        """Text that is no context any more."""
        if (surplus := self._start - CONTEXT) > CONTEXT:
            self._text = self._text[surplus:]
            self._start -= surplus
            self._counted -= surplus
            self._read -= surplus
            if self._patient_until is not None:
                self._patient_until -= surplus
            self._key.shift(-surplus)


class _Key:
    """Whether what follows a word is more of a private key."""

    def __init__(self) -> None:
        self._start: int | None = None
        self._ends = False

    def holds(self, place: int) -> bool:
        return self._start is not None and place - self._start < LONGEST_KEY

    def read(self, word: str, start: int) -> None:
        if not self.holds(start):
            self._start = None
        if self._start is None:
            if "-----BEGIN" in word:
                self._start, self._ends = start, False
        elif self._ends and word.endswith("-----"):
            self._start = None
        if "-----END" in word:
            self._ends = True

    def shift(self, by: int) -> None:
        if self._start is not None:
            self._start += by

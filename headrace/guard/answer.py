"""The guard of one answer, whole or in pieces: what may be shown, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.guard.judge import Asked, Judged
from headrace.guard.policy import Policy, StreamMode
from headrace.guard.terms import NO_LISTS, Lists
from headrace.guard.verdict import Verdict
from headrace.guard.windows import Window, Windows

_BEGIN_WITH_LETTERS = {"email_address", "person", "location", "nrp", "date_time", "organization"}
"""Entities of the PII rail that a word may begin."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What follows from the windows that were judged."""

    text: str
    blocked: bool
    """The answer is over: nothing more of it may be shown."""


class GuardedAnswer:
    """Give it the text as it comes, have its windows judged, and show what `settle` returns.

    The verdicts and the text in the end are the same however the text arrives. So one class serves streams and
    whole answers: a whole answer is one feed, in the mode `buffered`.
    """

    def __init__(self, name: str, policy: Policy, mode: StreamMode | None = None, terms: Lists = NO_LISTS) -> None:
        """`mode` instead of the policy's own. A policy that looks for nothing in answers holds nothing back.

        `terms`: those that the policy takes out of answers (`Judge.terms`).
        """
        self._name = name
        self._policy = policy
        self._mode = (mode or policy.stream) if policy.response else "async"
        openings = harmless(terms.openings, policy)
        self._windows = Windows(openings=openings, apart=self._mode != "buffered", begun=terms.begun)
        self._held: list[str] = []
        self._asked: Sequence[Window] = ()
        self._fed = self._judged = 0
        self._final = False
        self.changed: list[tuple[int, int]] = []
        """From where to where, in characters of the answer as it came in, it is shown otherwise than it was."""
        self.verdict = Verdict.none(name, policy, "response")
        self.blocked = False

    @property
    def place(self) -> int:
        """Characters that came in and were judged, or are shown before they are (mode `async`)."""
        return self._fed if self._mode == "async" else self._judged

    def feed(self, text: str, final: bool = False) -> tuple[str, list[Asked]]:
        """Text that is shown before it is judged (mode `async` alone), and the windows that have to be judged."""
        self._final = self._final or final
        self._fed += len(text)
        self._asked = tuple(self._windows.feed(text, final)) if self._policy.response else ()
        asked = [Asked(self._name, "response", window) for window in self._asked]
        return (text if self._mode == "async" else ""), asked

    def settle(self, judged: Sequence[Judged]) -> Shown:
        """`judged` are the verdicts of the windows of the last `feed`, in their order."""
        for window, one in zip(self._asked, judged, strict=True):
            start, self._judged = self._judged, self._judged + len(window.text)
            if one.text != window.text and self._mode != "async":
                self.changed.append((start, self._judged))
            self.verdict = self.verdict.merged(one.verdict)
            if one.verdict.action == "block":
                self.blocked = True
                break
            self._held.append(one.text)
        match self._mode:
            case "async":
                shown = ""  # it was shown before it was judged
            case "windowed":
                shown = "".join(self._held)
            case "buffered" if self.blocked:
                shown = self._policy.refusal
            case "buffered":
                if not self._final:
                    return Shown("", blocked=False)
                shown = "".join(self._held)
        self._held.clear()
        return Shown(shown, self.blocked)


def harmless(openings: Sequence[str], policy: Policy) -> tuple[str, ...]:
    """Those that nothing begins with which this policy takes out of answers.

    `Theo@example.com` begins like `The`, and so do names and places. A policy that only notes addresses, or looks
    for none, lets all openings go at once.
    """
    if policy.taken_out.isdisjoint(_BEGIN_WITH_LETTERS):
        return tuple(openings)
    return tuple(opening for opening in openings if opening[-1] in " ,")


def windows_of(text: str) -> list[Window]:
    """Of a whole text."""
    return list(Windows(apart=False).feed(text, final=True))

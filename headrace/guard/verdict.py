"""What was decided about a text, and the record of it. Neither holds the text."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

import msgspec

from headrace.errors import InvalidRequest
from headrace.guard.policy import SEVERITY, Action, Direction, Policy


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a prompt, or of an answer so far."""

    policy: str
    version: str
    direction: Direction
    action: Action = "allow"
    scores: Mapping[str, float] = field(default_factory=dict)
    """The highest of each category that reached a threshold."""
    redactions: Mapping[str, int] = field(default_factory=dict)
    """Spans replaced, by category."""
    errors: tuple[str, ...] = ()
    """Rails that failed or took too long."""

    @classmethod
    def none(cls, policy: str, settings: Policy, direction: Direction) -> Verdict:
        return cls(policy, settings.version, direction)

    def merged(self, *others: Verdict) -> Verdict:
        """With what was found in other parts of the same text."""
        return functools.reduce(Verdict._with, others, self)

    def _with(self, other: Verdict) -> Verdict:
        scores = dict(self.scores)
        for category, score in other.scores.items():
            scores[category] = max(score, scores.get(category, 0.0))
        redactions = dict(self.redactions)
        for category, count in other.redactions.items():
            redactions[category] = redactions.get(category, 0) + count
        errors = tuple(dict.fromkeys((*self.errors, *other.errors)))
        action = most_severe((self.action, other.action))
        # A policy that changed while a stream ran: the last one to judge it is named.
        return Verdict(self.policy, other.version, self.direction, action, scores, redactions, errors)

    def summary(self) -> dict[str, object]:
        """Without what both directions share."""
        shown: dict[str, object] = {
            "action": self.action,
            "scores": {category: round(score, 4) for category, score in sorted(self.scores.items())},
        }
        if self.redactions:
            shown["redactions"] = dict(sorted(self.redactions.items()))
        if self.errors:
            shown["errors"] = list(self.errors)
        return shown


MAX_VERDICT_BYTES = 65_536
"""Of a prompt's verdict as JSON."""


class PromptVerdict(msgspec.Struct, frozen=True):
    """What the guard of the answer has to know of the prompt's. Travels between the two steps as JSON."""

    policy: str
    version: str
    blocked: bool
    summary: msgspec.Raw

    @classmethod
    def of(cls, verdict: Verdict) -> PromptVerdict:
        summary = msgspec.Raw(msgspec.json.encode(verdict.summary()))
        return cls(verdict.policy, verdict.version, verdict.action == "block", summary)

    def json(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str) -> PromptVerdict:
        """Raises `InvalidRequest`."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise InvalidRequest("prompt_verdict", f"not what the prompt's guard says: {error}") from None


def guard_json(prompt: PromptVerdict, response: Verdict) -> str:
    """The output `guard`: what was decided about a request, and why. The policy may have changed between a prompt
    and its answer, so each has its version."""
    before: dict[str, object] = msgspec.json.decode(prompt.summary)
    shown = {
        "action": most_severe((cast("Action", before["action"]), response.action)),
        "policy": response.policy,
        "version": response.version,
        "prompt": {"version": prompt.version, **before},
        "response": response.summary(),
    }
    return msgspec.json.encode(shown).decode()


def most_severe(actions: Iterable[Action]) -> Action:
    return max(actions, key=SEVERITY.__getitem__, default="allow")

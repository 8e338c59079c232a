"""What was decided about a text, and the record of it. Neither holds the text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

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

    def merged(self, other: Verdict) -> Verdict:
        """With what was found in another part of the same text."""
        scores = dict(self.scores)
        for category, score in other.scores.items():
            scores[category] = max(score, scores.get(category, 0.0))
        redactions = dict(self.redactions)
        for category, count in other.redactions.items():
            redactions[category] = redactions.get(category, 0) + count
        errors = tuple(dict.fromkeys((*self.errors, *other.errors)))
        action = most_severe((self.action, other.action))
        return Verdict(self.policy, self.version, self.direction, action, scores, redactions, errors)

    def json(self) -> str:
        """As the tensor `guard` carries it."""
        shown: dict[str, object] = {
            "action": self.action,
            "policy": self.policy,
            "version": self.version,
            "scores": {category: round(score, 4) for category, score in sorted(self.scores.items())},
        }
        if self.redactions:
            shown["redactions"] = dict(sorted(self.redactions.items()))
        if self.errors:
            shown["errors"] = list(self.errors)
        return msgspec.json.encode(shown).decode()


def most_severe(actions: Iterable[Action]) -> Action:
    return max(actions, key=SEVERITY.__getitem__, default="allow")

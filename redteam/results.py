"""What a run found: counts over cases, and every case that went wrong in some form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import Field

from headrace import yaml_file
from headrace.errors import ConfigError
from headrace.guard.evaluation import Share
from headrace.yaml_file import Section
from redteam.case import Case
from redteam.judgement import Form, Outcome

KNOWN = Path(__file__).resolve().parent / "known_misses.yaml"


class _Known(Section):
    misses: dict[str, str] = Field(default_factory=dict)
    """Case → why the rails get it wrong."""


def known_misses(cases: Sequence[Case], file: Path = KNOWN) -> dict[str, str]:
    """Raises `ConfigError`, also for a case that is not there and for a reason that is missing."""
    misses = yaml_file.read_as(file, _Known).misses
    if unknown := misses.keys() - {case.id for case in cases}:
        raise ConfigError(f"{file}: no case {', '.join(sorted(unknown))}")
    if silent := [case for case, reason in misses.items() if not reason.strip()]:
        raise ConfigError(f"{file}: {', '.join(silent)}: say why it is missed")
    return misses


@dataclass(frozen=True)
class Miss:
    """A case that went wrong in the same way in these forms."""

    case: Case
    forms: tuple[Form, ...]
    happened: str
    blocked: bool
    """As something else than what it is, or where less was called for."""
    reason: str | None
    """Why it is known to be missed; None when it is not."""


@dataclass(frozen=True)
class Results:
    started: str
    """UTC, ISO 8601."""
    revision: str
    server: str
    """Which one was attacked, in words."""
    outcomes: tuple[Outcome, ...]
    left_out: tuple[Case, ...]
    """Cases that this server could not be asked."""
    known: Mapping[str, str]
    """Case → why it is missed."""

    @cached_property
    def policies(self) -> list[tuple[str, str]]:
        """Name and version of those that judged."""
        return sorted({outcome.policy for outcome in self.outcomes if outcome.policy is not None})

    @cached_property
    def cases(self) -> dict[str, list[Outcome]]:
        """Those that were asked, each with its forms."""
        found: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            found.setdefault(outcome.case.id, []).append(outcome)
        return found

    @cached_property
    def misses(self) -> list[Miss]:
        """All of them, known or not."""
        found: dict[tuple[str, str], list[Outcome]] = {}
        for outcome in self.outcomes:
            if not outcome.right:
                found.setdefault((outcome.case.id, outcome.happened), []).append(outcome)
        return [self._miss(alike) for alike in found.values()]

    def _miss(self, alike: Sequence[Outcome]) -> Miss:
        first = alike[0]
        # A request that failed is no miss that anybody knows of.
        reason = None if first.failed else self.known.get(first.case.id)
        return Miss(first.case, tuple(o.form for o in alike), first.happened, first.blocked, reason)

    @cached_property
    def complaints(self) -> list[str]:
        """What makes the run fail: misses that nobody knows of, and known ones that are none any more."""
        unknown = [miss for miss in self.misses if miss.reason is None]
        right = {case: [o.form for o in self.cases.get(case, ()) if o.right] for case in self.known}
        return [
            *(f"{miss.case.id} ({', '.join(miss.forms)}): {miss.happened}" for miss in unknown),
            *(
                f"{case} ({', '.join(forms)}): went right; take it out of {KNOWN.name}"
                for case, forms in right.items()
                if forms
            ),
        ]

    def found(self, ids: Collection[str] | None = None, form: Form | None = None) -> Share:
        """Attacks, all or these, that went right in this form, or in every form: recall."""
        return self._share("attack", ids, form, right=True)

    def false_positives(self, ids: Collection[str] | None = None, form: Form | None = None) -> Share:
        """Benign cases, all or these, that went wrong in this form, or in any form."""
        return self._share("benign", ids, form, right=False)

    def _share(self, kind: str, ids: Collection[str] | None, form: Form | None, right: bool) -> Share:
        verdicts = [
            all(outcome.right for outcome in outcomes if form in {None, outcome.form})
            for case, outcomes in self.cases.items()
            if outcomes[0].case.kind == kind and (ids is None or case in ids)
        ]
        return Share(verdicts.count(right), len(verdicts))

"""From texts to verdicts: the rails that a policy needs, in batches, and what their scores lead to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from headrace.errors import ConfigError, InvalidRequest
from headrace.guard.policy import Action, Direction, Policy, PolicyFile
from headrace.guard.rail import Rail, Scores, Span
from headrace.guard.recent import Recent
from headrace.guard.runner import RailFailed, RailRunner
from headrace.guard.terms import Lists, TermsRail
from headrace.guard.verdict import Verdict, most_severe
from headrace.guard.windows import Window

FIELD = "guard_policy"
FAILED = "error"
"""The category of what is blocked because a rail failed."""
MOST_CHARACTERS = 50_000
"""Of several texts that a rail judges in one call."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A window of a text, and by which policy to judge it."""

    policy: str
    direction: Direction
    window: Window
    exempt: frozenset[str] = frozenset()
    """Categories that are not looked for in it."""

    def __len__(self) -> int:
        """Characters that it holds, and some more for itself."""
        return len(self.window.before) + len(self.window.text) + 200


@dataclass(frozen=True, slots=True)
class Judged:
    verdict: Verdict
    text: str
    """Of the window, as it may be shown; empty when it is blocked."""
    findings: Mapping[str, Action] = field(default_factory=dict)
    """Category → what follows from it alone."""


class Observer(Protocol):
    """Who counts (`headrace.triton.guard_metrics`)."""

    def rail(self, rail: Rail, direction: Direction, texts: int, seconds: float, error: str | None) -> None: ...

    def decision(self, direction: Direction, category: str, action: Action) -> None: ...


class Judge:
    """One policy file and the rails that were built for it. Used from one thread."""

    def __init__(
        self,
        file: PolicyFile,
        rails: Sequence[Rail],
        observer: Observer,
        runners: Sequence[RailRunner] | None = None,
    ) -> None:
        """`runners` of these rails that run already. Raises `ConfigError` when the rails cannot do what the file
        says."""
        _check(file, rails)
        self._file = file
        self._rails = rails
        self._runners = runners or [RailRunner(rail) for rail in rails]
        self._observer = observer
        self._recent: Recent[Asked, Judged] = Recent()
        self._lists: dict[str, Lists] = {}

    def under(self, file: PolicyFile) -> Judge:
        """The same rails, busy with what they are busy with, under other policies. Raises `ConfigError`."""
        return Judge(file, self._rails, self._observer, self._runners)

    def policy(self, name: str | None) -> tuple[str, Policy]:
        """The one of this name, the default one for None. Raises `InvalidRequest`."""
        name = name or self._file.default
        if name not in self._file.policies:
            raise InvalidRequest(FIELD, f"no policy {name!r}; there are {', '.join(sorted(self._file.policies))}")
        return name, self._file.policies[name]

    def terms(self, name: str) -> Lists:
        """The lists of terms that this policy takes out of answers."""
        if name not in self._lists:
            taken_out = self._file.policies[name].taken_out
            rails = [rail for rail in self._rails if isinstance(rail, TermsRail) and rail.categories & taken_out]
            self._lists[name] = Lists(rails)
        return self._lists[name]

    def backends(self, name: str, direction: Direction) -> dict[str, str]:
        """Rail → what judges, of those that this policy needs."""
        needed = self._file.policies[name].thresholds(direction)
        return {rail.name: rail.backend for rail in self._rails if not rail.categories.isdisjoint(needed)}

    def judge(self, asked: Sequence[Asked]) -> list[Judged]:
        """In the order of `asked`. Never raises for what a rail does."""
        known = {one: judged for one in asked if (judged := self._recent.get(one)) is not None}
        new = [one for one in dict.fromkeys(asked) if one not in known]
        known.update(zip(new, self._judge(new), strict=True))
        return [self._told(one, known[one]) for one in asked]

    def judge_each(self, asked: Iterable[Sequence[Asked]]) -> list[list[Judged]]:
        """What each of many asks, judged together."""
        several = list(asked)
        judged = iter(self.judge([one for some in several for one in some]))
        return [[next(judged) for _ in some] for some in several]

    def _judge(self, asked: Sequence[Asked]) -> list[Judged]:
        found: list[list[Scores]] = [[] for _ in asked]
        errors: list[list[str]] = [[] for _ in asked]
        for runner in self._runners:
            self._run(runner, asked, found, errors)
        return [self._decide(one, found[place], errors[place]) for place, one in enumerate(asked)]

    def _told(self, asked: Asked, judged: Judged) -> Judged:
        for category, action in judged.findings.items():
            self._observer.decision(asked.direction, category, action)
        if not judged.verdict.errors:  # else the rail may do better next time
            self._recent.keep(asked, judged)
        return judged

    def _run(
        self, runner: RailRunner, asked: Sequence[Asked], found: list[list[Scores]], errors: list[list[str]]
    ) -> None:
        """This rail for all that need it, in few calls."""
        needed = [place for place, one in enumerate(asked) if self._needs(runner.rail, one)]
        for direction, limit_ms, places in self._calls(asked, needed):
            texts = [asked[place].window.before + asked[place].window.text for place in places]
            error = None
            began = time.perf_counter()
            try:
                for place, scores in zip(places, runner.score(texts, limit_ms / 1000), strict=True):
                    found[place].append(scores)
            except RailFailed as failed:
                error = str(failed)
                for place in places:
                    errors[place].append(runner.rail.name)
            self._observer.rail(runner.rail, direction, len(texts), time.perf_counter() - began, error)

    def _calls(
        self, asked: Sequence[Asked], places: Iterable[int]
    ) -> Iterator[tuple[Direction, float, list[int]]]:
        """What is judged together: of one direction, within one time limit, and so much that it can be kept."""
        calls: dict[tuple[Direction, float], list[int]] = {}
        lengths: dict[tuple[Direction, float], int] = {}
        for place in places:
            one = asked[place]
            kind = one.direction, self._file.policies[one.policy].time_limit_ms
            length = lengths.get(kind, 0) + len(one)
            if kind in calls and length > MOST_CHARACTERS:
                yield *kind, calls.pop(kind)
                length = len(one)
            calls.setdefault(kind, []).append(place)
            lengths[kind] = length
        for kind, call in calls.items():
            yield *kind, call

    def _needs(self, rail: Rail, asked: Asked) -> bool:
        looked_for = self._file.policies[asked.policy].thresholds(asked.direction).keys() - asked.exempt
        return not rail.categories.isdisjoint(looked_for)

    def _decide(self, asked: Asked, found: Sequence[Scores], errors: Sequence[str]) -> Judged:
        policy = self._file.policies[asked.policy]
        thresholds = policy.thresholds(asked.direction)
        context = len(asked.window.before)
        actions: dict[str, Action] = {}
        scores: dict[str, float] = {}
        spans: list[Span] = []
        for given in found:
            for category, highest in given.by_category.items():
                if (levels := thresholds.get(category)) is None or category in asked.exempt:
                    continue
                score = highest
                here = [span for span in given.spans if span.category == category]
                if here:
                    # What lies in the context was decided with the window that held it.
                    here = [span for span in here if span.end > context]
                    score = max((span.score for span in here), default=0.0)
                action = levels.action(score)
                if action == "allow":
                    continue
                scores[category] = max(score, scores.get(category, 0.0))
                actions[category] = most_severe((action, actions.get(category, "allow")))
                spans += [span for span in here if levels.action(span.score) == "redact"]
        action = most_severe(actions.values())
        if errors and policy.on_error == "block":
            action = actions[FAILED] = "block"
        if policy.detect_only:
            # Counted as what it led to, which is nothing.
            actions = dict.fromkeys(actions, "flag")
            action, spans = most_severe(actions.values()), []
        text, redactions = asked.window.text, dict[str, int]()
        if action == "block":
            text = ""
        elif action == "redact":
            text, redactions = redacted(text, [_shifted(span, -context) for span in spans])
        verdict = Verdict(
            asked.policy, policy.version, asked.direction, action, scores, redactions, tuple(dict.fromkeys(errors))
        )
        return Judged(verdict, text, actions)

    def close(self) -> None:
        for runner in self._runners:
            runner.close()


def _check(file: PolicyFile, rails: Sequence[Rail]) -> None:
    """Raises `ConfigError` for what would not be looked for, or could not be redacted where it is found."""
    file.check_found({category for rail in rails for category in rail.categories})
    blind = {category for rail in rails if not rail.points for category in rail.categories}
    for name, policy in file.policies.items():
        for levels in (policy.prompt, policy.response):
            for category in blind & levels.keys():
                if levels[category].redact is not None:
                    raise ConfigError(f"policy {name}: {category} cannot be redacted, its rail finds no spans")


def redacted(text: str, spans: Sequence[Span]) -> tuple[str, dict[str, int]]:
    """With a typed tag instead of each span. Of spans that overlap the longest gives its name to all of them."""
    pieces: list[str] = []
    counts: dict[str, int] = {}
    done = 0
    for group in _overlapping(spans):
        start, end = max(0, group[0].start), max(span.end for span in group)
        category = max(group, key=lambda span: (span.end - span.start, span.score)).category
        pieces += [text[done:start], f"[{category.upper()}]"]
        counts[category] = counts.get(category, 0) + 1
        done = end
    return "".join([*pieces, text[done:]]), counts


def _overlapping(spans: Sequence[Span]) -> list[list[Span]]:
    groups: list[list[Span]] = []
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if groups and span.start < end:
            groups[-1].append(span)
        else:
            groups.append([span])
        end = max(end, span.end)
    return groups


def _shifted(span: Span, by: int) -> Span:
    return Span(span.start + by, span.end + by, span.category, span.score)

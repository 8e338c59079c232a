"""Whether an audit log is as it was written. One pass over its segments, in constant memory.

What it can find depends on who changed the files. Without the key nobody can make a line that fits: any change,
drop, swap, repetition or cut is found, and the head shows that the last lines are gone. Two things are beyond it:

- Who can write to the folder and kept an older head.json can put the log back to what it was then: an older log is
  a good log. Note the last position elsewhere (`verify` prints it) and give it as `noted`: then that is found too.
- Who has the key, or finds a log that was begun without one, can write the whole chain and the head anew. Only a
  position that was noted elsewhere shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from headrace.audit import chain, head, segments
from headrace.audit.chain import START, Flaw, Link, Position
from headrace.audit.journal import in_use
from headrace.audit.record import Recovered
from headrace.errors import NotFound

MOST = 100
"""Findings, and losses, that are told one by one."""

Problem = Literal[
    "bad", "changed", "unlinked", "dropped", "reordered", "duplicated", "truncated", "missing", "head", "key"
]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written."""

    kind: Problem
    file: str
    line: int | None
    """From 1; None: the file as a whole."""
    problem: str

    def __str__(self) -> str:
        return f"{self.file}{'' if self.line is None else f':{self.line}'}: {self.kind}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Loss:
    """A recovery that the log tells of. By itself no finding: a crash leaves an unfinished line."""

    file: str
    line: int
    recovered: Recovered


@dataclass(slots=True)
class Report:
    segments: int = 0
    lines: int = 0
    """That fit their hash."""
    last: Position = START
    unconfirmed: int = 0
    """Lines after the head: were they dropped, nobody could tell."""
    losses: list[Loss] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[Problem] = field(default_factory=Counter)
    """Of all findings; the list has the first ones."""

    @property
    def intact(self) -> bool:
        return not self.counts


def verify(folder: Path, key: bytes | None, *, first: int = 1, noted: Sequence[Position] = ()) -> Report:
    """Reads the whole log, which may be in use.

    `first`: where it begins, when older segments were moved away. `noted`: positions that were noted elsewhere.
    Raises `NotFound` when there is no folder, `OSError` when a file cannot be read.
    """
    if not folder.is_dir():
        raise NotFound(f"{folder}: no such folder; give the one with the segments of an audit log")
    return _Verification(folder, key, first).run(noted)


class _Verification:
    def __init__(self, folder: Path, key: bytes | None, first: int) -> None:
        self._folder, self._key, self._first = folder, key, first
        self._report = Report()
        self._expected = first
        self._last: Position | None = START if first == 1 else None
        """The highest line so far; None before the first line of a log whose beginning lies elsewhere."""
        self._unknown = 0
        """Lines since then that say nothing of their place."""
        self._gaps: list[range] = []
        self._promised: dict[int, list[tuple[str, str]]] = {}
        """Number → hash that its line must have, and who says so."""

    def run(self, noted: Sequence[Position]) -> Report:
        confirmed = self._read_head()  # first of all: a log that is in use grows
        for position in noted:
            self._promise(position, "what was noted elsewhere")
        files = segments.listed(self._folder)
        for file in files:
            self._segment(file, is_last=file == files[-1])
        self._end(files[-1] if files else None)
        report = self._report
        report.segments = len(files)
        report.last = self._last or START
        if confirmed is not None:
            report.unconfirmed = max(0, report.last.sequence - confirmed.sequence)
        return report

    def _read_head(self) -> Position | None:
        try:
            confirmed = head.read(self._folder, self._key)
        except Flaw as flaw:
            self._find("head", head.NAME, None, str(flaw))
            return None
        if confirmed is None:
            self._find("head", head.NAME, None, "is not there, so lines may be gone from the end")
            return None
        self._promise(confirmed, head.NAME)
        return confirmed

    def _promise(self, position: Position, by: str) -> None:
        if position.sequence >= self._first:
            self._promised.setdefault(position.sequence, []).append((position.hash, by))

    def _segment(self, file: Path, is_last: bool) -> None:
        number = 0
        whole = True
        for line in segments.lines(file):
            whole, continued = line.endswith(b"\n"), not whole
            if continued:
                continue
            number += 1
            if whole:
                self._line(file, number, line)
            elif len(line) == segments.LINE_BYTES:
                self._unreadable(Flaw("bad", "longer than any line of a log"), file, number)
        if not whole and not (is_last and in_use(self._folder)):
            self._find("truncated", file.name, number, "unfinished line")
        if not number and not is_last:
            self._find("truncated", file.name, None, "holds no line")

    def _line(self, file: Path, number: int, line: bytes) -> None:
        try:
            link = chain.read(line, self._key)
        except Flaw as flaw:
            self._unreadable(flaw, file, number)
            return
        self._report.lines += 1
        if link.sequence < self._expected:
            self._again(link, file, number)
            return
        self._follow(link, file, number)
        if link.kind == "recovered":
            self._recovered(line, file, number)

    def _unreadable(self, flaw: Flaw, file: Path, number: int) -> None:
        self._unknown += 1
        self._find(flaw.kind, file.name, number, str(flaw))

    def _again(self, link: Link, file: Path, number: int) -> None:
        if any(link.sequence in gap for gap in self._gaps):
            self._find("reordered", file.name, number, f"line {link.sequence} of the chain stands here")
        else:
            self._find("duplicated", file.name, number, f"line {link.sequence} of the chain once more")

    def _follow(self, link: Link, file: Path, number: int) -> None:
        named = segments.first_sequence(file)
        gap = range(self._expected, link.sequence)
        if len(gap) > self._unknown:
            if number == 1 and named == link.sequence:
                problem = f"lines {_span(gap)} of the chain are missing: not there, or cut off the file before"
                self._find("missing", segments.name(gap.start), None, problem)
            else:
                self._find("dropped", file.name, number, f"lines {_span(gap)} of the chain are missing before it")
            if len(self._gaps) < MOST:
                self._gaps.append(gap)
        elif number == 1 and named != link.sequence:
            problem = f"begins with line {link.sequence} of the chain, which is not what its name says"
            self._find("missing", file.name, number, problem)
        if not gap and self._last is not None and link.prev != self._last.hash:
            problem = f"does not follow line {self._last.sequence} as that stands in the log"
            self._find("unlinked", file.name, number, problem)
        for promised, by in self._promised.pop(link.sequence, ()):
            if promised != link.hash:
                self._find("head", file.name, number, f"line {link.sequence} of the chain differs from {by}")
        self._last, self._expected, self._unknown = link.position, link.sequence + 1, 0

    def _recovered(self, line: bytes, file: Path, number: int) -> None:
        try:
            recovered = msgspec.json.decode(line, type=Recovered)
        except msgspec.MsgspecError as error:
            self._find("bad", file.name, number, f"a recovery that cannot be read: {error}")
            return
        if len(self._report.losses) < MOST:
            self._report.losses.append(Loss(file.name, number, recovered))
        if recovered.head != "ok":
            self._find("head", file.name, number, f"the head was {recovered.head} when the log was opened here")

    def _end(self, file: Path | None) -> None:
        for sequence, promises in sorted(self._promised.items()):
            if sequence >= self._expected + self._unknown:
                problem = f"lines {_span(range(self._expected, sequence + 1))} of the chain are missing at the end"
                name = self._folder.name if file is None else file.name
                for _, by in promises:
                    self._find("truncated", name, None, f"{problem}, as {by} shows")
        changed, report = self._report.counts["changed"], self._report
        if changed and not report.lines and report.counts["head"]:
            report.counts = Counter({"key": 1})
            problem = "no line fits: this is not the key that the log was begun with, if it was begun with one"
            report.findings = [Finding("key", self._folder.name, None, problem)]

    def _find(self, kind: Problem, file: str, line: int | None, problem: str) -> None:
        self._report.counts[kind] += 1
        if len(self._report.findings) < MOST:
            self._report.findings.append(Finding(kind, file, line, problem))


def _span(sequences: range) -> str:
    """As text: 7, or 7-9."""
    last = sequences[-1]
    return str(last) if len(sequences) == 1 else f"{sequences.start}-{last}"

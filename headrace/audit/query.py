"""Reading an audit log: the records that fit, and what they add up to. One pass, in constant memory.

It trusts what it reads: whether the log is as it was written is what `verify` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from headrace.audit import segments
from headrace.audit.errors import AuditDamaged
from headrace.audit.record import AuditLine, Outcome, timestamp
from headrace.errors import NotFound


@dataclass(frozen=True, slots=True)
class Filter:
    """What is not given is not asked."""

    since: datetime | None = None
    """At this time or later."""
    until: datetime | None = None
    """Before this time."""
    tenant: str | None = None
    request_id: str | None = None
    outcome: Outcome | None = None
    model: str | None = None
    min_cost: int | None = None
    """Billionths of the currency's unit."""


@dataclass(slots=True)
class Totals:
    """Of one tenant, in one currency. Integers, so they are exact."""

    tenant: str | None
    currency: str
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: int = 0
    """Billionths of the currency's unit."""

    def add(self, line: AuditLine) -> None:
        self.requests += 1
        self.prompt_tokens += line.prompt_tokens
        self.completion_tokens += line.completion_tokens
        self.cost += line.cost


class _Kind(msgspec.Struct):
    kind: str


_kinds = msgspec.json.Decoder(_Kind)
_records = msgspec.json.Decoder(AuditLine)


def query(folder: Path, wanted: Filter | None = None) -> Iterator[AuditLine]:
    """In the order of the chain, which is that of the requests' ends.

    Raises `NotFound` when there is no folder, `AuditDamaged` for a line that cannot be read.
    """
    if not folder.is_dir():
        raise NotFound(f"{folder}: no such folder; give the one with the segments of an audit log")
    fits = _fitting(wanted or Filter())
    return (line for line in _lines(folder) if fits(line))


def totals(folder: Path, since: datetime | None = None, until: datetime | None = None) -> list[Totals]:
    """By tenant and currency, the tenants in order. Raises as `query`."""
    found: dict[tuple[str | None, str], Totals] = {}
    for line in query(folder, Filter(since=since, until=until)):
        key = line.tenant, line.currency
        if key not in found:
            found[key] = Totals(*key)
        found[key].add(line)
    return sorted(found.values(), key=lambda one: (one.tenant or "", one.currency))


def _lines(folder: Path) -> Iterator[AuditLine]:
    files = segments.listed(folder)
    for file in files:
        for number, line in enumerate(segments.lines(file), 1):
            if file == files[-1] and not line.endswith(b"\n"):
                return  # being written, or left by a crash: no record yet
            try:
                if _kinds.decode(line).kind == "request":
                    yield _records.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                problem = f"not a record: {error}; see `headrace audit verify`"
                raise AuditDamaged(f"{file}:{number}: {problem}") from None


def _fitting(wanted: Filter) -> Callable[[AuditLine], bool]:
    since = None if wanted.since is None else timestamp(wanted.since)
    until = None if wanted.until is None else timestamp(wanted.until)
    equal = {
        field: value
        for field in ("tenant", "request_id", "outcome", "model")
        if (value := getattr(wanted, field)) is not None
    }

    def fits(line: AuditLine) -> bool:
        return (
            (since is None or line.time >= since)
            and (until is None or line.time < until)
            and (wanted.min_cost is None or line.cost >= wanted.min_cost)
            and all(getattr(line, field) == value for field, value in equal.items())
        )

    return fits

"""What the tenants have spent by the audit log: where a store that forgets at restart goes on.

Sums of segments that are closed are kept in a file beside them: a start reads the last segment only, and a segment
that was taken away for the archive still counts.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from headrace.audit import segments
from headrace.limits.budget import DAY_SECONDS, PERIODS, Period, index

SUMS = "spent.json"
_Sums = dict[str, dict[int, int]]
"""Tenant → day (since 1970, UTC) → nano units, by when its requests ended."""

log = structlog.get_logger()


class _Latency(msgspec.Struct):
    total: float | None = None
    """Milliseconds."""


class _Line(msgspec.Struct):
    """As much of a record as is needed: a second reads some hundred thousand of them."""

    kind: str = ""
    time: str = ""
    tenant: str | None = None
    cost: int = 0
    latency_ms: _Latency = msgspec.field(default_factory=_Latency)


_lines = msgspec.json.Decoder(_Line)
_kept = msgspec.json.Decoder(dict[str, _Sums])


def spent(folder: Path, wall: float | None = None) -> Mapping[Period, Mapping[str, int]]:
    """Nano units of each tenant in the periods of `wall` (Unix seconds; now).

    Lines that cannot be read are passed over and told of in the log: whether the audit log is whole is what
    `headrace audit verify` says, and a budget that forgets a little is better than no service.
    """
    wall = time.time() if wall is None else wall
    current = {period: index(period, wall) for period in PERIODS}
    found: dict[Period, Counter[str]] = {period: Counter() for period in PERIODS}
    for sums in _by_segment(folder).values():
        for tenant, days in sums.items():
            for day, cost in days.items():
                for period in PERIODS:
                    if index(period, day * DAY_SECONDS) == current[period]:
                        found[period][tenant] += cost
    return found


def _by_segment(folder: Path) -> dict[str, _Sums]:
    known = _read_kept(folder)
    files = segments.listed(folder)
    if not files:
        return known
    *closed, last = files
    new = {file.name: _sums(file) for file in closed if file.name not in known}
    if new:
        known |= new
        _keep(folder, known)
    return known | {last.name: _sums(last)}


def _sums(file: Path) -> _Sums:
    found: _Sums = {}
    unread = 0
    for line in segments.lines(file):
        try:
            said = _lines.decode(line)
            if said.kind != "request" or not said.cost or said.tenant is None:
                continue
            ended = datetime.fromisoformat(said.time).timestamp() + (said.latency_ms.total or 0.0) / 1000
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            unread += 1
            continue
        days, day = found.setdefault(said.tenant, {}), index("day", ended)
        days[day] = days.get(day, 0) + said.cost
    if unread:
        log.error("lines were passed over; see `headrace audit verify`", file=str(file), lines=unread)
    return found


def _read_kept(folder: Path) -> dict[str, _Sums]:
    try:
        return _kept.decode((folder / SUMS).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("the sums of closed segments are read anew", file=str(folder / SUMS), problem=str(error))
        return {}


def _keep(folder: Path, known: dict[str, _Sums]) -> None:
    draft = folder / f"{SUMS}.new"
    try:
        with open(draft, "wb", opener=segments.opener) as file:
            file.write(msgspec.json.encode(known))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / SUMS)
    except OSError as error:
        log.warning("the sums of closed segments are not kept", file=str(draft), problem=error.strerror)

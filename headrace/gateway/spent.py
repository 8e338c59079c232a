"""What the tenants have spent by the audit log: where a store that forgets at restart goes on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import msgspec
import structlog

from headrace.audit import segments
from headrace.limits.budget import PERIODS, Period, index

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


def spent(folder: Path, wall: float | None = None) -> Mapping[Period, Mapping[str, int]]:
    """Nano units of each tenant in the periods of `wall` (Unix seconds; now), by when its requests ended.

    Lines that cannot be read are passed over and told of in the log: whether the audit log is whole is what
    `headrace audit verify` says, and a budget that forgets a little is better than no service.
    """
    wall = time.time() if wall is None else wall
    current = {period: index(period, wall) for period in PERIODS}
    found: dict[Period, Counter[str]] = {period: Counter() for period in PERIODS}
    unread = 0
    for line in _all(folder):
        try:
            said = _lines.decode(line)
            if said.kind != "request" or not said.cost or said.tenant is None:
                continue
            ended = datetime.fromisoformat(said.time).timestamp() + (said.latency_ms.total or 0.0) / 1000
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            unread += 1
            continue
        for period in PERIODS:
            if index(period, ended) == current[period]:
                found[period][said.tenant] += said.cost
    if unread:
        log.error("lines of the audit log were passed over; see `headrace audit verify`", lines=unread)
    return found


def _all(folder: Path) -> Iterator[bytes]:
    for file in segments.listed(folder):
        yield from segments.lines(file)

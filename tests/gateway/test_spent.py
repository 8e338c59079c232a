"""A gateway that starts again goes on with the budgets where the one before it left them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from headrace.audit import segments
from headrace.audit.config import AuditConfig
from headrace.audit.record import AuditRecord, Latency, timestamp
from headrace.audit.writer import AuditLog
from headrace.gateway.spent import SUMS, spent

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)


def record(at: datetime, cost: int, tenant: str | None = "acme", seconds: float = 1.0) -> AuditRecord:
    return AuditRecord(
        time=timestamp(at),
        request_id="an-id",
        tenant=tenant,
        dialect="openai",
        operation="chat.completions",
        cost=cost,
        latency_ms=Latency(total=seconds * 1000),
        outcome="ok",
        status=200,
    )


async def written(folder: Path, *records: AuditRecord) -> None:
    log = await AuditLog.open(AuditConfig(), folder, None)
    for one in records:
        await log.append(one)
    await log.close()


async def test_each_period_has_what_ended_in_it(tmp_path: Path) -> None:
    day = timedelta(days=1)
    await written(
        tmp_path,
        record(NOON - 40 * day, 1),
        record(NOON - 2 * day, 10),
        record(NOON - timedelta(hours=12, seconds=5), 100, seconds=10),  # it ended after midnight
        record(NOON, 1000),
        record(NOON, 7, tenant="beta"),
        record(NOON, 0, tenant=None),
    )
    found = spent(tmp_path, NOON.timestamp())
    assert found["day"] == {"acme": 1100, "beta": 7}
    assert found["month"] == {"acme": 1110, "beta": 7}
    assert found["total"] == {"acme": 1111, "beta": 7}


async def test_a_broken_line_costs_no_more_than_itself(tmp_path: Path) -> None:
    await written(tmp_path, record(NOON, 1), record(NOON, 10), record(NOON, 100))
    file = tmp_path / segments.name(1)
    lines = file.read_bytes().splitlines(keepends=True)
    broken = next(place for place, line in enumerate(lines) if b'"cost":10,' in line)
    lines[broken] = b"{what\xff\n"
    file.write_bytes(b"".join(lines))
    assert spent(tmp_path, NOON.timestamp())["total"] == {"acme": 101}


def test_a_new_log_says_nothing(tmp_path: Path) -> None:
    assert spent(tmp_path) == {"day": {}, "month": {}, "total": {}}


async def test_closed_segments_are_read_once_and_count_when_they_are_archived(tmp_path: Path) -> None:
    for name, cost in ((1, 1), (2, 10), (3, 100)):
        part = tmp_path / str(name)
        await written(part, record(NOON, cost))
        (part / segments.name(1)).rename(tmp_path / segments.name(name))
    assert spent(tmp_path, NOON.timestamp())["month"] == {"acme": 111}
    (tmp_path / segments.name(1)).unlink()
    (tmp_path / segments.name(2)).write_bytes(b"")  # not looked at again
    assert spent(tmp_path, NOON.timestamp())["month"] == {"acme": 111}
    (tmp_path / SUMS).write_bytes(b"no sums")
    assert spent(tmp_path, NOON.timestamp())["month"] == {"acme": 100}

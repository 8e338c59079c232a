"""Records and whole logs for the tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from headrace.audit.config import AuditConfig
from headrace.audit.journal import Entry, Journal
from headrace.audit.record import AuditRecord, Latency, encode, timestamp
from headrace.audit.verify import Report, verify

KEY = b"a key of the tests"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SMALL = 0.0025
"""Megabytes: a segment of about four records."""


def record(number: int, at: datetime | None = None, **fields: Any) -> AuditRecord:
    """The nth of a day on which one comes every second."""
    usual: dict[str, Any] = {
        "time": timestamp(at or NOON + timedelta(seconds=number)),
        "request_id": f"request-{number}",
        "trace_id": f"{number:032x}",
        "tenant": f"tenant-{number % 3}",
        "key_id": "key-1",
        "dialect": "openai",
        "operation": "chat.completions",
        "model": "assistant",
        "model_version": "1",
        "policy": "default",
        "policy_version": "0123456789abcdef",
        "prompt_tokens": number,
        "completion_tokens": 2 * number,
        "cost": 1_000_003 * number,
        "guard": {"action": "allow", "response": {"action": "allow", "scores": {"toxicity": 0.25}}},
        "cache": "miss",
        "latency_ms": Latency(queue=0.5, first_token=20.0, total=100.0),
        "outcome": "ok",
        "status": 200,
        "finish_reason": "stop",
    }
    return AuditRecord(**(usual | fields))


def entry(record: AuditRecord) -> Entry:
    return Entry(encode(record), record.time[:10])


def config(**fields: Any) -> AuditConfig:
    """The head is written at the end, unless a test says otherwise."""
    return AuditConfig(**({"segment_mb": SMALL, "interval_ms": 60_000} | fields))


def write(folder: Path, records: Iterable[AuditRecord], key: bytes | None = KEY, **fields: Any) -> None:
    """Opens the log, appends them one by one, closes it."""
    journal = Journal(folder, key, config(**fields))
    for one in records:
        assert journal.append([entry(one)]) == 1
    journal.close()


def abandoned(folder: Path, copy: Path) -> Path:
    """The files as they lie there while they are written: what a kill leaves."""
    shutil.copytree(folder, copy)
    return copy


def segments_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("audit-*.jsonl"))


def lines_of(folder: Path) -> list[bytes]:
    return [line for file in segments_of(folder) for line in file.read_bytes().splitlines(keepends=True)]


def kinds(report: Report) -> set[str]:
    return set(report.counts)


def assert_intact(folder: Path, lines: int, key: bytes | None = KEY) -> Report:
    report = verify(folder, key)
    assert report.intact, [str(finding) for finding in report.findings]
    assert report.lines == lines
    return report

"""What a request reserved stays its own for as long as it runs, and its record is written."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from headrace.audit.config import AuditConfig
from headrace.audit.errors import AuditUnavailable
from headrace.audit.query import Filter, query
from headrace.audit.writer import AuditLog
from headrace.config import Config
from headrace.gateway.ledger import Ledger
from headrace.gateway.policies import LivePolicies
from headrace.gateway.rules import Rules
from headrace.limits.errors import LimitReached
from headrace.limits.memory import MemoryStore
from headrace.limits.model import Reservation
from headrace.tenants.settings import Settings
from tests.gateway.bench import CALL, POLICY, PRICE, ask

NARROW = Settings("acme", "Acme", concurrent_requests=1)
LEASE = 60.0


class Store(MemoryStore):
    """On a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.renewed = asyncio.Event()
        super().__init__(LEASE, monotonic=lambda: self.now)

    async def renew(self, reservation: Reservation) -> bool:
        found = await super().renew(reservation)
        self.renewed.set()
        return found


async def test_a_request_that_runs_for_longer_than_a_lease_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    terms = await Rules(Config(), LivePolicies(tmp_path / "policy.yaml")).terms(NARROW, ask())
    store = Store()
    audit = await AuditLog.open(AuditConfig(), tmp_path / "audit", None)
    ledger = Ledger(store, audit, PRICE, "USD", "v1", None, 0.03, False, lambda _: None)
    long, next_one = ledger.entry(CALL), ledger.entry(CALL)
    await ledger.reserve(long, NARROW, terms, 1)
    for _ in range(3):
        store.now += 0.9 * LEASE
        store.renewed.clear()
        await asyncio.wait_for(store.renewed.wait(), 10)
        with pytest.raises(LimitReached):
            await ledger.reserve(next_one, NARROW, terms, 1)
    await ledger.close(long, [])
    store.renewed.clear()
    await ledger.reserve(next_one, NARROW, terms, 1)
    await ledger.close(next_one, [])
    await asyncio.sleep(0.1)
    assert not store.renewed.is_set()
    await audit.close()


class Disk:
    """On which nothing is written until it is let go; then it is, or fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        write = os.pwrite

        def held(*arguments: Any) -> int:
            self.begun.set()
            assert self.go.wait(20)
            if fails:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(*arguments)

        monkeypatch.setattr(os, "pwrite", held)


async def closed_on(folder: Path, fsync: Literal["always", "interval"]) -> tuple[asyncio.Task[None], AuditLog]:
    """The end of a request that was settled before."""
    audit = await AuditLog.open(AuditConfig(fsync=fsync), folder / "audit", None)
    ledger = Ledger(Store(), audit, PRICE, "USD", "v1", None, 30, False, lambda _: None)
    entry = ledger.entry(CALL)
    await ledger.settle(entry, [])
    return asyncio.create_task(ledger.close(entry, [])), audit


async def test_an_answer_does_not_wait_for_its_record_and_the_record_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing, audit = await closed_on(tmp_path, "interval")
    disk = Disk(monkeypatch, fails=False)
    await asyncio.wait_for(closing, 10)
    disk.go.set()
    await audit.close()
    assert [line.request_id for line in query(tmp_path / "audit", Filter())] == [CALL.request_id]


async def test_a_record_that_has_to_be_on_disk_is_waited_for_and_comes_though_who_waits_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing, audit = await closed_on(tmp_path, "always")
    disk = Disk(monkeypatch, fails=False)
    assert await asyncio.to_thread(disk.begun.wait, 20)
    assert not closing.done()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    disk.go.set()
    await audit.close()
    assert [line.request_id for line in query(tmp_path / "audit", Filter())] == [CALL.request_id]


@pytest.mark.parametrize("fsync", ["interval", "always"])
@pytest.mark.parametrize("leaves", [False, True])
async def test_a_record_that_cannot_be_written_is_told_with_its_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: Literal["always", "interval"], leaves: bool
) -> None:
    with structlog.testing.capture_logs() as said:
        closing, audit = await closed_on(tmp_path, fsync)
        disk = Disk(monkeypatch, fails=True)
        assert await asyncio.to_thread(disk.begun.wait, 20)
        if leaves:
            closing.cancel()
        disk.go.set()
        await asyncio.wait((closing,))
        monkeypatch.undo()
        with contextlib.suppress(AuditUnavailable):
            await audit.close()
    told = [one for one in said if one["event"] == "not in the audit log"]
    assert [one["request_id"] for one in told] == [CALL.request_id]

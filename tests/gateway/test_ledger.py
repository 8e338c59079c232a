"""What a request reserved stays its own for as long as it runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from headrace.audit.config import AuditConfig
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

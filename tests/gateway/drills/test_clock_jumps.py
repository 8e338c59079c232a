"""The wall clock of the gateway's machine is set a day forward and back: limits stay what they are."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.audit.verify import verify
from tests.fake_triton import serving
from tests.gateway.drills.clients import Clients, Got
from tests.gateway.drills.held_triton import HeldTriton
from tests.gateway.drills.lone_gateway import SECONDS, LoneGateway
from tests.gateway.drills.waiting import until
from tests.limits.redis_server import RedisServer

PROGRAM, SHIFTS_ENV = ("tests.gateway.drills.shifted_gateway",), "DRILL_SHIFTS"
DAY = 86_400.0
WINDOW = 61.0
TENANTS: dict[str, dict[str, Any]] = {
    "often": {"requests_per_minute": 2},
    "much": {"tokens_per_minute": 150},
    "poor": {"budgets": [{"amount": "0.00005", "period": "total"}]},
}


class Shifts:
    """Of the gateway's clocks."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set()

    def set(self, **seconds: float) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(seconds), "ascii")
        new.rename(self.file)


@pytest.mark.parametrize("store", ["memory", "redis"])
async def test_limits_neither_open_nor_lock(store: str, tmp_path: Path) -> None:
    shifts = Shifts(tmp_path / "shifts.json")
    redis = RedisServer(tmp_path)
    settings = {
        SHIFTS_ENV: str(shifts.file),
        "HEADRACE_LIMIT_STORE__STORE": store,
        "HEADRACE_REDIS_URL": redis.url,
    }
    try:
        async with serving(HeldTriton()) as address, asyncio.timeout(SECONDS):
            with LoneGateway(tmp_path, address, settings, TENANTS, PROGRAM) as gateway:
                asked = sum([await _use_up(gateway, tenant) for tenant in TENANTS])
                for days in (1, -1, 365, 0):
                    await _recorded(gateway, asked)
                    shifts.set(wall=days * DAY)
                    for tenant in TENANTS:
                        refused = await _ask(gateway, tenant)
                        assert refused.status == 429, (tenant, days)
                        assert refused.retry_after is not None
                        assert refused.retry_after <= WINDOW or tenant == "poor"
                    asked += len(TENANTS)
                    await _recorded(gateway, asked)
                    told = datetime.fromisoformat(gateway.records()[-1].time)
                    assert abs(told - datetime.now(UTC) - timedelta(days=days)) < timedelta(hours=1), (
                        "it is shifted"
                    )
                if store == "memory":  # Redis' own clock is not ours
                    shifts.set(wall=-DAY, monotonic=WINDOW)
                    assert (await _ask(gateway, "often")).whole
                    assert (await _ask(gateway, "much")).whole
                assert not gateway.said("a defect in the gateway")
            assert verify(gateway.audit_folder, None).intact
    finally:
        redis.kill()


async def _use_up(gateway: LoneGateway, tenant: str) -> int:
    """How many requests that took."""
    for number in range(1, 101):
        if (got := await _ask(gateway, tenant)).status != 200:
            assert got.status == 429
            return number
    pytest.fail(f"nothing limits {tenant}")


async def _recorded(gateway: LoneGateway, count: int) -> None:
    await until(lambda: len(gateway.records()) == count)


async def _ask(gateway: LoneGateway, tenant: str) -> Got:
    key = {"authorization": f"Bearer {gateway.keys[tenant]}"}
    async with Clients(gateway.url, gateway.grpc, key) as clients:
        return await clients.openai("Hi", 8, temperature=1.0)

"""locust itself, headless, for some seconds: what it counts, what the gateway records, and how it fails."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from headrace import paths
from headrace.audit.query import Filter, query
from headrace.audit.record import AuditLine
from headrace.tenants import change
from tests.gateway_stack import GatewayStack

_SECONDS = 120.0
NOWHERE = "http://127.0.0.1:1"


def locust(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, "--headless", *arguments]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "LOCUST_"))
    }
    return subprocess.run(
        command,
        cwd=paths.PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )


@pytest.fixture
def keys(gateway_stack: GatewayStack, tmp_path: Path) -> Path:
    """Two tenants without limits, and one that soon has to wait."""
    limits = {"requests_per_minute": 1}
    waiter = change.add_tenant(gateway_stack.tenants, "waiter", limits, datetime.now(UTC), None)
    _until_known(gateway_stack, waiter)
    file = tmp_path / "keys.yaml"
    known = {name: gateway_stack.keys[name] for name in ("acme", "beta")}
    file.write_text(yaml.safe_dump(known | {"waiter": waiter}), encoding="utf-8")
    return file


def _until_known(stack: GatewayStack, key: str) -> None:
    """The gateway reads its file anew about once a second."""
    request = urllib.request.Request(f"{stack.url}/v1/models", headers={"authorization": f"Bearer {key}"})
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except urllib.error.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_a_load_of_several_tenants(gateway_stack: GatewayStack, keys: Path, tmp_path: Path) -> None:
    began = datetime.now(UTC)
    load = ("--users", "6", "--burst", "4", "--run-time", "6s", "--think-seconds", "0.2")
    places = ("--host", gateway_stack.url, "--keys", str(keys), "--csv", str(tmp_path / "load"))
    done = locust("perf.locust", *load, *places, "--max-ttft-ms", "60000")
    assert done.returncode == 0, done.stderr
    assert "Shape test updating to 24 users" in done.stderr

    rows = list(csv.DictReader((tmp_path / "load_stats.csv").open(encoding="utf-8")))
    counts = {(row["Type"], row["Name"]): int(row["Request Count"]) for row in rows}
    assert {(kind, name) for kind in ("TTFT", "ITL", "E2E") for name in ("acme", "beta")} <= counts.keys()
    assert counts["429", "waiter"] > 0
    assert sum(int(row["Failure Count"]) for row in rows) == 0
    assert {("CACHED", "beta"), ("LEFT", "acme"), ("LEFT", "beta")} <= counts.keys()

    whole = {tenant: counts["E2E", tenant] for tenant in ("acme", "beta")}
    records = _recorded(gateway_stack, began, whole)
    outcomes = Counter((record.tenant, record.outcome) for record in records)
    for tenant, count in whole.items():
        assert outcomes[tenant, "ok"] >= count > 0
        assert outcomes[tenant, "cancelled"] > 0
    assert {"hit", "miss"} <= {record.cache for record in records if record.tenant == "beta"}
    assert outcomes["waiter", "refused"] == counts["429", "waiter"]


def _recorded(stack: GatewayStack, since: datetime, whole: dict[str, int]) -> list[AuditLine]:
    """Once there are as many whole answers of each tenant: a record is written after its answer."""
    deadline = time.monotonic() + 30
    while True:
        records = list(query(stack.audit_folder, Filter(since=since)))
        found = Counter(record.tenant for record in records if record.outcome == "ok")
        if all(found[tenant] >= count for tenant, count in whole.items()) or time.monotonic() > deadline:
            return records
        time.sleep(0.1)


def test_without_a_gateway_nothing_starts() -> None:
    done = locust("perf.locust", "--host", NOWHERE)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: no gateway answers at {NOWHERE} (")
    assert done.stderr.count("\n") == 1


def test_a_gateway_that_goes_away_fails_the_load() -> None:
    file = str(paths.PROJECT / "perf" / "locust" / "locustfile.py")
    done = locust("locust", "--locustfile", file, "--host", NOWHERE, "--run-time", "2s", "--think-seconds", "0.2")
    assert done.returncode == 1
    assert "no answer came; ConnectionRefusedError" in done.stderr
    assert "Traceback" not in done.stderr

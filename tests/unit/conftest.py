from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.worker.client import WorkerClient
from tests.unit.running_worker import SECONDS, RunningWorker


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningWorker]:
    worker = RunningWorker(tmp_path / "engine.sock")
    yield worker
    worker.end()


@pytest.fixture
def client(running: RunningWorker) -> Iterator[WorkerClient]:
    client = WorkerClient(running.path)
    assert client.wait_until_connected(SECONDS)
    yield client
    client.close()

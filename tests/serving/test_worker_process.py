"""The worker as a process: how it ends, and what its clients hear then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.engine.interface import SamplingParams
from headrace.errors import EngineFailed, EngineUnavailable, HeadraceError
from headrace.worker import protocol
from headrace.worker.client import WorkerClient

MOODY = Path(__file__).with_name("moody_worker.py")
SECONDS = 30.0


class Inbox:
    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.finish_reason: str | None = None
        self.error: HeadraceError | None = None

    def on_tokens(self, tokens: protocol.Tokens) -> None:
        self.begun.set()
        if tokens.finish_reason is not None:
            self.finish_reason = tokens.finish_reason
            self.ended.set()

    def on_error(self, error: HeadraceError) -> None:
        self.error = error
        self.ended.set()


def start(socket: Path, **settings: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name == "HEADRACE_HOME" or "HEADRACE" not in name}
    return subprocess.Popen(
        [sys.executable, str(MOODY), "--socket", str(socket)],
        env=kept | {"HEADRACE_ENGINE__NAME": "mock"} | settings,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(tmp_path / "socket", HEADRACE_ENGINE__MOCK__STEP_MS="5")
    yield process
    process.kill()
    process.communicate()


def begin(client: WorkerClient, count: int) -> list[Inbox]:
    inboxes = [Inbox() for _ in range(count)]
    for inbox in inboxes:
        client.submit(protocol.Submit(client.new_key(), (), (5, 6, 7), SamplingParams(max_tokens=2000)), inbox)
    for inbox in inboxes:
        assert inbox.begun.wait(SECONDS)
    return inboxes


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGUSR2, 70), (signal.SIGTERM, 0)])
def test_no_stream_of_an_ending_worker_looks_complete(
    worker: subprocess.Popen[str], tmp_path: Path, number: signal.Signals, exit_code: int
) -> None:
    client = WorkerClient(tmp_path / "socket")
    try:
        assert client.wait_until_connected(SECONDS)
        inboxes = begin(client, 4)
        worker.send_signal(number)
        assert worker.wait(SECONDS) == exit_code
        assert all(inbox.ended.wait(SECONDS) for inbox in inboxes)
    finally:
        client.close()
    assert [inbox.finish_reason for inbox in inboxes] == [None] * 4
    broken = 1 if number == signal.SIGUSR2 else 0
    kinds = sorted(type(inbox.error).__name__ for inbox in inboxes)
    assert kinds == [EngineFailed.__name__] * broken + [EngineUnavailable.__name__] * (4 - broken)
    assert not (tmp_path / "socket").exists()


@pytest.mark.parametrize(
    ("settings", "exit_code", "line"),
    [
        ({"MOODY_WARM_UP": "fail"}, 70, "error: the mock engine broke"),
        ({"HEADRACE_ENGINE__MODEL": "/nowhere"}, 78, "error: "),
    ],
)
def test_a_failed_start_is_one_line(tmp_path: Path, settings: dict[str, str], exit_code: int, line: str) -> None:
    process = start(tmp_path / "socket", **settings)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == exit_code
    assert errors.splitlines()[-1].startswith(line)
    assert "Traceback" not in errors

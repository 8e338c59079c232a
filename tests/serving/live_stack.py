"""A whole stack on ports of its own, started and stopped by the command line as a user does."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from headrace import paths
from headrace.client import Question
from headrace.serving import shared_memory
from headrace.serving.run_folder import RunFolder
from headrace.serving.status import Status
from headrace.serving.stubs import steps_of

_ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "TRITON_"))
} | ({"HEADRACE_HOME": os.environ["HEADRACE_HOME"]} if "HEADRACE_HOME" in os.environ else {})


class LiveStack:
    """`settings` are environment variables such as HEADRACE_ENGINE__MOCK__STEP_MS."""

    def __init__(self, **settings: str) -> None:
        self.http_port, self.grpc_port, self.metrics_port = _free_ports(3)
        self.environment = _ENVIRONMENT | {
            "TRITON_HTTP_PORT": str(self.http_port),
            "TRITON_GRPC_PORT": str(self.grpc_port),
            "TRITON_METRICS_PORT": str(self.metrics_port),
            "HEADRACE_ENGINE__NAME": "mock",
            **settings,
        }
        self.folder = RunFolder(paths.run_folder(self.http_port))
        self.address = f"127.0.0.1:{self.grpc_port}"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "headrace.cli", *arguments]

    def headrace(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def up(self) -> None:
        done = self.headrace("up")
        assert done.returncode == 0, done.stderr

    def status(self) -> Status:
        status = self.folder.read_status()
        assert status is not None
        return status

    def pid(self, part: str) -> int:
        pid = self.status().parts[part].pid
        assert pid is not None
        return pid

    def stub(self, step: str) -> int:
        """Process id of a step's Python process."""
        stubs = steps_of(self.pid("tritonserver"))
        return next(pid for pid, name in stubs.items() if name.startswith(f"{step}_0"))

    def processes(self) -> list[psutil.Process]:
        """Every process of this stack that runs, the supervisor too."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and str(self.folder.root) in _traces(process):
                    found.append(process)
            except psutil.Error:
                continue
        supervisor = self.folder.pid()
        if supervisor is not None and psutil.pid_exists(supervisor):
            found.append(psutil.Process(supervisor))
        return found

    def segments(self) -> list[Path]:
        return list(shared_memory.SHARED_MEMORY.glob(f"{self.folder.shared_memory_prefix}*"))

    def is_clean(self) -> bool:
        """Nothing of a stack that ran is left, except its log and its configuration."""
        left = {entry.name for entry in self.folder.root.iterdir()} - {"logs", "config.yaml", "lock"}
        return not (self.processes() or self.segments() or left)

    def get(self, path: str, body: dict[str, Any] | None = None, port: int | None = None) -> int | None:
        """HTTP status; None when nobody listens."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{port or self.http_port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return None

    async def until_ready(self, expected: int | None, seconds: float) -> float:
        """Wait until `/v2/health/ready` answers this; returns the seconds it took."""
        began = time.monotonic()
        async with asyncio.timeout(seconds):
            while await asyncio.to_thread(self.get, "/v2/health/ready") != expected:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def until_state(self, state: str, seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while self.status().state != state:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


def _traces(process: psutil.Process) -> str:
    return " ".join([*process.cmdline(), process.environ().get("HEADRACE_SOCKET", "")])


def _free_ports(count: int) -> list[int]:
    """Below the range that the kernel gives to outgoing connections, so that nobody takes them meanwhile."""
    ports: list[int] = []
    start = 20_000 + (os.getpid() * 31 + time.monotonic_ns() // 1000) % 10_000
    with ExitStack() as held:
        for port in range(start, start + 1000):
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                break
    return ports


def long_question(number: int, tokens: int) -> Question:
    """Answered with exactly this many tokens by the mock engine; no cache knows it."""
    scope = f"test-{number}-{time.monotonic_ns()}"
    return Question(text_input=f"{number} " + "word " * 50, max_tokens=tokens, cache_scope=scope)

"""One stack for tests, started and stopped the way a user does it: by the command line."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import psutil
import pytest
import yaml

from headrace import paths
from headrace.config import PORT_ENVS
from headrace.serving.run_folder import RunFolder
from headrace.worker import control
from headrace.worker.protocol import WorkerStats

_LOG_LINES = 60
_COMMAND_SECONDS = 180


class Stack:
    """Addresses, counters and processes of one running stack."""

    def __init__(self, name: str, settings: Mapping[str, object], folder: Path) -> None:
        self.name = name
        self.http_port, self.grpc_port, self.metrics_port = free_ports(3)
        self._config_file = folder / "headrace.yaml"
        self._config_file.write_text(yaml.safe_dump(dict(settings)), encoding="utf-8")

    @cached_property
    def folder(self) -> RunFolder:
        return RunFolder(paths.run_folder(self.http_port))

    def up(self) -> None:
        """Fails the test with what the stack said when it does not come up."""
        done = self._headrace("up")
        if done.returncode != 0:
            pytest.fail(f"`headrace up` failed with {done.returncode}\n{done.stdout}\n{self.last_words()}")

    def down(self) -> None:
        done = self._headrace("down")
        if done.returncode != 0:
            pytest.fail(f"`headrace down` failed with {done.returncode}\n{done.stdout}\n{self.last_words()}")
        shutil.rmtree(self.folder.root, ignore_errors=True)

    def last_words(self) -> str:
        """The ends of the stack's log files."""
        words = []
        for file in (self.folder.console_file, self.folder.log_file):
            lines = file.read_text("utf-8", "replace").splitlines() if file.exists() else ["(no such file)"]
            told = [line for line in lines if '"level": "debug"' not in line]
            words.append("\n".join([f"--- {file}", *told[-_LOG_LINES:]]))
        return "\n".join(words)

    def stats(self) -> WorkerStats:
        return control.stats(self.folder.socket, timeout=10.0)

    def processes(self) -> list[psutil.Process]:
        """The supervisor and everything under it."""
        pid = self.folder.pid()
        assert pid is not None, self.last_words()
        supervisor = psutil.Process(pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def shared_memory_bytes(self) -> int:
        segments = Path("/dev/shm").glob(f"{self.folder.shared_memory_prefix}*")
        return sum(segment.stat().st_blocks * 512 for segment in segments)

    def until(self, true: Callable[[WorkerStats], bool], seconds: float, what: str) -> float:
        """Ask the worker until it is true; returns the seconds that it took. Fails the test when it never is."""
        began = time.monotonic()
        while not true(stats := self.stats()):
            if time.monotonic() - began > seconds:
                pytest.fail(f"not within {seconds:g} s: {what}; the worker says {stats}")
            time.sleep(0.005)
        return time.monotonic() - began

    def _headrace(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "headrace.cli", command, "--config", str(self._config_file)],
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        """The caller's, without what would change this stack's settings."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name == "HEADRACE_HOME" or not name.startswith("HEADRACE_")
        }
        ports = {"http_port": self.http_port, "grpc_port": self.grpc_port, "metrics_port": self.metrics_port}
        return kept | {PORT_ENVS[field]: str(port) for field, port in ports.items()}


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody holds, below those that the kernel gives to outgoing connections."""
    found: list[int] = []
    for port in random.sample(range(20_000, 30_000), k=1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    pytest.fail("no free port between 20000 and 30000")

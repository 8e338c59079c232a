"""A whole stack on ports of its own, started and stopped the way a user does it: by the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from headrace import paths
from headrace.config import PORT_ENVS
from headrace.serving import shared_memory
from headrace.serving.run_folder import RunFolder
from headrace.worker import control
from headrace.worker.protocol import WorkerStats
from perf.stack import free_ports

_LOG_LINES = 60
# Most tests are of what is behind the gateway, and no load balancer has to see that a stack is about to end.
_USUAL = {
    "HEADRACE_GATEWAY__ENABLED": "false",
    "HEADRACE_GATEWAY__UNREADY_SECONDS": "0",
    "HEADRACE_SERVER__UNREADY_SECONDS": "0",
}
_COMMAND_SECONDS = 180


class Stack:
    """`settings` are environment variables such as HEADRACE_ENGINE__MOCK__STEP_MS."""

    def __init__(self, **settings: str) -> None:
        numbers = free_ports(len(PORT_ENVS))
        self.http_port, self.grpc_port, self.metrics_port, self.gateway_port, self.gateway_grpc_port = numbers
        ports = dict(zip(PORT_ENVS.values(), map(str, numbers), strict=True))
        ours = ("HEADRACE_", "TRITON_", "GATEWAY_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        if "HEADRACE_HOME" in os.environ:
            kept["HEADRACE_HOME"] = os.environ["HEADRACE_HOME"]
        self.environment = kept | ports | _USUAL | settings
        self.folder = RunFolder(paths.run_folder(self.http_port))
        self.address = f"127.0.0.1:{self.grpc_port}"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "headrace", *arguments]

    def headrace(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )

    def up(self) -> None:
        """Fails the test with what the stack said when it does not come up."""
        self._must("up")

    def down(self) -> None:
        self._must("down")
        shutil.rmtree(self.folder.root, ignore_errors=True)

    def _must(self, command: str) -> None:
        done = self.headrace(command)
        if done.returncode:
            pytest.fail(f"`headrace {command}` failed with {done.returncode}\n{done.stderr}\n{self.last_words()}")

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
        """Every process of this stack that runs, the supervisor too."""
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and str(self.folder.root) in _traces(process):
                    found.add(process)
            except psutil.Error:
                continue
        supervisor = self.folder.pid()
        if supervisor is not None and psutil.pid_exists(supervisor):
            found.add(psutil.Process(supervisor))
        return list(found)

    def segments(self) -> list[Path]:
        """Its files of shared memory."""
        return list(shared_memory.SHARED_MEMORY.glob(f"{self.folder.shared_memory_prefix}*"))

    def until(self, true: Callable[[WorkerStats], bool], seconds: float, what: str) -> float:
        """Ask the worker until it is true; returns the seconds that it took. Fails the test when it never is."""
        began = time.monotonic()
        while not true(stats := self.stats()):
            if time.monotonic() - began > seconds:
                pytest.fail(f"not within {seconds:g} s: {what}; the worker says {stats}")
            time.sleep(0.005)
        return time.monotonic() - began


def _traces(process: psutil.Process) -> str:
    return " ".join([*process.cmdline(), process.environ().get("HEADRACE_SOCKET", "")])

"""The gateway's real process alone, before any Triton: it can be measured, killed and told to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import psutil

from headrace.audit.query import Filter, query
from headrace.audit.record import AuditLine
from headrace.tenants import change
from perf.stack import NO_GUARDS, free_ports
from tests.gateway.drills.pages import metric
from tests.triton.http_port import call

SECONDS = 60.0
"""For whatever is waited for; a machine that is busy with other things takes its time."""


class LoneGateway:
    """`settings`: environment variables. `tenants`: name → settings. `program`: instead of the stack's."""

    def __init__(
        self,
        folder: Path,
        triton: str,
        settings: Mapping[str, str] | None = None,
        tenants: Mapping[str, Mapping[str, Any]] | None = None,
        program: tuple[str, ...] = ("headrace.gateway",),
    ) -> None:
        self.folder = folder
        self.log_file = folder / "gateway.log"
        self.audit_folder = folder / "audit"
        tenants_file = folder / "tenants.yaml"
        tenants_file.write_text("anonymous: {priority: 4}\ntenants: {}\n", encoding="utf-8")
        now = datetime.now(UTC)
        self.keys = {
            name: change.add_tenant(tenants_file, name, about, now, None)
            for name, about in (tenants or {}).items()
        }
        self.port, self.grpc_port = free_ports(2)
        self.url, self.grpc = f"http://127.0.0.1:{self.port}", f"127.0.0.1:{self.grpc_port}"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "GATEWAY_"))
        }
        if "HEADRACE_HOME" in os.environ:
            kept["HEADRACE_HOME"] = os.environ["HEADRACE_HOME"]
        usual = {
            "GATEWAY_PORT": str(self.port),
            "GATEWAY_GRPC_PORT": str(self.grpc_port),
            "HEADRACE_ENGINE__NAME": "mock",
            "HEADRACE_GATEWAY__TENANTS": str(tenants_file),
            "HEADRACE_GATEWAY__UNREADY_SECONDS": "0",
            "HEADRACE_GUARD__POLICY": str(NO_GUARDS),
        }
        self._environment = kept | usual | dict(settings or {})
        self._command = [sys.executable, "-m", *program, "--triton", triton, "--audit", str(self.audit_folder)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        self._began = time.monotonic()
        while self.get("/health/live") != 200:
            assert self._process.poll() is None, (self._process.poll(), self.log_file.read_text("utf-8"))
            assert time.monotonic() - self._began < SECONDS
            time.sleep(0.02)

    def get(self, path: str) -> int | None:
        """HTTP status; None when nobody listens."""
        try:
            return call(self.port, "GET", path, None, {"host": "localhost"})[0]
        except OSError:
            return None

    def metric(self, name: str) -> float:
        """One without labels."""
        return metric(self.port, name)

    @property
    def process(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Once it has ended."""
        assert self._process is not None
        return self._process.wait(SECONDS)

    def records(self, **wanted: Any) -> list[AuditLine]:
        return list(query(self.audit_folder, Filter(**wanted)))

    def said(self, event: str) -> list[dict[str, Any]]:
        """Lines of its log with this message."""
        lines = [
            json.loads(line) for line in self.log_file.read_text("utf-8").splitlines() if line.startswith("{")
        ]
        return [line for line in lines if line["message"] == event]

"""The engine worker as a part of the stack. It listens on its socket only once it has generated something."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import structlog

from headrace.errors import EngineUnavailable
from headrace.serving.gate import Gate
from headrace.serving.log_file import LogFile
from headrace.serving.process import ChildProcess
from headrace.serving.run_folder import RunFolder
from headrace.serving.tritonserver import stack_environment
from headrace.worker import control
from headrace.worker.protocol import WorkerStats

_ANSWER_SECONDS = 1.0

log = structlog.get_logger()


class EngineWorker:
    name = "engine worker"

    def __init__(self, python: Path | None, folder: RunFolder, gate: Gate, log_file: LogFile) -> None:
        self._python = python or Path(sys.executable)
        self._folder = folder
        self._gate = gate
        self._log_file = log_file

    async def start(self) -> ChildProcess:
        self._folder.socket.unlink(missing_ok=True)
        command = [str(self._python), "-m", "headrace.worker", "--socket", str(self._folder.socket)]
        environment = stack_environment(os.environ, self._folder)
        return await ChildProcess.start(
            command, environment, lambda line: self._log_file.write_raw("worker", line)
        )

    async def is_ready(self) -> bool:
        return await self.stats() is not None

    async def until_crashed(self) -> str:
        return await asyncio.Future()

    async def until_unfit(self, process: ChildProcess) -> str:
        return await asyncio.Future()

    async def until_finished(self) -> None:
        await asyncio.Future()

    def on_ended(self) -> None:
        # First of all: from here on readiness tells the truth.
        try:
            self._gate.close()
        except OSError as error:
            log.warning("the gate was not closed", problem=error.strerror)
        self._folder.socket.unlink(missing_ok=True)

    def explain(self, process: ChildProcess) -> str | None:
        return process.own_error

    async def stats(self, seconds: float = _ANSWER_SECONDS) -> WorkerStats | None:
        """What the worker says of itself; None when it does not answer."""
        return await _answered(control.stats, self._folder.socket, seconds)

    async def drain(self) -> WorkerStats | None:
        """Have it refuse new requests, which may be said again; None when it does not answer."""
        return await _answered(control.drain, self._folder.socket, _ANSWER_SECONDS)


async def _answered(ask: Callable[[Path, float], WorkerStats], socket: Path, seconds: float) -> WorkerStats | None:
    try:
        return await asyncio.to_thread(ask, socket, seconds)
    except EngineUnavailable:
        return None

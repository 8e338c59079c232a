"""What an earlier stack on these ports left when its supervisor was killed: processes and segments."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

import psutil

from headrace.serving import python_environments, shared_memory
from headrace.serving.run_folder import RunFolder
from headrace.serving.stubs import STUB
from headrace.serving.tritonserver import SOCKET_ENV

_GONE_SECONDS = 5.0

_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Removed:
    processes: int
    segments: int


def remove(folder: RunFolder) -> Removed:
    """End processes of an earlier stack, then remove its segments and files. Needs the folder's lock."""
    processes = _processes(folder)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + _GONE_SECONDS
    while any(_runs(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    segments = shared_memory.sweep(folder.shared_memory_prefix)
    python_environments.sweep()
    folder.clear()
    return Removed(len(processes), len(segments))


def _processes(folder: RunFolder) -> list[psutil.Process]:
    """Ours by two signs: the program, and the socket of this run folder in its environment."""
    return [process for process in psutil.process_iter() if _is_ours(process, str(folder.socket))]


def _runs(process: psutil.Process) -> bool:
    """False also for one that is dead but not yet reaped: it holds nothing any more."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _is_ours(process: psutil.Process, socket: str) -> bool:
    try:
        command = process.cmdline()
        known = any(argument.endswith(("/tritonserver", STUB, "headrace.worker")) for argument in command[:3])
        return known and process.environ().get(SOCKET_ENV) == socket
    except psutil.Error:
        return False

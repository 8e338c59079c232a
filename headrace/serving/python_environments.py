"""The empty folders that Triton's Python backend leaves in /tmp.

Every backend makes one (`/tmp/python_env_` and six random characters) when it loads, for unpacked Python
environments, and removes it when it unloads. A server that was killed, as ours is at its end, leaves them. Nothing
in them says whose they are, so they go only when no process that could own one lives.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

FOLDERS = Path("/tmp")  # noqa: S108 the backend knows no other place
_PATTERN = "python_env_??????"
_LIBRARY = "libtriton_python.so"


def sweep(folder: Path = FOLDERS) -> int:
    """Remove the empty ones of this user, unless one of this user's processes has the Python backend loaded.

    Returns how many were removed. A process in another container that shares /tmp cannot be seen from here.
    """
    # Listed first: who made one of these is either seen below or dead.
    found = [entry for entry in folder.glob(_PATTERN) if _is_ours(entry)]
    if not found or _backend_is_loaded():
        return 0
    removed = 0
    for entry in found:
        with contextlib.suppress(OSError):
            entry.rmdir()
            removed += 1
    return removed


def _is_ours(entry: Path) -> bool:
    try:
        return entry.lstat().st_uid == os.getuid() and entry.is_dir() and not entry.is_symlink()
    except OSError:
        return False


def _backend_is_loaded() -> bool:
    return any(_has_backend(process) for process in psutil.process_iter())


def _has_backend(process: psutil.Process) -> bool:
    """Whether it is one of this user's and maps the library. One that may not be looked into is judged by name."""
    with contextlib.suppress(psutil.Error, OSError):
        if process.uids().effective != os.getuid():
            return False
        try:
            return _LIBRARY in Path(f"/proc/{process.pid}/maps").read_text("utf-8", "replace")
        except PermissionError:
            return process.name() == "tritonserver"
    return False

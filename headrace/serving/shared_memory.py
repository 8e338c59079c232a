"""The POSIX shared memory of one stack's Python steps: how much it needs, and what a crash leaves behind."""

from __future__ import annotations

import shutil
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 where Linux mounts POSIX shared memory
# A stub starts with 1 MiB and grows with the tensors that are on their way through it.
BYTES_PER_STUB = 4 * 1024 * 1024


def needed(stubs: int) -> int:
    """Bytes that this many stubs may use."""
    return stubs * BYTES_PER_STUB


def free(folder: Path = SHARED_MEMORY) -> int:
    """Bytes free. Raises OSError when there is no shared memory."""
    return shutil.disk_usage(folder).free


def sweep(prefix: str, folder: Path = SHARED_MEMORY) -> list[str]:
    """Remove the segments whose names start with `prefix`; returns their names.

    Only for a server whose processes are all gone: nothing else removes the segments of a killed stub.
    """
    removed = []
    for segment in sorted(folder.glob(f"{prefix}*")):
        segment.unlink(missing_ok=True)
        removed.append(segment.name)
    return removed

"""Whether a file is still the one that was read, without reading it again."""

from __future__ import annotations

from pathlib import Path

Stamp = tuple[int, int, int]
"""When it was changed, its size, and which file it is."""


def stamp(file: Path) -> Stamp | None:
    """None for one that is gone: reading it will say so."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

"""The end of a log file, and what is written to it from then on, through its rotations."""

from __future__ import annotations

import collections
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from headrace.errors import HeadraceError

_PAUSE_SECONDS = 0.2


def tail(file: Path, lines: int, follow: bool) -> Iterator[str]:
    """The last lines, then with `follow` new ones for ever. Raises `HeadraceError` when there is no such file."""
    try:
        source = _open(file)
    except OSError as error:
        raise HeadraceError(f"{file}: {error.strerror}; has this stack ever run?") from None
    begun = ""
    try:
        for line in collections.deque(source, maxlen=lines):
            if line.endswith("\n") or not follow:
                yield line.rstrip("\n")
            else:
                begun = line
        while follow:
            time.sleep(_PAUSE_SECONDS)
            # Look for a new file first: the old one is complete from that moment on, and is read to its end.
            newer = _newer(file, source)
            for line in source:
                begun += line
                if begun.endswith("\n"):
                    yield begun.rstrip("\n")
                    begun = ""
            if newer is not None:
                source.close()
                source = newer
    finally:
        source.close()


def _newer(file: Path, source: TextIO) -> TextIO | None:
    """The file that has taken the place of `source`; None while there is no other."""
    try:
        if os.path.samestat(file.stat(), os.fstat(source.fileno())):
            return None
        return _open(file)
    except FileNotFoundError:
        return None


def _open(file: Path) -> TextIO:
    return file.open(encoding="utf-8", errors="replace")

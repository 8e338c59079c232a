"""The files of an audit log: `audit-<first sequence>.jsonl`, each going on where the one before ends."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

LINE_BYTES = 16 * 1_048_576
"""No line is longer."""
_PROBE_BYTES = 65_536

_NAME = re.compile(r"audit-(\d{12,})\.jsonl")


def name(first: int) -> str:
    return f"audit-{first:012}.jsonl"


def first_sequence(file: Path) -> int:
    """As its name says."""
    found = _NAME.fullmatch(file.name)
    if found is None:
        raise ValueError(f"{file}: not the name of a segment")
    return int(found[1])


def listed(folder: Path) -> list[Path]:
    """In the order of the chain."""
    return sorted((file for file in folder.iterdir() if _NAME.fullmatch(file.name)), key=first_sequence)


def lines(file: Path) -> Iterator[bytes]:
    """With their line ends, which the last one may lack. One that is too long comes in pieces."""
    with file.open("rb") as stream:
        while line := stream.readline(LINE_BYTES):
            yield line


def opener(file: str | os.PathLike[str], flags: int) -> int:
    """For `open`: only the owner may read what is created, and no link is followed."""
    return os.open(file, flags | os.O_NOFOLLOW, 0o600)


def sync_folder(folder: Path) -> None:
    """New names in it are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Segment:
    """The file that is written. All methods raise `OSError`."""

    def __init__(self, file: Path, size: int, day: str) -> None:
        """Opens or creates it. `size`: where the next line goes. `day`: of its last line."""
        self.size = size
        self.day = day
        self._descriptor = opener(file, os.O_RDWR | os.O_CREAT)
        if os.fstat(self._descriptor).st_size > size:
            self.close()
            raise FileExistsError(17, "holds lines that nobody knows of; look at it and move it away", str(file))

    def write(self, data: bytes) -> None:
        """After a failure, an unknown part of it is in the file: `cut` it off."""
        self._write(data, self.size)
        self.size += len(data)

    def cut(self, size: int) -> None:
        self.size = size
        os.ftruncate(self._descriptor, size)

    def write_again(self, tail: bytes) -> None:
        """Its last bytes. A failed fsync may have dropped them from memory without having them on disk."""
        self._write(tail, self.size - len(tail))

    def probe(self) -> None:
        """There is room for some lines, and nothing stands after the last one."""
        self._write(bytes(_PROBE_BYTES), self.size)
        self.cut(self.size)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)

    def _write(self, data: bytes, place: int) -> None:
        left = memoryview(data)
        while left:
            done = os.pwrite(self._descriptor, left, place)
            left, place = left[done:], place + done

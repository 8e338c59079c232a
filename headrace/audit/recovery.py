"""Where a log that lies on disk goes on, and what of it was lost.

What is cut off is set aside first, under the number of the record that will tell of it. If that record is not
written, since the recovery itself is interrupted, the next one finds the file and tells of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from headrace.audit import chain, head, segments
from headrace.audit.chain import START, Flaw, Position
from headrace.audit.record import HeadState, Recovered
from headrace.errors import StartupError


@dataclass(frozen=True, slots=True)
class Found:
    """The log as it lies there."""

    position: Position
    """The chain goes on after it."""
    last: Path | None
    """The segment with the last line; None: there is no line."""
    size: int
    """Of that segment, up to the end of its last line."""
    day: str
    unfinished: tuple[tuple[Path, int], ...]
    """Files that end in what is no line, the first one first, and where that begins."""
    head: HeadState
    lost_records: int

    @property
    def aside(self) -> str:
        return f"unfinished-{self.position.sequence + 1:012}.bin"


@dataclass(frozen=True, slots=True)
class _End:
    """Of one segment."""

    position: Position
    size: int
    day: str


def examine(folder: Path, key: bytes | None) -> Found:
    """Changes nothing. Raises `StartupError` when the key is not the log's."""
    end, last = _End(START, 0, ""), None
    unfinished: list[tuple[Path, int]] = []
    for file in reversed(segments.listed(folder)):
        found = _end(file, key)
        size = 0 if found is None else found.size
        if found is None or file.stat().st_size > size:
            unfinished.insert(0, (file, size))
        if found is not None:
            end, last = found, file
            break
    position, state = _against_head(folder, key, end.position, empty=last is None)
    lost = position.sequence - end.position.sequence
    return Found(position, last, end.size, end.day, tuple(unfinished), state, lost if state == "ahead" else 0)


def cut(folder: Path, found: Found, now: str) -> Recovered | None:
    """Leaves only whole lines. What is to be told in the chain; None when nothing was lost."""
    torn = b"".join(_from(file, place) for file, place in found.unfinished)
    aside = folder / found.aside
    kept = aside.read_bytes() if aside.exists() else b""
    if torn != kept and torn:
        kept += torn
        with open(aside, "wb", opener=segments.opener) as copy:
            copy.write(kept)
            copy.flush()
            os.fsync(copy)
    for file, place in found.unfinished:
        if place:
            os.truncate(file, place)
        else:
            file.unlink()
    segments.sync_folder(folder)
    if not kept and found.head == "ok":
        return None
    name = aside.name if kept else None
    return Recovered(time=now, lost_bytes=len(kept), kept=name, lost_records=found.lost_records, head=found.head)


def _end(file: Path, key: bytes | None) -> _End | None:
    """After its last intact line; None when it holds no whole line. Damage before that is for `verify` to find."""
    place, end, whole = 0, None, False
    for line in segments.lines(file):
        place += len(line)
        whole = whole or line.endswith(b"\n")
        try:
            link = chain.read(line, key)
        except Flaw:
            continue
        # A line that stands there twice does not turn the chain back.
        position = link.position if end is None else max(link.position, end.position)
        end = _End(position, place, link.day)
    if whole and end is None:
        raise StartupError(
            f"{file}: no line fits this key; give the one that the log was begun with, or another folder"
        )
    return end


def _against_head(folder: Path, key: bytes | None, position: Position, empty: bool) -> tuple[Position, HeadState]:
    """Where the chain goes on. Numbers that the head confirmed are not given again: their loss stays visible."""
    try:
        confirmed = head.read(folder, key)
    except Flaw as flaw:
        if empty:
            problem = f"{folder / head.NAME}: {flaw}; give the key that the log was begun with, or a new folder"
            raise StartupError(problem) from None
        return position, "bad"
    if confirmed is None:
        return position, "ok" if empty else "missing"
    if empty:  # its segments were moved away; if that was not meant, `verify` misses them
        return confirmed, "ok"
    if confirmed.sequence > position.sequence:
        return confirmed, "ahead"
    differs = confirmed.sequence == position.sequence and confirmed != position
    return position, "differs" if differs else "ok"


def _from(file: Path, place: int) -> bytes:
    with file.open("rb") as stream:
        stream.seek(place)
        return stream.read()

"""The writing side of an audit log, without a thread: lines into segments, and the head after them.

What an `append` could not write is taken back, so that the chain has no line that nobody knows of; before the next
one the file is made whole again. A failed fsync may have dropped what was written before (that is how Linux does
it), so what is not yet confirmed is kept in memory and written again.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import structlog

from headrace.audit import chain, head, recovery, segments
from headrace.audit.chain import Kind, Position
from headrace.audit.config import AuditConfig
from headrace.audit.record import encode, timestamp
from headrace.audit.segments import Segment
from headrace.errors import StartupError

log = structlog.get_logger()

LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to become a line."""

    fields: bytes
    """As `record.encode` gives them."""
    day: str
    """Of its time, as `2026-11-27`."""
    kind: Kind = "request"


@dataclass(frozen=True, slots=True)
class _Mark:
    """What stays when more cannot be written."""

    position: Position
    size: int
    """Of the segment."""
    tail: int
    """Bytes of it that are not yet confirmed."""


def _now() -> datetime:
    return datetime.now(UTC)


class Journal:
    """The one writer of a folder. Used from one thread."""

    def __init__(
        self, folder: Path, key: bytes | None, config: AuditConfig, now: Callable[[], datetime] = _now
    ) -> None:
        """Makes the folder if need be, takes its lock, recovers what lies there, and goes on with it.

        Raises `StartupError` when another process writes there, the key is another one, or nothing can be written.
        """
        self._folder, self._key, self._config = folder, key, config
        self._tail = bytearray()
        self._segment: Segment | None = None
        self.problem: str | None = None
        """Why the last append or confirmation failed."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(folder / LOCK)
            try:
                self._go_on(now)
            except BaseException:
                self._release()
                raise
        except OSError as error:
            where = error.filename or folder
            raise StartupError(f"{where}: the audit log cannot be written: {error.strerror}") from None

    def append(self, entries: Sequence[Entry]) -> int:
        """How many of them, the first ones, are now in the log: on disk under `always`, else with the operating
        system. `problem` says why not all. Their numbers follow that of `position`."""
        before = self.position.sequence
        try:
            self._mend()
            self._write(entries)
            if self._config.fsync == "always":
                self._confirm()
        except OSError as error:
            self._fail(error)
        return self.position.sequence - before

    @property
    def position(self) -> Position:
        """Of the last line that is in the log."""
        return self._mark.position

    @property
    def unconfirmed(self) -> bool:
        """There is something to `confirm`."""
        return self._confirmed != self._at or self.problem is not None

    def confirm(self) -> None:
        """What is written is on disk (not so under `never`), and the head says so. Else `problem` says why not."""
        try:
            self._mend()
            if self._confirmed != self._at:
                self._confirm()
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Confirms what can be, and gives the folder back."""
        self.confirm()
        self._release()

    def _release(self) -> None:
        if self._segment is not None:
            self._segment.close()
        self._lock.close()

    def _go_on(self, now: Callable[[], datetime]) -> None:
        found = recovery.examine(self._folder, self._key)
        recovered = recovery.cut(self._folder, found, timestamp(now()))
        if found.last is not None:
            self._segment = Segment(found.last, found.size, found.day)
        self._at = found.position
        self._keep()
        if recovered is not None:
            log.warning("the audit log was not as it was left", lost=encode(recovered).decode())
            self._write([Entry(encode(recovered), recovered.time[:10], "recovered")])
        self._confirm()

    def _write(self, entries: Sequence[Entry]) -> None:
        lines: list[bytes] = []
        size, at = self._mark.size, self._at
        for entry in entries:
            line, position = chain.line(entry.kind, entry.fields, at, self._key)
            if self._segment is None or self._is_full(self._segment, size + len(line), entry.day):
                self._flush(lines, at)
                self._rotate(entry.day)
                lines, size = [], 0
            lines.append(line)
            size += len(line)
            at = position
        self._flush(lines, at)

    def _flush(self, lines: list[bytes], at: Position) -> None:
        if not lines or self._segment is None:
            return
        data = b"".join(lines)
        self._segment.write(data)
        self._tail += data
        self._at = at
        if self._config.fsync != "always":
            self._keep()

    def _is_full(self, segment: Segment, size: int, day: str) -> bool:
        """A request that began before midnight may end after it: its line does not turn the day back."""
        return size > self._config.segment_bytes or day > segment.day

    def _rotate(self, day: str) -> None:
        self._confirm()
        new = Segment(self._folder / segments.name(self._at.sequence + 1), 0, day)
        if self._segment is not None:
            self._segment.close()
        self._segment = new
        self._keep()
        if self._config.fsync != "never":
            segments.sync_folder(self._folder)

    def _confirm(self) -> None:
        durable = self._config.fsync != "never"
        if durable and self._segment is not None:
            self._segment.sync()
        head.write(self._folder, self._at, self._key, durable)
        self._confirmed = self._at
        self._tail.clear()
        self._keep()

    def _keep(self) -> None:
        size = 0 if self._segment is None else self._segment.size
        self._mark = _Mark(self._at, size, len(self._tail))

    def _fail(self, error: OSError) -> None:
        if self.problem is None:
            log.error("the audit log cannot be written", problem=str(error))
        self.problem = str(error)
        self._at = self._mark.position
        del self._tail[self._mark.tail :]
        if self._segment is not None:
            with contextlib.suppress(OSError):  # `_mend` cuts again
                self._segment.cut(self._mark.size)

    def _mend(self) -> None:
        """After a failure: the file as it should be, and a sign that it can be written."""
        if self.problem is None:
            return
        if self._segment is not None:
            self._segment.write_again(bytes(self._tail))
            self._segment.probe()
        self._confirm()
        self.problem = None
        log.info("the audit log can be written again")


def _locked(file: Path) -> BinaryIO:
    """Tries for half a second: who asks whether a log is in use holds the lock for a moment."""
    lock = open(file, "ab", opener=segments.opener)  # noqa: SIM115 - held until the journal is closed
    for _ in range(10):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return lock
    lock.close()
    raise StartupError(f"{file.parent}: another process writes this audit log; give each gateway its own folder")


def in_use(folder: Path) -> bool:
    """Somebody writes there now."""
    try:
        with (folder / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False

"""The audit log as the gateway sees it: records go to one thread, which writes and confirms them in groups."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from headrace.audit import segments
from headrace.audit.chain import Position
from headrace.audit.config import AuditConfig
from headrace.audit.errors import AuditUnavailable
from headrace.audit.journal import Entry, Journal
from headrace.audit.record import AuditRecord, encode
from headrace.errors import TooLarge

log = structlog.get_logger()

_ROOM_FOR_CHAIN = 512
"""Bytes of a line that are not the record's own."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    entry: Entry
    done: asyncio.Future[int]


class AuditLog:
    """Append-only. Used from the loop's thread; nothing here blocks it."""

    def __init__(self, journal: Journal, config: AuditConfig) -> None:
        """For `open`."""
        self._journal = journal
        self._interval = config.interval_ms / 1000
        self._durable = config.fsync == "always"
        self._room = asyncio.Semaphore(config.queue)
        self._places = config.queue
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, config: AuditConfig, folder: Path, key: bytes | None) -> AuditLog:
        """Goes on with the log that lies there. Raises `StartupError`: another process writes to it, the key is
        not the one it was begun with, or nothing can be written."""
        return cls(await asyncio.to_thread(Journal, folder, key, config), config)

    @property
    def problem(self) -> str | None:
        """Why records cannot be written now; None when they can. It is tried again every interval, so it goes away
        by itself."""
        return self._journal.problem

    @property
    def position(self) -> Position:
        """Of the last line. Noted elsewhere, it shows later whether the log still holds it (`verify`)."""
        return self._journal.position

    @property
    def is_durable(self) -> bool:
        """A record is to be on disk before the gateway is done with its request."""
        return self._durable

    async def append(self, record: AuditRecord) -> int:
        """The record's number, once it is in the log: on disk under fsync `always`, else with the operating
        system, which keeps it if this process dies. Waits while the queue is full. Who is cancelled meanwhile has
        still appended it.

        Raises `AuditUnavailable` when it cannot be written, and is not in the log; `TooLarge` above 16 MiB.
        """
        return await (await self.begin(record))

    async def begin(
        self, record: AuditRecord, on_failure: Callable[[BaseException], None] | None = None
    ) -> asyncio.Future[int]:
        """As `append`, but waits only while the queue is full: what it returns tells the rest.

        `on_failure` is told why the record is not in the log, also if who waits for room is cancelled.
        """
        if self._closing:
            raise AuditUnavailable("the audit log is closed: nothing may be served any more")
        fields = encode(record)
        if len(fields) > segments.LINE_BYTES - _ROOM_FOR_CHAIN:
            raise TooLarge("audit record", f"{len(fields)} bytes of JSON; 16 MiB at most, so leave its texts out")
        entry = Entry(fields, record.time[:10])
        try:
            await self._room.acquire()
        except asyncio.CancelledError:
            _tell_failure(self._hand_over(entry), on_failure)
            raise
        done = self._hand_over(entry)
        done.add_done_callback(lambda _: self._room.release())
        _tell_failure(done, on_failure)
        return done

    async def close(self) -> None:
        """Writes what waits, confirms it and lets the folder go. Raises `AuditUnavailable` when that fails."""
        if self._closing:
            return
        self._closing = True
        for _ in range(self._places):  # whoever came before is served before
            await self._room.acquire()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        if (problem := self.problem) is not None:
            raise AuditUnavailable(f"the end of the audit log may not be on disk: {problem}")

    def _hand_over(self, entry: Entry) -> asyncio.Future[int]:
        done = self._loop.create_future()
        self._queue.put(_Waiting(entry, done))
        return done

    def _run(self) -> None:
        """The thread."""
        due: float | None = None
        ended = False
        while not ended:
            group, ended = self._next(due)
            try:
                self._write(group)
                if due is not None and time.monotonic() >= due:
                    self._journal.confirm()
                    due = None
            except Exception:
                log.exception("the audit log's thread failed; it goes on")
                self._tell(group, 0, 0, "an internal error, which the log has")
            if due is None and self._journal.unconfirmed:
                due = time.monotonic() + self._interval
        self._journal.close()

    def _next(self, due: float | None) -> tuple[list[_Waiting], bool]:
        """All that waits, and whether that is the end; nothing when it is time to confirm."""
        group: list[_Waiting] = []
        with contextlib.suppress(queue.Empty):
            found = self._queue.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
            while found is not None:
                group.append(found)
                found = self._queue.get_nowait()
            return group, True
        return group, False

    def _write(self, group: Sequence[_Waiting]) -> None:
        if not group:
            return
        before = self._journal.position.sequence
        written = self._journal.append([waiting.entry for waiting in group])
        self._tell(group, before, written, str(self._journal.problem))

    def _tell(self, group: Sequence[_Waiting], before: int, written: int, problem: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop ended without closing the log
            self._loop.call_soon_threadsafe(_settle, group, before, written, problem)


def _tell_failure(done: asyncio.Future[int], on_failure: Callable[[BaseException], None] | None) -> None:
    def look(done: asyncio.Future[int]) -> None:
        if on_failure is not None and not done.cancelled() and (error := done.exception()) is not None:
            on_failure(error)

    done.add_done_callback(look)


def _settle(group: Sequence[_Waiting], before: int, written: int, problem: str) -> None:
    for place, waiting in enumerate(group[:written]):
        if not waiting.done.done():  # else who waited was cancelled
            waiting.done.set_result(before + place + 1)
    message = f"the audit record was not written: {problem}; free the disk or make it writable"
    for waiting in group[written:]:
        if waiting.done.done():
            log.error("the audit record of a cancelled request was not written", problem=problem)
        else:
            waiting.done.set_exception(AuditUnavailable(message))

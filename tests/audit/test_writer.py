"""The log as the gateway uses it: many requests at once, one thread that writes."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from headrace.audit import head, segments
from headrace.audit.errors import AuditUnavailable
from headrace.audit.query import query
from headrace.audit.verify import verify
from headrace.audit.writer import AuditLog
from headrace.errors import StartupError, TooLarge
from tests.audit.logs import KEY, assert_intact, config, lines_of, record, segments_of

SECONDS = 20.0
MODES = ["always", "interval", "never"]


async def opened(folder: Path, **fields: Any) -> AuditLog:
    return await AuditLog.open(config(**fields), folder, KEY)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():  # noqa: ASYNC110 - a thread does it
            await asyncio.sleep(0.001)


class Held:
    """Every write waits until the test lets it go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        write = os.pwrite

        def held(*arguments: Any) -> int:
            self.begun.set()
            assert self.go.wait(SECONDS)
            return write(*arguments)

        monkeypatch.setattr(os, "pwrite", held)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)


@pytest.mark.parametrize("fsync", MODES)
async def test_many_appends_at_once_keep_their_order_and_lose_nothing(tmp_path: Path, fsync: str) -> None:
    log = await opened(tmp_path, fsync=fsync, queue=16, segment_mb=0.05)
    numbers = await asyncio.gather(*(log.append(record(number)) for number in range(500)))
    assert numbers == list(range(1, 501))
    await log.close()
    assert [line.request_id for line in query(tmp_path)] == [f"request-{number}" for number in range(500)]
    assert_intact(tmp_path, 500)
    assert len(segments_of(tmp_path)) > 3


async def test_a_record_comes_back_as_it_was_given(tmp_path: Path) -> None:
    log = await opened(tmp_path)
    given = record(7, prompt="Hi", outcome="blocked", tenant=None)
    number = await log.append(given)
    await log.close()
    (line,) = query(tmp_path)
    assert line.sequence == number == 1
    for field in msgspec.structs.fields(given):
        assert getattr(line, field.name) == getattr(given, field.name)


@pytest.mark.parametrize("fsync", MODES)
async def test_a_record_whose_append_returned_is_in_the_file(tmp_path: Path, fsync: str) -> None:
    log = await opened(tmp_path, fsync=fsync)
    for number in range(6):
        await log.append(record(number))
        assert len(lines_of(tmp_path)) == number + 1
    await log.close()


async def test_the_head_follows_within_the_interval(tmp_path: Path) -> None:
    log = await opened(tmp_path, fsync="interval", interval_ms=1)
    await log.append(record(1))
    await until(lambda: head.read(tmp_path, KEY) == log.position)
    await log.close()


async def test_appends_wait_while_the_queue_is_full(tmp_path: Path, held: Held) -> None:
    log = await opened(tmp_path, queue=3)
    appends = [asyncio.create_task(log.append(record(0)))]
    await asyncio.to_thread(held.begun.wait, SECONDS)
    appends += [asyncio.create_task(log.append(record(number))) for number in range(1, 10)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert log._queue.qsize() == 2  # of three, one is with the thread
    assert not any(append.done() for append in appends)
    held.go.set()
    assert await asyncio.gather(*appends) == list(range(1, 11))
    await log.close()


async def test_the_loop_goes_on_while_the_disk_is_slow(tmp_path: Path, held: Held) -> None:
    log = await opened(tmp_path)
    append = asyncio.create_task(log.append(record(1)))
    await asyncio.to_thread(held.begun.wait, SECONDS)
    assert not append.done()
    held.go.set()
    assert await append == 1
    await log.close()


async def test_who_is_cancelled_has_still_appended_the_record(tmp_path: Path, held: Held) -> None:
    """Some with the thread, some in the queue, some before it."""
    log = await opened(tmp_path, queue=2)
    appends = [asyncio.create_task(log.append(record(number))) for number in range(6)]
    await asyncio.to_thread(held.begun.wait, SECONDS)
    for append in appends:
        append.cancel()
    assert await asyncio.gather(*appends, return_exceptions=True)
    assert all(append.cancelled() for append in appends)
    held.go.set()
    await log.close()
    assert {line.request_id for line in query(tmp_path)} == {f"request-{number}" for number in range(6)}
    assert_intact(tmp_path, 6)


async def test_a_record_of_a_cancelled_request_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: Held
) -> None:
    log = await opened(tmp_path, fsync="always")
    append = asyncio.create_task(log.append(record(1)))
    await asyncio.to_thread(held.begun.wait, SECONDS)
    append.cancel()
    with pytest.raises(asyncio.CancelledError):
        await append
    with structlog.testing.capture_logs() as told, monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", _fail)
        held.go.set()
        await until(lambda: any("cancelled request" in entry["event"] for entry in told))
    await log.close()


async def test_closing_waits_for_what_was_appended_before(tmp_path: Path, held: Held) -> None:
    log = await opened(tmp_path, queue=2)
    appends = [asyncio.create_task(log.append(record(number))) for number in range(6)]
    await asyncio.to_thread(held.begun.wait, SECONDS)
    closing = asyncio.create_task(log.close())
    await asyncio.sleep(0)
    with pytest.raises(AuditUnavailable, match="closed"):
        await log.append(record(9))
    held.go.set()
    await closing
    assert await asyncio.gather(*appends) == list(range(1, 7))
    await log.close()
    assert_intact(tmp_path, 6)


async def test_closing_leaves_no_thread_and_no_lock(tmp_path: Path) -> None:
    for number in range(3):
        log = await opened(tmp_path)
        assert await log.append(record(number)) == number + 1
        await log.close()
    assert "audit" not in [thread.name for thread in threading.enumerate()]


async def test_two_logs_cannot_share_a_folder(tmp_path: Path) -> None:
    log = await opened(tmp_path)
    with pytest.raises(StartupError, match="give each gateway its own folder"):
        await opened(tmp_path)
    await log.close()


async def test_a_record_too_long_for_a_line_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    log = await opened(tmp_path, segment_mb=64)
    with pytest.raises(TooLarge, match="leave its texts out"):
        await log.append(record(1, prompt="x" * segments.LINE_BYTES))
    assert await log.append(record(2, prompt="x" * (segments.LINE_BYTES - 4096))) == 1
    await log.close()
    assert_intact(tmp_path, 1)


async def test_a_disk_that_fails_is_told_and_the_log_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = await opened(tmp_path, fsync="always", interval_ms=1)
    await log.append(record(1))
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", _fail)
        results = await asyncio.gather(*(log.append(record(2)) for _ in range(50)), return_exceptions=True)
        assert {type(result) for result in results} == {AuditUnavailable}
        assert "broken disk" in str(results[0])
        assert "broken disk" in str(log.problem)
    await until(lambda: log.problem is None)
    assert await log.append(record(3)) == 2
    await log.close()
    assert [line.request_id for line in query(tmp_path)] == ["request-1", "request-3"]
    assert_intact(tmp_path, 2)


async def test_closing_says_when_the_end_is_not_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await opened(tmp_path)
    await log.append(record(1))
    monkeypatch.setattr(os, "fdatasync", _fail)
    with pytest.raises(AuditUnavailable, match="broken disk"):
        await log.close()
    assert verify(tmp_path, KEY).unconfirmed == 1


async def test_a_bug_in_the_thread_hangs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await opened(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(log._journal, "append", lambda _: 1 / 0)
        with pytest.raises(AuditUnavailable, match="internal error"):
            await log.append(record(1))
    assert await log.append(record(2)) == 1
    await log.close()
    assert_intact(tmp_path, 1)


def _fail(_: int) -> None:
    raise OSError("broken disk")

"""Segments, what is found at opening, and a disk that fails."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.audit import chain, head
from headrace.audit.chain import START
from headrace.audit.config import AuditConfig
from headrace.audit.journal import Journal
from headrace.audit.record import Recovered, encode
from headrace.audit.verify import verify
from headrace.errors import StartupError
from tests.audit.logs import (
    KEY,
    NOON,
    abandoned,
    assert_intact,
    config,
    entry,
    kinds,
    lines_of,
    record,
    segments_of,
    write,
)


def opened(folder: Path, **fields: Any) -> Journal:
    return Journal(folder, KEY, config(**fields), now=lambda: NOON)


def append(journal: Journal, *numbers: int) -> int:
    return journal.append([entry(record(number)) for number in numbers])


def failing(journal: Journal) -> bool:
    return journal.problem is not None


def recoveries(folder: Path) -> list[Recovered]:
    return [loss.recovered for loss in verify(folder, KEY).losses]


def test_only_the_owner_may_read_a_log(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "audit"
    before = os.umask(0)
    try:
        write(folder, map(record, range(6)))
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_a_segment_is_closed_at_its_size_and_named_by_its_first_line(tmp_path: Path) -> None:
    write(tmp_path, map(record, range(12)))
    files = segments_of(tmp_path)
    assert len(files) > 2
    assert all(file.stat().st_size <= AuditConfig(segment_mb=0.0025).segment_bytes for file in files)
    for file in files:
        first = chain.read(file.read_bytes().splitlines(keepends=True)[0], KEY)
        assert file.name == f"audit-{first.sequence:012}.jsonl"


def test_a_record_longer_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, [record(1), record(2, prompt="x" * 10_000), record(3)])
    assert len(segments_of(tmp_path)) == 3
    assert_intact(tmp_path, 3)


def test_a_new_day_begins_a_segment_and_a_late_record_of_the_old_one_does_not(tmp_path: Path) -> None:
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    seconds = (-2, -1, 0, -3, 1, 86_400)
    times = [midnight + timedelta(seconds=second) for second in seconds]
    write(tmp_path, [record(1, at=at) for at in times], segment_mb=1)
    assert [len(file.read_bytes().splitlines()) for file in segments_of(tmp_path)] == [2, 3, 1]
    write(tmp_path, [record(1, at=times[-1])], segment_mb=1)
    assert [len(file.read_bytes().splitlines()) for file in segments_of(tmp_path)] == [2, 3, 2]
    assert_intact(tmp_path, 7)


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_opening_goes_on_with_the_chain(tmp_path: Path, fsync: str) -> None:
    for start in range(0, 9, 3):
        write(tmp_path, map(record, range(start, start + 3)), fsync=fsync)
    report = assert_intact(tmp_path, 9)
    assert (report.last.sequence, report.unconfirmed, report.losses) == (9, 0, [])


def test_a_group_over_several_segments_is_one_chain(tmp_path: Path) -> None:
    journal = opened(tmp_path, fsync="always")
    assert append(journal, *range(20)) == 20
    journal.close()
    assert len(segments_of(tmp_path)) > 3
    assert_intact(tmp_path, 20)


@given(cut=st.integers(1, 5000), fsync=st.sampled_from(["interval", "never"]))
def test_what_a_crash_tears_is_cut_off_kept_and_told(cut: int, fsync: str) -> None:
    """Any number of bytes that were not confirmed, over lines and segments."""
    with tempfile.TemporaryDirectory() as scratch:
        journal = opened(Path(scratch) / "audit", fsync=fsync, segment_mb=0.01)
        append(journal, *range(10))
        folder = abandoned(Path(scratch) / "audit", Path(scratch) / "crashed")
        journal.close()
        last = segments_of(folder)[-1]
        before = last.read_bytes()
        os.truncate(last, max(0, len(before) - cut))
        whole = last.read_bytes()[: last.read_bytes().rfind(b"\n") + 1]
        torn = len(last.read_bytes()) - len(whole)
        lines = len(lines_of(folder)) - bool(torn)

        opened(folder).close()
        report = assert_intact(folder, lines + bool(torn))
        assert [loss.recovered.lost_bytes for loss in report.losses] == [torn] * bool(torn)
        for loss in report.losses:
            assert loss.recovered.kept is not None
            assert (folder / loss.recovered.kept).read_bytes() == before[len(whole) : len(whole) + torn]
        write(folder, [record(50)])
        assert_intact(folder, lines + bool(torn) + 1)


@pytest.mark.parametrize("cut_before", [False, True])
def test_a_recovery_that_is_itself_interrupted_is_told_in_full(tmp_path: Path, cut_before: bool) -> None:
    write(tmp_path, map(record, range(2)), segment_mb=1)
    (file,) = segments_of(tmp_path)
    whole = file.read_bytes()
    (tmp_path / "unfinished-000000000003.bin").write_bytes(b'{"schema":1,"ki')
    file.write_bytes(whole if cut_before else whole + b'{"schema":1,"ki')
    opened(tmp_path).close()
    (recovered,) = recoveries(tmp_path)
    assert recovered.lost_bytes == 15
    opened(tmp_path).close()
    assert recoveries(tmp_path) == [recovered]


def test_a_recovery_whose_own_line_was_torn_is_told_in_full(tmp_path: Path) -> None:
    write(tmp_path, map(record, range(2)), segment_mb=1)
    (file,) = segments_of(tmp_path)
    (tmp_path / "unfinished-000000000003.bin").write_bytes(b"first")
    file.write_bytes(file.read_bytes() + b"second")
    opened(tmp_path).close()
    assert (tmp_path / "unfinished-000000000003.bin").read_bytes() == b"firstsecond"
    assert [recovered.lost_bytes for recovered in recoveries(tmp_path)] == [11]


def test_confirmed_lines_that_are_gone_stay_visible_after_the_log_goes_on(tmp_path: Path) -> None:
    write(tmp_path, map(record, range(9)))
    segments_of(tmp_path)[-1].unlink()
    left = len(lines_of(tmp_path))
    write(tmp_path, [record(20)])
    report = verify(tmp_path, KEY)
    assert report.last.sequence == 11  # 10 is the recovery's: no number is given twice
    assert {"missing", "head"} == kinds(report)
    (loss,) = report.losses
    assert (loss.recovered.lost_records, loss.recovered.head) == (9 - left, "ahead")


def test_a_last_line_that_was_changed_is_not_hidden_by_a_restart(tmp_path: Path) -> None:
    write(tmp_path, map(record, range(3)), segment_mb=1)
    (file,) = segments_of(tmp_path)
    file.write_bytes(file.read_bytes().replace(b'"cost":2000006', b'"cost":1'))
    opened(tmp_path, segment_mb=1).close()
    report = verify(tmp_path, KEY)
    assert kinds(report) == {"dropped", "head"}
    assert b'"cost":1,' in (tmp_path / "unfinished-000000000004.bin").read_bytes()


def test_intact_lines_after_damage_stay(tmp_path: Path) -> None:
    write(tmp_path, map(record, range(3)), segment_mb=1)
    (file,) = segments_of(tmp_path)
    file.write_bytes(file.read_bytes().replace(b'"cost":1000003', b'"cost":1'))
    write(tmp_path, [record(4)])
    report = verify(tmp_path, KEY)
    assert [(finding.kind, finding.line) for finding in report.findings] == [("changed", 2)]
    assert report.lines == 3


@pytest.mark.parametrize("state", ["missing", "bad", "differs"])
def test_a_head_that_was_tampered_with_is_told_for_ever(tmp_path: Path, state: str) -> None:
    write(tmp_path, map(record, range(3)))
    if state == "missing":
        (tmp_path / head.NAME).unlink()
    elif state == "bad":
        (tmp_path / head.NAME).write_bytes(b"{}")
    else:
        head.write(tmp_path, chain.Position(3, START.hash), KEY, durable=False)
    write(tmp_path, [record(4)])
    report = verify(tmp_path, KEY)
    assert kinds(report) == {"head"}
    assert [loss.recovered.head for loss in report.losses] == [state]


def test_a_segment_without_a_whole_line_is_taken_away(tmp_path: Path) -> None:
    write(tmp_path, map(record, range(3)), segment_mb=1)
    (tmp_path / "audit-000000000004.jsonl").write_bytes(b'{"schema":1')
    (tmp_path / "audit-000000000005.jsonl").touch()
    for number in range(5, 15):
        write(tmp_path, [record(number)])
    report = assert_intact(tmp_path, 14)
    assert [loss.recovered.lost_bytes for loss in report.losses] == [11]


def test_a_last_line_that_is_repeated_does_not_turn_the_chain_back(tmp_path: Path) -> None:
    write(tmp_path, map(record, range(3)), segment_mb=1)
    with segments_of(tmp_path)[0].open("ab") as file:
        file.write(lines_of(tmp_path)[0])
    write(tmp_path, [record(4)], segment_mb=1)
    report = verify(tmp_path, KEY)
    assert [(finding.kind, finding.line) for finding in report.findings] == [("duplicated", 4)]
    assert report.last.sequence == 4


@pytest.mark.parametrize("records", [0, 3])
def test_another_key_is_refused_and_changes_nothing(tmp_path: Path, records: int) -> None:
    write(tmp_path, map(record, range(records)))
    if records:
        (tmp_path / head.NAME).unlink()
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for key in (None, b"another"):
        with pytest.raises(StartupError, match=r"does not fit its hash|no line fits this key"):
            Journal(tmp_path, key, config())
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_moved_away_segments_do_not_turn_the_chain_back(tmp_path: Path) -> None:
    write(tmp_path, map(record, range(5)))
    for file in segments_of(tmp_path):
        file.unlink()
    write(tmp_path, [record(6)])
    assert verify(tmp_path, KEY, first=6).intact
    assert kinds(verify(tmp_path, KEY)) == {"missing"}


def test_two_writers_cannot_share_a_folder(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    with pytest.raises(StartupError, match="another process writes this audit log"):
        opened(tmp_path)
    append(journal, 1)
    journal.close()
    opened(tmp_path).close()
    assert_intact(tmp_path, 1)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match=r"file/audit: the audit log cannot be written: Not a directory"):
        opened(tmp_path / "file" / "audit")


class Disk:
    """Fails as it is told to: the nth next call of these functions and all after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left: dict[str, int] = {}
        for name in ("pwrite", "fdatasync", "fsync", "ftruncate", "open"):
            monkeypatch.setattr(os, name, self._watched(name, getattr(os, name)))

    def fails(self, *names: str, after: int = 0) -> None:
        self._left.update(dict.fromkeys(names, after))

    def works(self) -> None:
        self._left.clear()

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            if name in self._left:
                if not self._left[name]:
                    if name == "pwrite":  # part of it gets there
                        call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2], arguments[2])
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                self._left[name] -= 1
            return call(*arguments, **options)

        return watched


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


CALLS = ["pwrite", "fdatasync", "fsync", "open"]


@given(
    fsync=st.sampled_from(["always", "interval", "never"]),
    steps=st.lists(
        st.tuples(
            st.integers(0, 6),
            st.sets(st.sampled_from([*CALLS, "ftruncate"])),
            st.integers(0, 4),
            st.booleans(),
        ),
        max_size=8,
    ),
)
def test_a_disk_that_fails_at_any_call_breaks_no_chain_and_loses_nothing_that_was_kept(
    fsync: str, steps: list[tuple[int, set[str], int, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as monkeypatch:
        folder, disk, kept = Path(scratch) / "audit", Disk(monkeypatch), list[int]()
        journal = opened(folder, fsync=fsync)
        number = 0
        for count, broken, after, confirms in steps:
            disk.fails(*broken, after=after)
            numbers = list(range(number, number + count))
            written = append(journal, *numbers)
            assert written == count or failing(journal)
            kept += numbers[:written]
            number += count
            if confirms:
                journal.confirm()
            disk.works()
        assert append(journal, number) == 1
        assert not failing(journal)
        kept.append(number)
        assert journal.position.sequence == len(kept)
        crashed = abandoned(folder, Path(scratch) / "crashed")
        journal.close()
        report = assert_intact(folder, len(kept))
        assert (report.unconfirmed, report.losses) == (0, [])
        opened(crashed).close()
        assert_intact(crashed, len(kept))
        for file in (folder, crashed):
            found = [chain.read(line, KEY).sequence for line in lines_of(file)]
            assert found == list(range(1, len(kept) + 1))
            assert [
                f'"request_id":"request-{one}"'.encode() in line
                for one, line in zip(kept, lines_of(file), strict=True)
            ]


@pytest.mark.parametrize("fsync", ["always", "interval"])
def test_what_a_failed_fsync_may_have_dropped_is_written_again(tmp_path: Path, disk: Disk, fsync: str) -> None:
    """Linux may forget what a failed fsync should have written; here it is overwritten with zeros."""
    journal = opened(tmp_path, fsync=fsync, segment_mb=1)
    append(journal, 1)
    journal.confirm()
    disk.fails("fdatasync")
    written = append(journal, 2, 3)
    journal.confirm()
    assert written == (2 if fsync == "interval" else 0)
    assert failing(journal)
    (file,) = segments_of(tmp_path)
    intact = file.read_bytes()
    first = intact.index(b"\n") + 1
    file.write_bytes(intact[:first] + b"\0" * (len(intact) - first))
    disk.works()
    append(journal, 4)
    assert not failing(journal)
    journal.close()
    assert_intact(tmp_path, 2 + written)


def test_under_always_a_record_is_kept_only_once_it_is_on_disk_and_the_head_says_so(
    tmp_path: Path, disk: Disk
) -> None:
    journal = opened(tmp_path, fsync="always")
    assert append(journal, 1) == 1
    assert head.read(tmp_path, KEY) == journal.position
    for call in ("fdatasync", "fsync"):
        disk.fails(call)
        assert append(journal, 2) == 0
        assert failing(journal)
        disk.works()
    assert len(lines_of(tmp_path)) == 1
    journal.close()


def test_what_could_not_be_cut_off_at_once_is_cut_off_later(tmp_path: Path, disk: Disk) -> None:
    journal = opened(tmp_path)
    append(journal, 1)
    disk.fails("pwrite", "ftruncate")
    assert append(journal, *range(2, 8)) == 0
    (file,) = segments_of(tmp_path)
    assert len(file.read_bytes().splitlines()) > 1
    disk.works()
    journal.confirm()
    journal.close()
    assert_intact(tmp_path, 1)


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_the_disk_is_back_when_a_confirmation_says_so(tmp_path: Path, disk: Disk, fsync: str) -> None:
    journal = opened(tmp_path, fsync=fsync)
    append(journal, 1)
    journal.confirm()
    disk.fails("pwrite")
    assert append(journal, 2) == 0
    journal.confirm()
    assert failing(journal)
    disk.works()
    journal.confirm()
    assert not failing(journal)
    journal.close()
    assert_intact(tmp_path, 1)


def test_a_file_of_unknown_lines_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    (tmp_path / "audit-000000000001.jsonl").write_bytes(b"somebody's")
    assert append(journal, 1) == 0
    assert "nobody knows of" in str(journal.problem)
    assert (tmp_path / "audit-000000000001.jsonl").read_bytes() == b"somebody's"
    shutil.move(tmp_path / "audit-000000000001.jsonl", tmp_path / "aside")
    assert append(journal, 1) == 1
    journal.close()
    assert_intact(tmp_path, 1)


def test_encoding_a_recovery_gives_its_fields_back() -> None:
    recovered = Recovered(time="t", lost_bytes=1, kept=None, lost_records=0, head="ok")
    line, _ = chain.line("recovered", encode(recovered), START, KEY)
    assert b'"kind":"recovered","sequence":1,"time":"t","lost_bytes":1,' in line

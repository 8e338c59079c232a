"""Whatever is done to a log is found."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.audit import chain, head
from headrace.audit.chain import START, Position
from headrace.audit.journal import Entry, Journal
from headrace.audit.record import encode
from headrace.audit.verify import MOST, Report, verify
from headrace.errors import NotFound
from tests.audit.logs import KEY, assert_intact, config, entry, kinds, lines_of, record, segments_of, write

RECORDS = 14


@pytest.fixture(scope="module", params=[KEY, None], ids=["keyed", "no key"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes | None]:
    """A log of several segments, and its key."""
    folder = tmp_path_factory.mktemp("made") / "audit"
    write(folder, map(record, range(RECORDS)), request.param)
    assert len(segments_of(folder)) > 3
    return folder, request.param


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """One to damage: the same each time."""
    write(tmp_path / "audit", map(record, range(RECORDS)))
    return tmp_path / "audit"


def damaged(made: tuple[Path, bytes | None], damage: Callable[[Path], None]) -> Report:
    """What a verification of a damaged copy finds."""
    folder, key = made
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(folder, Path(scratch) / "audit"))
        damage(copy)
        return verify(copy, key)


def changed(file: Path, change: Callable[[list[bytes]], None]) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    change(lines)
    file.write_bytes(b"".join(lines))


def rewrite(folder: Path, lines: list[bytes]) -> None:
    """The same segments with other lines: what each holds follows from how many each held."""
    for file in segments_of(folder):
        count = len(file.read_bytes().splitlines())
        file.write_bytes(b"".join(lines[:count] if file != segments_of(folder)[-1] else lines))
        lines = lines[count:]


def test_an_untouched_log_is_intact(made: tuple[Path, bytes | None]) -> None:
    report = assert_intact(made[0], RECORDS, made[1])
    assert report.segments == len(segments_of(made[0]))
    assert report.last.sequence == RECORDS
    assert (report.unconfirmed, report.losses) == (0, [])


@given(data=st.data())
def test_any_byte_that_changed_is_found(made: tuple[Path, bytes | None], data: st.DataObject) -> None:
    def damage(folder: Path) -> None:
        file = data.draw(st.sampled_from([*segments_of(folder), folder / head.NAME]))
        text = bytearray(file.read_bytes())
        place = data.draw(st.integers(0, len(text) - 1))
        text[place] ^= data.draw(st.integers(1, 255))
        file.write_bytes(text)

    assert not damaged(made, damage).intact


def test_every_byte_of_a_line_and_of_the_head_counts(tmp_path: Path) -> None:
    write(tmp_path, [record(1)])
    for file in (*segments_of(tmp_path), tmp_path / head.NAME):
        before = file.read_bytes()
        for place in range(len(before)):
            for flip in (0x01, 0x07, 0x20):  # 0x20: the other case, 0x07: the other line end
                file.write_bytes(before[:place] + bytes([before[place] ^ flip]) + before[place + 1 :])
                assert not verify(tmp_path, KEY).intact, (file.name, place, flip)
        file.write_bytes(before)
    assert_intact(tmp_path, 1)


@given(data=st.data())
def test_any_line_that_is_dropped_swapped_or_repeated_is_found(
    made: tuple[Path, bytes | None], data: st.DataObject
) -> None:
    def damage(folder: Path) -> None:
        lines = lines_of(folder)
        place = data.draw(st.integers(0, len(lines) - 1))
        other = data.draw(st.integers(0, len(lines) - 1).filter(lambda other: other != place))
        how = data.draw(st.sampled_from(["drop", "swap", "repeat", "move"]))
        if how == "drop":
            del lines[place]
        elif how == "swap":
            lines[place], lines[other] = lines[other], lines[place]
        elif how == "repeat":
            lines.insert(other, lines[place])
        else:
            lines.insert(other, lines.pop(place))
        rewrite(folder, lines)

    assert not damaged(made, damage).intact


@given(data=st.data())
def test_any_file_that_is_cut_off_or_gone_is_found(made: tuple[Path, bytes | None], data: st.DataObject) -> None:
    def damage(folder: Path) -> None:
        file = data.draw(st.sampled_from([*segments_of(folder), folder / head.NAME]))
        length = data.draw(st.none() | st.integers(0, file.stat().st_size - 1))
        if length is None:
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:length])

    assert not damaged(made, damage).intact


@given(data=st.data())
def test_any_number_of_lines_cut_off_the_end_is_found(
    made: tuple[Path, bytes | None], data: st.DataObject
) -> None:
    """Files and all, so that what is left is a good log by itself."""
    left = data.draw(st.integers(0, RECORDS - 1))

    def damage(folder: Path) -> None:
        rest = left
        for file in segments_of(folder):
            lines = file.read_bytes().splitlines(keepends=True)
            file.write_bytes(b"".join(lines[:rest]))
            if not rest:
                file.unlink()
            rest = max(0, rest - len(lines))

    report = damaged(made, damage)
    assert kinds(report) == {"truncated"}
    assert report.lines == left
    assert f"lines {left + 1}" in str(report.findings[0]) or left == RECORDS - 1


def test_findings_name_file_and_line(log: Path) -> None:
    second = segments_of(log)[1]
    first = int(second.stem.removeprefix("audit-"))
    changed(second, lambda lines: lines.__setitem__(1, lines[1].replace(b'"cost":', b'"cost":9')))
    (finding,) = verify(log, KEY).findings
    assert (finding.kind, finding.file, finding.line) == ("changed", second.name, 2)
    assert str(finding) == f"{second.name}:2: changed: does not fit its hash"

    changed(second, lambda lines: lines.__delitem__(1))
    (finding,) = verify(log, KEY).findings
    assert (finding.kind, finding.file, finding.line) == ("dropped", second.name, 2)
    assert f"lines {first + 1} of the chain" in finding.problem


def test_a_repeated_line_and_a_moved_one_are_told_apart(log: Path) -> None:
    first = segments_of(log)[0]
    before = first.read_bytes()
    changed(first, lambda lines: lines.insert(2, lines[1]))
    (finding,) = verify(log, KEY).findings
    assert (finding.kind, finding.line) == ("duplicated", 3)

    first.write_bytes(before)
    changed(first, lambda lines: lines.insert(0, lines.pop(1)))
    assert {(finding.kind, finding.line) for finding in verify(log, KEY).findings} == {
        ("dropped", 1), ("reordered", 2),
    }  # fmt: skip


def test_a_missing_segment_is_named(log: Path) -> None:
    gone = segments_of(log)[1]
    gone.unlink()
    (finding,) = verify(log, KEY).findings
    assert (finding.kind, finding.file) == ("missing", gone.name)


def test_a_segment_under_another_name_is_found(log: Path) -> None:
    last = segments_of(log)[-1]
    last.rename(last.with_name("audit-000000000099.jsonl"))
    assert kinds(verify(log, KEY)) == {"missing"}


def test_several_findings_are_told_not_only_the_first(log: Path) -> None:
    one, two, three, *_ = segments_of(log)
    changed(one, lambda lines: lines.__setitem__(0, b"{}\n"))
    changed(two, lambda lines: lines.__setitem__(0, lines[0].replace(b"tenant-", b"client-")))
    changed(three, lambda lines: lines.__delitem__(1))
    (log / head.NAME).unlink()
    found = [(finding.kind, finding.file, finding.line) for finding in verify(log, KEY).findings]
    assert found == [
        ("head", head.NAME, None),
        ("bad", one.name, 1),
        ("changed", two.name, 1),
        ("dropped", three.name, 2),
    ]


def test_many_findings_are_counted_and_the_first_ones_told(tmp_path: Path) -> None:
    write(tmp_path, map(record, range(MOST + 20)), segment_mb=1)
    (file,) = segments_of(tmp_path)
    file.write_bytes(file.read_bytes().replace(b'"status":200', b'"status":201'))
    report = verify(tmp_path, KEY)
    assert (len(report.findings), report.counts["changed"]) == (MOST, MOST + 20)


@pytest.mark.parametrize("key", [b"another key", None])
def test_a_wrong_key_is_one_finding(log: Path, key: bytes | None) -> None:
    (finding,) = verify(log, key).findings
    assert finding.kind == "key"


def test_one_changed_line_alone_is_not_taken_for_a_wrong_key(tmp_path: Path) -> None:
    write(tmp_path, [record(1)])
    (file,) = segments_of(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"tenant-1", b"tenant-2"))
    assert kinds(verify(tmp_path, KEY)) == {"changed"}


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_line_from_another_log_of_the_same_key_does_not_fit_in(tmp_path: Path, place: int) -> None:
    """It has a good hash and the right number."""
    write(tmp_path / "one", map(record, range(4)), segment_mb=1)
    write(tmp_path / "two", map(record, range(10, 14)), segment_mb=1)
    other = lines_of(tmp_path / "two")[place]
    changed(segments_of(tmp_path / "one")[0], lambda lines: lines.__setitem__(place, other))
    found = [(finding.kind, finding.line) for finding in verify(tmp_path / "one", KEY).findings]
    expected = {
        0: [("unlinked", 2)],
        3: [("unlinked", 4), ("head", 4)],
    }
    assert found == expected.get(place, [("unlinked", place + 1), ("unlinked", place + 2)])


def test_a_first_line_that_follows_another_is_not_the_first(tmp_path: Path) -> None:
    write(tmp_path, [])
    line, _ = chain.line("request", encode(record(1)), Position(0, "f" * 64), KEY)
    (tmp_path / "audit-000000000001.jsonl").write_bytes(line)
    assert kinds(verify(tmp_path, KEY)) == {"unlinked"}


def test_without_a_key_an_invented_end_shows_only_against_a_noted_position(tmp_path: Path) -> None:
    """The limit that the docstring of `verify` tells of."""
    write(tmp_path, map(record, range(3)), None, segment_mb=1)
    (file,) = segments_of(tmp_path)
    noted = verify(tmp_path, None).last

    def invent(lines: list[bytes]) -> None:
        last = chain.read(lines[-2], None).position
        lines[-1], forged = chain.line("request", encode(record(9)), last, None)
        head.write(tmp_path, forged, None, durable=False)

    changed(file, invent)
    assert_intact(tmp_path, 3, None)
    assert kinds(verify(tmp_path, None, noted=[noted])) == {"head"}


def test_an_older_state_of_the_log_shows_only_against_a_noted_position(log: Path, tmp_path: Path) -> None:
    before = Path(shutil.copytree(log, tmp_path / "before"))
    write(log, [record(20)])
    noted = verify(log, KEY).last
    assert_intact(before, RECORDS)
    report = verify(before, KEY, noted=[noted])
    assert kinds(report) == {"truncated"}
    assert "noted elsewhere" in str(report.findings[0])
    assert verify(log, KEY, noted=[noted]).intact


def test_a_log_whose_older_segments_were_moved_away_says_where_it_begins(log: Path) -> None:
    gone, second, *_ = segments_of(log)
    gone.unlink()
    first = int(second.stem.removeprefix("audit-"))
    assert kinds(verify(log, KEY)) == {"missing"}
    assert verify(log, KEY, first=first, noted=[Position(1, START.hash)]).intact
    assert not verify(log, KEY, first=first - 1).intact


def test_fields_of_later_versions_do_no_harm(tmp_path: Path) -> None:
    journal = Journal(tmp_path, KEY, config())
    usual = entry(record(1))
    fields = usual.fields + b',"sustainability":{"grams":3.5},"region":"eu"'
    assert journal.append([Entry(fields, usual.day)]) == 1
    journal.close()
    write(tmp_path, [record(2)])
    assert_intact(tmp_path, 2)


def test_garbage_after_the_last_line_is_found_unless_it_is_being_written(log: Path) -> None:
    with segments_of(log)[-1].open("ab") as file:
        file.write(b'{"schema":1,')
    assert kinds(verify(log, KEY)) == {"truncated"}
    journal = Journal(log, KEY, config())
    with segments_of(log)[-1].open("ab") as file:
        file.write(b'{"schema":1,')
    assert verify(log, KEY).intact
    journal.close()


def test_a_line_without_end_is_read_in_pieces(log: Path) -> None:
    with segments_of(log)[1].open("ab") as file:
        for _ in range(40):
            file.write(b"x" * 1_000_000)
    report = verify(log, KEY)
    assert report.counts == {"bad": 1, "truncated": 1}
    assert report.lines == RECORDS


def test_a_log_in_use_can_be_verified(tmp_path: Path) -> None:
    journal = Journal(tmp_path, KEY, config())
    journal.append([])
    for number in range(6):
        journal.append([entry(record(number))])
        report = assert_intact(tmp_path, number + 1)
        assert report.unconfirmed == number + 1 - head_of(tmp_path)
    journal.close()


def head_of(folder: Path) -> int:
    confirmed = head.read(folder, KEY)
    assert confirmed is not None
    return confirmed.sequence


def test_no_folder_is_an_error_and_an_empty_one_a_finding(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such folder"):
        verify(tmp_path / "none", KEY)
    assert kinds(verify(tmp_path, KEY)) == {"head"}

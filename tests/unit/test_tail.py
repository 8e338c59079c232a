"""`headrace logs -f` shows every line once, whenever the log is rotated."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.errors import HeadraceError
from headrace.serving import log_file
from headrace.tail import tail

Step = Callable[[], None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_text("one\ntwo\nthree\n")
    return path


@pytest.fixture
def during_pauses(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What happens while the reader sleeps, one step a pause."""

    def plan(*steps: Step) -> None:
        left = iter(steps)
        monkeypatch.setattr(time, "sleep", lambda _: next(left)())

    return plan


def _append(file: Path, text: str) -> None:
    with file.open("a") as log:
        log.write(text)


def _rotate(file: Path, text: str) -> None:
    file.rename(file.with_suffix(".1"))
    file.write_text(text)


def _take(lines: Iterator[str], count: int) -> list[str]:
    return list(itertools.islice(lines, count))


@pytest.mark.parametrize(("lines", "expected"), [(2, ["two", "three"]), (0, []), (9, ["one", "two", "three"])])
def test_the_last_lines(file: Path, lines: int, expected: list[str]) -> None:
    assert list(tail(file, lines, follow=False)) == expected


def test_new_lines_follow(file: Path, during_pauses: Callable[..., None]) -> None:
    during_pauses(lambda: _append(file, "four\nfi"), lambda: None, lambda: _append(file, "ve\n"))
    assert _take(tail(file, 1, follow=True), 3) == ["three", "four", "five"]


def test_lines_written_just_before_a_rotation_are_not_lost(file: Path, during_pauses: Callable[..., None]) -> None:
    def late_lines_then_rotation() -> None:
        _append(file, "four\nfive\n")
        _rotate(file, "six\n")

    during_pauses(lambda: None, late_lines_then_rotation, lambda: None, lambda: _append(file, "seven\n"))
    assert _take(tail(file, 1, follow=True), 5) == ["three", "four", "five", "six", "seven"]


def test_a_moment_without_a_file_is_waited_out(file: Path, during_pauses: Callable[..., None]) -> None:
    def move_away() -> None:
        file.rename(file.with_suffix(".1"))

    during_pauses(move_away, lambda: _append(file, "four\n"), lambda: None)
    assert _take(tail(file, 1, follow=True), 2) == ["three", "four"]


def test_no_line_of_the_stacks_own_log_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, during_pauses: Callable[..., None]
) -> None:
    monkeypatch.setattr(log_file, "_ROTATE_BYTES", 100)
    log = log_file.LogFile(tmp_path / "log")
    numbers = itertools.count()

    def write() -> None:
        for _ in range(5):
            log.write(f"line {next(numbers)}")

    write()
    during_pauses(*[write] * 40)
    assert _take(tail(tmp_path / "log", 9, follow=True), 150) == [f"line {n}" for n in range(150)]
    assert (tmp_path / "log.3").exists()
    log.close()


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HeadraceError, match=r"log: No such file or directory; has this stack ever run\?"):
        next(tail(tmp_path / "log", 1, follow=False))

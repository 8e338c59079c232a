"""The Makefile in a folder of its own: what its targets do before set-up, and what they leave."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from headrace import paths

NOTHING_RUNS = "headrace: not set up, so nothing runs; 'make up' sets up and starts\n"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone before set-up. A set-up would fail: it has no build/venv.sh."""
    shutil.copy(paths.PROJECT / "Makefile", tmp_path)
    return tmp_path


def make(clone: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    outside = {name: value for name, value in os.environ.items() if name not in ("HEADRACE_HOME", "MAKEFLAGS")}
    return subprocess.run(
        ["make", *arguments], cwd=clone, env=outside | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def calls(clone: Path) -> Path:
    """What `.venv/bin/headrace` was called with, and whether `.headrace` was there; it fails on FAIL=1."""
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".headrace").mkdir()
    log = clone / "calls"
    log.touch()
    script = f'#!/bin/sh\n[ -d .headrace ] && echo "$* ${{HEADRACE_HOME:-default}}" >>{log}\nexit ${{FAIL:-0}}\n'
    for name in ("headrace", "python"):
        (clone / ".venv" / "bin" / name).write_text(script)
        (clone / ".venv" / "bin" / name).chmod(0o755)
    return log


def test_help_lists_every_target_in_one_line(clone: Path) -> None:
    done = make(clone)
    targets = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")]
    assert {"setup", "serve", "up", "down", "status", "ask", "test", "types", "distclean"} <= set(targets)
    assert all(len(line) < 120 for line in done.stdout.splitlines())


def test_before_set_up_nothing_runs(clone: Path) -> None:
    status, down = make(clone, "status"), make(clone, "down")
    assert (status.stdout, status.returncode != 0) == (NOTHING_RUNS, True)
    assert "Error 3" in status.stderr
    assert (down.stdout, down.returncode) == (NOTHING_RUNS, 0)
    assert [path.name for path in clone.iterdir()] == ["Makefile"]


def test_before_set_up_nobody_answers(clone: Path) -> None:
    done = make(clone, "ask", "Q=What?")
    assert done.returncode != 0
    assert done.stderr.startswith(NOTHING_RUNS)
    assert make(clone, "ask").stderr.startswith("headrace: no question")


@pytest.mark.usefixtures("calls")
def test_a_question_reaches_the_command_as_it_is(clone: Path) -> None:
    assert make(clone, "ask", 'Q=--help $HOME `id` "it\'s"').returncode == 0
    assert (clone / "calls").read_text() == 'ask -- --help $HOME `id` "it\'s" default\n'


def test_distclean_stops_every_stack_first(clone: Path, calls: Path) -> None:
    assert make(clone, "distclean").returncode == 0
    assert calls.read_text() == "down --all default\n"
    assert sorted(path.name for path in clone.iterdir()) == ["Makefile", "calls"]


def test_distclean_stops_the_stacks_of_both_homes(clone: Path, calls: Path) -> None:
    assert make(clone, "distclean", HEADRACE_HOME="/elsewhere").returncode == 0
    assert calls.read_text() == "down --all /elsewhere\ndown --all default\n"


@pytest.mark.usefixtures("calls")
def test_distclean_leaves_what_it_cannot_stop(clone: Path) -> None:
    assert make(clone, "distclean", FAIL="1").returncode != 0
    assert (clone / ".headrace").is_dir()


def test_distclean_removes_a_broken_environment(clone: Path, calls: Path) -> None:
    python = clone / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/no/such/python")
    assert make(clone, "distclean").returncode == 0
    assert (calls.read_text(), (clone / ".venv").exists()) == ("", False)

"""Whatever happens to a set-up, what it leaves is whole or absent, and the next one brings the rest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace import paths
from headrace.build import parts

Program = Callable[..., list[str]]
Start = Callable[[list[str]], subprocess.Popen[str]]


@pytest.fixture
def program(
    home: Path,
    wheel: Path,
    pin: Callable[..., parts.Part],
    entry: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Program:
    """The command line of the toy set-up."""
    pin(entry)
    recipe = {
        "about": "for tests",
        "licence": "Apache-2.0",
        "source": {
            "part": "toy",
            "file": "weights.gguf",
            "sha256": hashlib.sha256(b"weights").hexdigest(),
        },
        "eos_token_ids": [2],
        "known_prompt": {"question": "?", "tokens": 1, "answer_contains": "!"},
    }
    recipes = tmp_path / "models.yaml"
    recipes.write_text(yaml.safe_dump({paths.DEFAULT_MODEL: recipe}), encoding="utf-8")
    monkeypatch.setenv("PINS", str(parts.PINS))
    monkeypatch.setenv("RECIPES", str(recipes))
    script = str(Path(__file__).with_name("toy_setup.py"))
    return lambda mode, *more: [sys.executable, script, mode, str(wheel), *map(str, more)]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start programs that do not outlive the test."""
    with contextlib.ExitStack() as started:

        def begin(command: list[str]) -> subprocess.Popen[str]:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield begin


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_killed_anywhere_it_leaves_nothing_half_done(program: Program) -> None:
    done = _run(program("kill"))
    runs: list[dict[str, Any]] = [
        json.loads(line.removeprefix("killed ")) for line in done.stdout.splitlines() if line.startswith("killed ")
    ]
    *killed, finished = runs
    assert len(killed) > 60
    assert finished["exit"] == 0
    for number, run in enumerate(killed):
        assert run["exit"] == -9, number
        assert set(run["after"]) <= {"whole", "absent"}, number
        assert run["again"] == 0, number
        assert run["at last"] == ["whole", "whole"], number
        assert run["left"] == [], number
    assert {tuple(run["after"]) for run in killed} == {
        ("absent", "absent"),
        ("whole", "absent"),
        ("whole", "whole"),
    }


def test_a_second_run_does_nothing(program: Program, home: Path) -> None:
    first = _run(program("run"))
    times = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.name != "build.lock"}
    second = _run(program("run"))
    assert "downloads" in first.stdout
    assert (second.stdout, second.stderr) == ("", "")
    assert times == {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.name != "build.lock"}


def test_leftovers_go_even_when_all_is_ready(program: Program, home: Path) -> None:
    _run(program("run"))
    for place in ("parts", "models"):
        (home / place / ".tmp-left" / "replaced").mkdir(parents=True)
    _run(program("run"))
    assert list(home.rglob(".tmp-*")) == []


def test_two_set_ups_at_once_fetch_once(program: Program, start: Start, tmp_path: Path) -> None:
    fifo = tmp_path / "go on"
    os.mkfifo(fifo)
    first = start(program("hold", fifo))
    assert first.stdout is not None
    assert first.stdout.readline() == "downloads\n"
    second = start(program("run"))
    assert second.stderr is not None
    assert second.stderr.readline() == "→ another set-up is at work; waiting\n"
    fifo.write_text("go on")
    assert first.wait() == 0
    output, complaints = second.communicate()
    assert (second.returncode, output, complaints) == (0, "", "")


def test_a_killed_holder_frees_the_lock(program: Program, start: Start, tmp_path: Path) -> None:
    fifo = tmp_path / "never"
    os.mkfifo(fifo)
    first = start(program("hold", fifo))
    assert first.stdout is not None
    assert first.stdout.readline() == "downloads\n"
    first.kill()
    first.wait()
    assert "waiting" not in _run(program("run")).stderr


def test_an_unwritable_home_is_said_in_one_line(program: Program, home: Path) -> None:
    home.write_text("a file where a folder must be")
    done = subprocess.run(program("run"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"headrace: {home}: File exists\n"


def test_a_wrong_source_is_refused(program: Program, tmp_path: Path) -> None:
    recipes = tmp_path / "models.yaml"
    recipe = yaml.safe_load(recipes.read_text())
    recipe[paths.DEFAULT_MODEL]["source"]["sha256"] = "0" * 64
    recipes.write_text(yaml.safe_dump(recipe))
    done = subprocess.run(program("run"), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    complaint = done.stderr.splitlines()[-1]
    assert complaint.startswith("headrace: ")
    assert "weights.gguf: expected sha256 " + "0" * 64 in complaint

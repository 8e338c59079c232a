"""`headrace down --all` stops every stack of this home, whatever ports the environment names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace import paths
from tests.stack import Stack


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, so that no other stack of this machine is stopped."""
    folder = tmp_path / "home"
    folder.mkdir()
    for built in (paths.parts(), paths.default_model().parent):
        (folder / built.name).symlink_to(built)
    monkeypatch.setenv("HEADRACE_HOME", str(folder))
    return folder


@pytest.mark.usefixtures("home")
def test_every_stack_is_stopped() -> None:
    one, other = [Stack(HEADRACE_ENGINE__NAME="mock") for _ in range(2)]
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Stack.up, (one, other)))
        never_started = Stack()
        done = never_started.headrace("down", "--all")
        ports = sorted((one.http_port, other.http_port))
        assert done.stdout.splitlines() == [f"stopped the stack on port {port}" for port in ports]
        assert done.returncode == 0
        assert [stack.processes() + stack.segments() for stack in (one, other)] == [[], []]
        assert never_started.headrace("down", "--all").stdout == ""
    finally:
        one.headrace("down", "--now")
        other.headrace("down", "--now")

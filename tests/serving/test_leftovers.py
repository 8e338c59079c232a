from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.serving import leftovers, shared_memory
from headrace.serving.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "8000")
    folder.create()
    return folder


@pytest.fixture
def stale(folder: RunFolder, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], ...]]:
    """A worker of this folder, one of another folder, and another program with this folder's environment."""
    script = tmp_path / "headrace.worker"
    script.write_text("import time; time.sleep(60)", encoding="ascii")
    ours = dict(os.environ, HEADRACE_SOCKET=str(folder.socket))
    other = dict(os.environ, HEADRACE_SOCKET="/elsewhere/engine.sock")
    processes = (
        subprocess.Popen([sys.executable, str(script)], env=ours),
        subprocess.Popen([sys.executable, str(script)], env=other),
        subprocess.Popen(["sleep", "60"], env=ours),
    )
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_ends_only_the_processes_of_this_folder(
    folder: RunFolder, stale: tuple[subprocess.Popen[bytes], ...]
) -> None:
    assert leftovers.remove(folder).processes == 1
    assert [process.poll() is None for process in stale] == [False, True, True]


def test_removes_only_the_segments_of_this_folder(folder: RunFolder) -> None:
    ours = shared_memory.SHARED_MEMORY / f"{folder.shared_memory_prefix}1"
    other = shared_memory.SHARED_MEMORY / f"headrace-test-{os.getpid()}"
    for segment in (ours, other):
        segment.touch()
    try:
        assert leftovers.remove(folder).segments == 1
        assert not ours.exists()
        assert other.exists()
    finally:
        other.unlink()


def test_removes_a_stale_socket_and_status(folder: RunFolder) -> None:
    for file in (folder.socket, folder.status_file, folder.stop_file):
        file.touch()
    assert leftovers.remove(folder) == leftovers.Removed(0, 0)
    assert not folder.socket.exists()
    assert folder.read_status() is None

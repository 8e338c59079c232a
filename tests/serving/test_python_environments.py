from __future__ import annotations

import mmap
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from headrace.serving import python_environments


@pytest.fixture(autouse=True)
def no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real servers of this machine do not count, only this process and its children do."""

    def ours() -> Iterator[psutil.Process]:
        me = psutil.Process()
        yield from (me, *me.children())

    monkeypatch.setattr(psutil, "process_iter", ours)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("python_env_aB3xYz", "python_env_full00", "python_env_longer_name", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "python_env_full00" / "0").mkdir()
    (tmp_path / "python_env_linked").symlink_to(tmp_path / "other")
    return tmp_path


def left(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_only_empty_ones_go(folder: Path) -> None:
    before = left(folder)
    assert python_environments.sweep(folder) == 1
    assert before - left(folder) == {"python_env_aB3xYz"}


def test_none_goes_while_a_process_has_the_backend_loaded(folder: Path, tmp_path: Path) -> None:
    library = tmp_path / "libtriton_python.so"
    library.write_bytes(bytes(mmap.PAGESIZE))
    code = f"""if True:
        import mmap
        file = open({str(library)!r}, "r+b")
        mapped = mmap.mmap(file.fileno(), 0)
        print("up", flush=True)
        input()"""
    server = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "up\n"
    try:
        assert python_environments.sweep(folder) == 0
        assert "python_env_aB3xYz" in left(folder)
    finally:
        server.kill()
        server.communicate()
    assert python_environments.sweep(folder) == 1

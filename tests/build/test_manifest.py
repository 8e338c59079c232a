from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.build import manifest

CONTENT = bytes(range(256)) * 4


def _built(folder: Path) -> Path:
    file = folder / "weights.bin"
    file.write_bytes(CONTENT)
    manifest.write(folder, "recipe", {})
    return file


@given(position=st.integers(0, len(CONTENT) - 1), mask=st.integers(1, 255), keep_time=st.booleans())
def test_every_flipped_byte_is_found(position: int, mask: int, keep_time: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        file = _built(Path(name))
        stat = file.stat()
        content = bytearray(CONTENT)
        content[position] ^= mask
        file.write_bytes(content)
        times = (stat.st_atime_ns, stat.st_mtime_ns if keep_time else stat.st_mtime_ns + 1)
        os.utime(file, ns=times)
        with pytest.raises(manifest.Incomplete, match=r"weights\.bin was altered"):
            manifest.verify(Path(name), deep=keep_time)  # without the file's time, only a deep look can tell


@given(size=st.integers(0, 2 * len(CONTENT)).filter(lambda size: size != len(CONTENT)))
def test_every_other_size_is_found(size: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        os.truncate(_built(Path(name)), size)
        with pytest.raises(manifest.Incomplete, match=rf"has {size} bytes where {len(CONTENT)} were built"):
            manifest.verify(Path(name))


def test_the_recipe_counts_only_when_asked_for(tmp_path: Path) -> None:
    _built(tmp_path)
    assert manifest.verify(tmp_path).recipe == "recipe"
    with pytest.raises(manifest.Incomplete, match="another recipe"):
        manifest.verify(tmp_path, "newer recipe")


def test_an_absent_folder_is_not_finished(tmp_path: Path) -> None:
    with pytest.raises(manifest.Incomplete, match=r"absent is not there or not finished; run `make setup`"):
        manifest.verify(tmp_path / "absent")

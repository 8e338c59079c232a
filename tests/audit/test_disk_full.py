"""A disk that is full, a folder that is gone: appends are refused, and the log goes on afterwards, whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace import paths
from headrace.audit.errors import AuditUnavailable
from headrace.audit.query import query
from headrace.audit.writer import AuditLog
from tests.audit.full_disk import GROUP
from tests.audit.logs import KEY, assert_intact, config, record

MODES = ["always", "interval", "never"]
NAMESPACE = ["unshare", "--map-root-user", "--mount"]


def run(folder: Path, fsync: str, how: str, *, before: tuple[str, ...] = ()) -> dict[str, Any]:
    command = [*before, sys.executable, "-m", "tests.audit.full_disk", str(folder), fsync, how]
    done = subprocess.run(command, cwd=paths.PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def check(said: dict[str, Any], folder: Path, problem: str) -> None:
    written, refused = said["written"], said["refused"]
    assert sorted([*written, *refused]) == list(range(12 * GROUP))
    assert set(range(GROUP)) | set(range(11 * GROUP, 12 * GROUP)) <= set(written)
    assert refused
    assert all(problem in found for found in (*said["problems"], said["full"]))
    assert said["after"] is None
    assert [int(line.request_id.removeprefix("request-")) for line in query(folder)] == written
    assert_intact(folder, len(written))


@pytest.mark.parametrize("fsync", MODES)
def test_a_file_that_may_not_grow_refuses_records_and_breaks_no_chain(tmp_path: Path, fsync: str) -> None:
    check(run(tmp_path / "audit", fsync, "limit"), tmp_path / "audit", "File too large")


@pytest.mark.parametrize("fsync", MODES)
def test_a_full_file_system_refuses_records_and_breaks_no_chain(tmp_path: Path, fsync: str) -> None:
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system of its own")
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=512k tmpfs "$0" && "$@" && cp -r "$0/audit" "$0/../copy"'
    said = run(disk / "audit", fsync, "filler", before=(*NAMESPACE, "sh", "-c", script, str(disk)))
    check(said, tmp_path / "copy", "No space left on device")


@pytest.fixture(params=["gone", "read-only"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "read-only" and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder = tmp_path / request.param
    yield folder
    folder.chmod(0o700)


def take_away(folder: Path) -> None:
    if folder.name == "gone":
        folder.rename(folder.with_name("elsewhere"))
    else:
        folder.chmod(0o500)


def give_back(folder: Path) -> None:
    if folder.name == "gone":
        folder.with_name("elsewhere").rename(folder)
    else:
        folder.chmod(0o700)


async def test_a_folder_that_cannot_be_written_refuses_records_until_it_can(folder: Path) -> None:
    log = await AuditLog.open(config(fsync="always", interval_ms=1), folder, KEY)
    await log.append(record(1))
    take_away(folder)
    for number in range(8):
        with pytest.raises(AuditUnavailable, match=r"No such file|Permission denied"):
            await log.append(record(number))
    give_back(folder)
    for number in range(8):
        assert await log.append(record(number)) == number + 2
    await log.close()
    assert_intact(folder, 9)

"""kill -9 at any moment: what was appended is there, and the chain goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headrace import paths
from headrace.audit.journal import Journal
from headrace.audit.query import query
from headrace.audit.verify import verify
from headrace.errors import StartupError
from tests.audit.logs import KEY, config, entry, record, segments_of


def killed(folder: Path, fsync: str, after: int) -> dict[int, str]:
    """Number → request of all whose append returned before the writer was killed."""
    command = [sys.executable, "-m", "tests.audit.busy_writer", str(folder), fsync]
    with subprocess.Popen(command, cwd=paths.PROJECT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(after)]
        if after > 50:
            with pytest.raises(StartupError, match="another process"):
                Journal(folder, KEY, config())
        writer.kill()
        lines += writer.stdout.readlines()
    assert writer.returncode == -9
    whole = [line.split() for line in lines if line.endswith("\n")]
    return {int(number): request for number, request in whole}


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_what_was_appended_before_a_kill_is_there_and_the_chain_goes_on(tmp_path: Path, fsync: str) -> None:
    returned: dict[int, str] = {}
    lost = 0
    for round_ in range(2):
        returned |= killed(tmp_path, fsync, after=30 + 40 * round_)
        torn = len(segments_of(tmp_path)[-1].read_bytes().rpartition(b"\n")[2])
        lost += bool(torn)
        journal = Journal(tmp_path, KEY, config())
        if torn:
            assert verify(tmp_path, KEY).losses[-1].recovered.lost_bytes == torn
        journal.append([entry(record(0))])
        journal.close()
        report = verify(tmp_path, KEY)
        assert report.intact, [str(finding) for finding in report.findings]
        assert len(report.losses) == lost
    assert len(returned) >= 100
    there = {line.sequence: line.request_id for line in query(tmp_path)}
    assert returned.items() <= there.items()
    assert len(segments_of(tmp_path)) > 2

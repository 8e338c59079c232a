"""build/detoxify.sh: what it adds to .venv is added once, and what stops it is said in a line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from headrace import paths

PYTHON = """\
#!/bin/sh
echo "$*" >>pip.log
[ -z "${SAYS:-}" ] || { echo "$SAYS" >&2; exit 1; }
"""
_PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files that the script reads, and a Python that writes down how it is called."""
    (tmp_path / "build").mkdir()
    for script in ("set-up.sh", "detoxify.sh"):
        shutil.copy(paths.PROJECT / "build" / script, tmp_path / "build")
    shutil.copy(paths.PROJECT / "requirements-detoxify.lock", tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    return tmp_path


def run(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(project / "build" / "detoxify.sh")]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def calls(project: Path) -> int:
    log = project / "pip.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_it_is_installed_once_from_the_lock_alone(project: Path) -> None:
    assert run(project).returncode == 0
    assert {"--no-deps", "--require-hashes", "requirements-detoxify.lock"} <= set(
        (project / "pip.log").read_text().split()
    )
    again = run(project)
    assert (again.returncode, again.stdout, again.stderr, calls(project)) == (0, "", "", 1)


def test_another_lock_is_installed(project: Path) -> None:
    run(project)
    with (project / "requirements-detoxify.lock").open("a") as lock:
        lock.write("# newer\n")
    assert (run(project).returncode, calls(project)) == (0, 2)


def test_a_failed_install_is_not_trusted(project: Path) -> None:
    failed = run(project, SAYS="ERROR: no network")
    assert (failed.returncode, "no network" in failed.stderr) == (1, True)
    assert (run(project).returncode, calls(project)) == (0, 2)


def test_where_pip_finds_no_torch_for_the_cpu_is_said_what_to_do(project: Path) -> None:
    failed = run(project, SAYS="ERROR: No matching distribution found for torch==2.13.0+cpu")
    assert failed.stderr.startswith("headrace: pip finds no torch for the CPU; name a folder or an index")
    assert failed.stderr.count("\n") == 1


def test_before_set_up_it_says_so(project: Path) -> None:
    shutil.rmtree(project / ".venv")
    assert run(project).stderr == "headrace: no .venv; run make setup\n"


def test_the_lock_changes_no_version_and_brings_no_cuda() -> None:
    added = dict(_PIN.findall((paths.PROJECT / "requirements-detoxify.lock").read_text()))
    there = dict(_PIN.findall((paths.PROJECT / "requirements.lock").read_text()))
    assert added.keys().isdisjoint(there)
    assert added["torch"].endswith("+cpu")
    assert not [name for name in added if name.startswith(("nvidia", "cuda", "triton"))]
    project = tomllib.loads((paths.PROJECT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[=<>]", line)[0] for line in project["optional-dependencies"]["detoxify"]}
    assert wanted <= added.keys()

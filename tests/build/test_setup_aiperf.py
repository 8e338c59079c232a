"""build/aiperf.sh: aiperf is installed once, in an environment of its own, and what stops it is said."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from headrace import paths

UV = """\
#!/bin/sh
echo "$*" >>uv.log
[ "$1" = venv ] && for home; do :; done && mkdir -p "$home"
[ -z "${SAYS:-}" ] || { echo "$SAYS" >&2; exit 1; }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files that the script reads, and a uv that writes down how it is called."""
    (tmp_path / "build").mkdir()
    for script in ("set-up.sh", "aiperf.sh"):
        shutil.copy(paths.PROJECT / "build" / script, tmp_path / "build")
    shutil.copy(paths.PROJECT / "requirements-aiperf.lock", tmp_path)
    program = tmp_path / ".venv" / "bin" / "uv"
    program.parent.mkdir(parents=True)
    program.write_text(UV)
    program.chmod(0o755)
    return tmp_path


def run(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    outside = {name: value for name, value in os.environ.items() if name != "HEADRACE_HOME"}
    command = [str(project / "build" / "aiperf.sh")]
    return subprocess.run(command, env=outside | environment, capture_output=True, text=True, check=False)


def calls(project: Path) -> list[str]:
    log = project / "uv.log"
    return log.read_text().splitlines() if log.exists() else []


def test_it_is_installed_once_from_the_lock_alone(project: Path) -> None:
    assert run(project).returncode == 0
    venv, install = calls(project)
    assert venv.startswith("venv ")
    assert venv.endswith(" .headrace/aiperf")
    assert {"--no-deps", "--require-hashes", "requirements-aiperf.lock"} <= set(install.split())
    again = run(project)
    assert (again.returncode, again.stdout, again.stderr, len(calls(project))) == (0, "", "", 2)


def test_it_lies_where_the_project_s_things_lie(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    assert run(project, HEADRACE_HOME=str(home)).returncode == 0
    assert (home / "aiperf").is_dir()


def test_another_lock_is_installed_anew(project: Path) -> None:
    run(project)
    left = project / ".headrace" / "aiperf" / "left"
    left.touch()
    with (project / "requirements-aiperf.lock").open("a") as lock:
        lock.write("# newer\n")
    assert (run(project).returncode, len(calls(project)), left.exists()) == (0, 4, False)


def test_a_failed_install_is_not_trusted(project: Path) -> None:
    failed = run(project, SAYS="error: no network")
    assert (failed.returncode, "error: no network" in failed.stderr) == (1, True)
    assert (run(project).returncode, len(calls(project))) == (0, 3)


def test_before_set_up_it_says_so(project: Path) -> None:
    shutil.rmtree(project / ".venv")
    assert run(project).stderr == "headrace: no .venv; run make setup\n"


def test_the_lock_is_of_the_version_that_is_wanted() -> None:
    wanted = (paths.PROJECT / "build" / "aiperf.in").read_text("utf-8").split()
    lock = (paths.PROJECT / "requirements-aiperf.lock").read_text("utf-8")
    pins = re.findall(r"^[a-z0-9._-]+==\S+", lock, re.MULTILINE)
    assert set(wanted) <= set(pins)
    assert lock.count("--hash=sha256:") >= len(pins)

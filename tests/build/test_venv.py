"""build/venv.sh: a virtual environment is either whole or made anew."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from headrace import paths

PYTHON = Path(__file__).with_name("fake_python.sh")


class Project:
    """A copy of the files that the script reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "build").mkdir()
        for script in ("set-up.sh", "venv.sh"):
            shutil.copy(paths.PROJECT / "build" / script, folder / "build")
        for name in ("requirements.lock", "pyproject.toml"):
            shutil.copy(paths.PROJECT / name, folder)

    def run(self, *python: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.folder / "build" / "venv.sh"), *(python or [str(PYTHON)])]
        return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)

    def pip_calls(self) -> list[str]:
        log = self.folder / "pip.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return ["packages" if "--require-hashes" in line else "project" for line in lines]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_it_is_made_once(project: Project) -> None:
    assert project.run().returncode == 0
    assert project.pip_calls() == ["packages", "project"]
    again = project.run()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert project.pip_calls() == []


@pytest.mark.parametrize(
    ("killed_at", "then"), [("1", ["packages", "project"]), ("2", ["project"])], ids=["packages", "project"]
)
def test_a_killed_run_is_not_trusted(project: Project, killed_at: str, then: list[str]) -> None:
    assert project.run(KILL=killed_at).returncode == -9
    project.pip_calls()
    (project.folder / ".venv" / "half-installed").touch()
    assert project.run().returncode == 0
    assert project.pip_calls() == then
    assert (project.folder / ".venv" / "half-installed").exists() == (killed_at == "2")


def test_a_failed_pip_is_not_trusted(project: Project) -> None:
    failed = project.run(FAIL="1")
    assert failed.returncode != 0
    assert "no network" in failed.stderr
    project.pip_calls()
    assert project.run().returncode == 0
    assert project.pip_calls() == ["packages", "project"]


def test_an_interrupted_run_says_so_and_keeps_its_scratch_to_itself(project: Project) -> None:
    command = [str(project.folder / "build" / "venv.sh"), str(PYTHON)]
    process = subprocess.Popen(
        command, env=os.environ | {"SLEEP": "1"}, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    scratch = project.folder / ".venv" / "tmp" / "scratch"
    while not scratch.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (130, "\nheadrace: set-up interrupted; run it again to go on\n")
    project.pip_calls()
    assert project.run().returncode == 0
    assert project.pip_calls() == ["packages", "project"]
    assert not scratch.exists()


def test_another_lock_or_python_makes_it_anew(project: Project) -> None:
    project.run()
    project.pip_calls()
    with (project.folder / "requirements.lock").open("a") as lock:
        lock.write("# newer\n")
    project.run()
    assert project.pip_calls() == ["packages", "project"]
    project.run(SAYS="3.12.1 another")
    assert project.pip_calls() == ["packages", "project"]


def test_another_pyproject_installs_only_the_project(project: Project) -> None:
    project.run()
    project.pip_calls()
    with (project.folder / "pyproject.toml").open("a") as file:
        file.write("# newer\n")
    project.run()
    assert project.pip_calls() == ["project"]


def test_a_python_that_went_away_is_noticed(project: Project) -> None:
    project.run()
    project.pip_calls()
    python = project.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/no/such/python")
    project.run()
    assert project.pip_calls() == ["packages", "project"]


def test_without_a_name_the_python_it_has_is_kept(project: Project) -> None:
    project.run()
    project.pip_calls()
    python = project.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(PYTHON)
    assert project.run("").returncode == 0
    assert project.pip_calls() == []


def test_an_absent_python_is_named(project: Project) -> None:
    done = project.run("python3.99")
    assert done.returncode == 1
    assert done.stderr.startswith("headrace: no 'python3.99' on this machine; install Python 3.11")
    assert done.stderr.count("\n") == 1


def test_an_unfit_python_says_why(project: Project) -> None:
    done = project.run(UNFIT="1", SAYS="headrace: it is too old")
    assert (done.returncode, done.stderr) == (1, "headrace: it is too old\n")
    assert not (project.folder / ".venv").exists()


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false"])
def test_what_is_no_python_is_named(project: Project, program: str) -> None:
    done = project.run(program)
    assert done.returncode == 1
    assert done.stderr.startswith(f"headrace: '{program}' is not Python 3.11 or 3.12")

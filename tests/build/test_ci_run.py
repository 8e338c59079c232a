""".ci/run: which Python it installs where there is none, on the distributions that it knows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from headrace import paths

PACKAGES = "python{0} python{0}-venv libpython{0}"


class Machine:
    """A folder of programs, the only ones that the script finds. They write down how they are called."""

    def __init__(self, folder: Path) -> None:
        self.project, self.programs = folder / "project", folder / "bin"
        (self.project / ".ci").mkdir(parents=True)
        self.programs.mkdir()
        shutil.copy(paths.PROJECT / ".ci" / "run", self.project / ".ci")
        for name in ("bash", "dirname", "cat"):
            (self.programs / name).symlink_to(shutil.which(name) or "")
        self.add("make")
        self.add("flock")
        self.add("redis-server")
        self.add("chromium")
        self.add("id", "echo 0")
        self.add("apt-get")
        self.add("apt-cache", "exit 100")

    def add(self, name: str, then: str = "") -> None:
        program = self.programs / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.project}/calls"\n{then}\n')
        program.chmod(0o755)

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.project / ".ci" / "run"],
            env={"PATH": str(self.programs)} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def installed(self) -> str | None:
        for line in (self.project / "calls").read_text().splitlines():
            if line.startswith("apt-get install "):
                return line.partition("--no-install-recommends ")[2]
        return None

    def made(self) -> list[str]:
        lines = (self.project / "calls").read_text().splitlines()
        return [line.removeprefix("make ") for line in lines if line.startswith("make ")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("version", ["3.11", "3.12"])
def test_a_python_that_is_there_and_fit_is_enough(machine: Machine, version: str) -> None:
    machine.add(f"python{version}")
    assert machine.run().returncode == 0
    assert machine.installed() is None
    assert machine.made() == ["setup", "setup-detoxify", "lint", "types", "test"]


@pytest.mark.parametrize("version", ["3.11", "3.12"])
def test_what_the_distribution_has_is_installed(machine: Machine, version: str) -> None:
    machine.add("apt-cache", f'[ "$2" = python{version} ] || exit 100')
    assert machine.run().returncode == 0
    assert machine.installed() == PACKAGES.format(version)
    calls = (machine.project / "calls").read_text()
    assert calls.index("apt-get update") < calls.index("apt-cache")


def test_what_an_installed_python_lacks_is_installed(machine: Machine) -> None:
    machine.add("python3.12", "exit 1")
    machine.run()
    assert machine.installed() == PACKAGES.format("3.12")


def test_a_python_that_is_named_is_taken_as_it_is(machine: Machine) -> None:
    machine.add("some-python")
    assert machine.run(PYTHON="some-python").returncode == 0
    assert machine.installed() is None


def test_who_is_not_root_is_told_what_is_missing(machine: Machine) -> None:
    machine.add("id", "echo 1000")
    (machine.programs / "make").unlink()
    machine.add("apt-cache", '[ "$2" = python3.12 ] || exit 100')
    done = machine.run()
    assert done.returncode == 1
    assert f"missing: make {PACKAGES.format('3.12')}; install them" in done.stderr
    assert "apt-get" not in (machine.project / "calls").read_text()

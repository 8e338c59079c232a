from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from headrace.build import interpreter, manifest
from headrace.build.triton import PerfAnalyzer, TritonDistribution
from headrace.errors import StartupError


@pytest.fixture(scope="module")
def distribution() -> TritonDistribution:
    return TritonDistribution.locate()


def _loads(program: Path, environment: dict[str, str]) -> str:
    return subprocess.check_output(["ldd", str(program)], env=environment, text=True)


def test_the_server_finds_all_its_libraries(distribution: TritonDistribution) -> None:
    assert os.access(distribution.server, os.X_OK)
    assert "not found" not in _loads(distribution.server, distribution.environment())
    assert (distribution.caches / "local" / "libtritoncache_local.so").is_file()


def test_the_stub_loads_the_python_that_runs(distribution: TritonDistribution) -> None:
    stub = distribution.python_backend / "triton_python_backend_stub"
    assert os.access(stub, os.X_OK)
    loaded = _loads(stub, distribution.environment({"LD_LIBRARY_PATH": "/nowhere"}))
    assert f"=> {distribution.libpython} " in loaded
    assert distribution.libpython.name == sysconfig.get_config_var("INSTSONAME")
    assert (distribution.python_backend / "triton_python_backend_utils.py").is_file()


def test_the_environment_adds_to_what_is_there(distribution: TritonDistribution) -> None:
    base = {"PATH": "/bin", "LD_LIBRARY_PATH": "/theirs", "PYTHONPATH": "/elsewhere", "KEPT": "yes"}
    values = distribution.environment(base)
    assert values["PATH"] == f"{Path(sys.executable).parent}:/bin"
    assert values["LD_LIBRARY_PATH"] == f"{distribution.libpython.parent}:{distribution.libraries}:/theirs"
    assert values["KEPT"] == "yes"
    assert "PYTHONPATH" not in values
    assert base["PATH"] == "/bin"


def test_without_set_up_it_says_what_to_do(home: Path) -> None:
    with pytest.raises(manifest.Incomplete, match=r"is not there or not finished; run `make setup`"):
        TritonDistribution.locate()


def test_an_unfit_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "libpython", lambda: None)
    with pytest.raises(StartupError, match=r"has no shared libpython3\.1[12]\.so\.1\.0"):
        TritonDistribution.locate()


def test_perf_analyzer_runs_from_wheels_alone() -> None:
    subprocess.run([sys.executable, "-m", "headrace.build", "perf"], check=True)
    analyzer = PerfAnalyzer.locate()
    done = subprocess.run(
        [analyzer.executable, "--version"],
        env=analyzer.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Perf Analyzer Version 2.51.0" in done.stderr

"""What stands between a machine and a set-up, each said in one line before anything is made."""

from __future__ import annotations

import importlib.util
import platform
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from headrace.build import interpreter


def test_the_python_that_runs_the_tests_is_fit() -> None:
    assert interpreter.problem() is None
    library = interpreter.libpython()
    assert library is not None
    assert library.is_file()


@pytest.mark.parametrize(("version", "age"), [((3, 10, 14), "old"), ((3, 13, 0), "new")])
def test_the_version_is_named(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], age: str) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    problem = interpreter.problem() or ""
    assert f"is Python {'.'.join(map(str, version))}, which is too {age}: Headrace needs 3.11 or 3.12" in problem


def test_another_machine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert "this machine is Linux aarch64" in (interpreter.problem() or "")


@pytest.mark.parametrize(("glibc", "found"), [((2, 31), "2.31"), ((), "another C library")])
def test_an_old_c_library_is_named(monkeypatch: pytest.MonkeyPatch, glibc: tuple[int, ...], found: str) -> None:
    monkeypatch.setattr(interpreter, "_glibc", lambda: glibc)
    assert f"this machine has {found}: Triton needs glibc 2.35" in (interpreter.problem() or "")


@pytest.mark.parametrize("absent", ["venv", "ensurepip"])
def test_a_missing_venv_module_is_named(monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    def find(name: str) -> Any:
        return None if name == absent else object()

    monkeypatch.setattr(importlib.util, "find_spec", find)
    assert "has no venv module; on Debian: `apt-get install python3." in (interpreter.problem() or "")


@pytest.mark.parametrize("soname", ["libpython3.11.a", None, "libpython-that-is-not-there.so.1.0"])
def test_a_missing_libpython_is_named(monkeypatch: pytest.MonkeyPatch, soname: str | None) -> None:
    known = sysconfig.get_config_var
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: soname if name == "INSTSONAME" else known(name))
    assert interpreter.libpython() is None
    assert "has no shared libpython3." in (interpreter.problem() or "")


def test_debian_keeps_libpython_in_the_multiarch_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    library = tmp_path / "x86_64-linux-gnu" / "libpython3.11.so.1.0"
    library.parent.mkdir()
    library.touch()
    values = {"INSTSONAME": library.name, "LIBDIR": str(tmp_path), "MULTIARCH": "x86_64-linux-gnu"}
    monkeypatch.setattr(sysconfig, "get_config_var", values.get)
    assert interpreter.libpython() == library


@pytest.mark.parametrize("name", ["a:b", "a;b", 'a"b', "a$b", "a`b", "a\\b", "a\nb"])
def test_a_place_that_nothing_can_use_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(interpreter, "_PROJECT", Path("/srv") / name)
    problem = interpreter.problem() or ""
    assert problem.startswith(f"this project lies in {f'/srv/{name}'!r}: nothing runs below")
    assert "\n" not in problem


def test_a_home_that_nothing_can_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_HOME", "/srv/models:v1")
    assert "HEADRACE_HOME is '/srv/models:v1': nothing runs" in (interpreter.problem() or "")


@pytest.mark.parametrize("name", ["plain", "with a space", "a-b_c.d+e (1)", "été", "文件夹", "v1,2@x=y%"])
def test_usual_places_are_fine(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(interpreter, "_PROJECT", Path("/srv") / name)
    assert interpreter.problem() is None

"""A set-up in miniature: a folder of wheels for the real pip, parts of a few bytes, a home of its own."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from headrace.build import parts
from headrace.build.progress import Progress


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("HEADRACE_HOME", str(folder))
    return folder


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place that pip may look at."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def wheel(wheels: Path) -> Path:
    """`toy` 1.0 with a program, two libraries and a GGUF that is none."""
    file = wheels / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {
            "toy/bin/run": "#!/bin/sh\necho ran\n",
            "toy.libs/liba.so.1": "a" * 1000,
            "toy.libs/libb.so.1": "b" * 2000,
            "toy/weights.gguf": "weights",
            "toy-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
            "toy-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "toy-1.0.dist-info/RECORD": "",
        }.items():
            archive.writestr(name, content)
    return file


@pytest.fixture
def entry(wheel: Path) -> dict[str, object]:
    """How parts.yaml describes `toy`."""
    return {
        "about": "for tests",
        "version": "1.0",
        "licence": "Apache-2.0",
        "group": "serve",
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "bytes": wheel.stat().st_size,
        "files": {"bin": ["toy/bin/run"], "lib": ["toy.libs/*"], ".": ["toy/weights.gguf"]},
        "executable": ["bin/*"],
        "links": {"plain/liba.so": "../lib/liba.so.1"},
    }


@pytest.fixture
def pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., parts.Part]:
    """Write parts.yaml with one entry and give the part that is read back."""

    def write(entry: dict[str, object], **changes: object) -> parts.Part:
        pins = tmp_path / "parts.yaml"
        pins.write_text(yaml.safe_dump({"toy": entry | changes}), encoding="utf-8")
        monkeypatch.setattr(parts, "PINS", pins)
        return parts.part("toy")

    return write


@pytest.fixture
def progress() -> Progress:
    return Progress(Console(file=io.StringIO()))

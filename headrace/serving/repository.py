"""What Triton reads: copies of the model repositories and one backend folder, both made at start.

Copies, so that editing the sources does not change a running server; and because git holds no empty folders,
while Triton wants a version folder in every model.
"""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from google.protobuf import text_format

from headrace.client.protocol import model_config_pb2
from headrace.errors import StartupError

_LEAVE_OUT = shutil.ignore_patterns("__pycache__", ".*")


def snapshot(source: Path, target: Path) -> None:
    """Copy a model repository and give every model a version folder. Raises `StartupError`."""
    _folders(source)
    _copy(source, target)
    for model in _folders(target):
        if not any(folder.name.isdecimal() for folder in _folders(model)):
            (model / "1").mkdir()


def assemble_backends(python_backend: Path, steps: Path, target: Path) -> None:
    """One backend folder: `python` from the distribution, and one folder for each of our steps."""
    target.mkdir(parents=True)
    (target / "python").symlink_to(python_backend.absolute(), target_is_directory=True)
    for step in _folders(steps):
        _copy(step, target / step.name)


def _copy(source: Path, target: Path) -> None:
    """One that can be added to and cleared away, also of what is read-only."""
    shutil.copytree(source, target, ignore=_LEAVE_OUT)
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def count_python_instances(repositories: list[Path], profile: str) -> int:
    """How many stub processes Triton will start for these models under this profile."""
    return sum(
        _instances(_read_config(model, profile)) for repository in repositories for model in _folders(repository)
    )


def _instances(config: model_config_pb2.ModelConfig) -> int:
    if config.platform == "ensemble":
        return 0
    return sum(max(group.count, 1) for group in config.instance_group) or 1


def _read_config(model: Path, profile: str) -> model_config_pb2.ModelConfig:
    file = model / "configs" / f"{profile}.pbtxt"
    if not file.exists():
        file = model / "config.pbtxt"
    try:
        return text_format.Parse(file.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise StartupError(f"{file}: not a model configuration: {error}") from None


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise StartupError(f"{folder}: no such folder; the checkout is incomplete")
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(("_", ".")))

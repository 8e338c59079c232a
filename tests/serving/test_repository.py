from __future__ import annotations

from pathlib import Path

import pytest

from headrace import paths
from headrace.errors import StartupError
from headrace.serving import repository


def write(file: Path, text: str = "") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_every_model_of_a_snapshot_has_a_version_folder(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    write(source / "a" / "config.pbtxt", "x")
    write(source / "a" / "configs" / "cpu.pbtxt", "y")
    write(source / "b" / "3" / "model.json", "{}")
    write(source / "b" / "__pycache__" / "x.pyc")
    repository.snapshot(source, target)
    files = {str(path.relative_to(target)) for path in target.rglob("*")}
    assert files == {
        "a",
        "a/config.pbtxt",
        "a/configs",
        "a/configs/cpu.pbtxt",
        "a/1",
        "b",
        "b/3",
        "b/3/model.json",
    }


def test_a_repository_that_is_read_only_has_copies_that_are_not(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    write(source / "a" / "config.pbtxt", "x")
    for path in (source / "a" / "config.pbtxt", source / "a", source):
        path.chmod(path.stat().st_mode & ~0o222)
    repository.snapshot(source, target)
    repository.assemble_backends(tmp_path, source, tmp_path / "backends")
    copies = [target, *target.rglob("*"), *(tmp_path / "backends" / "a").rglob("*"), tmp_path / "backends" / "a"]
    assert all(path.stat().st_mode & 0o200 for path in copies)
    source.chmod(0o700)


def test_backends_are_the_distributions_python_and_our_steps(tmp_path: Path) -> None:
    write(tmp_path / "python" / "libtriton_python.so", "elf")
    write(tmp_path / "steps" / "preprocess" / "model.py", "code")
    repository.assemble_backends(tmp_path / "python", tmp_path / "steps", tmp_path / "out")
    assert (tmp_path / "out" / "python" / "libtriton_python.so").read_text("utf-8") == "elf"
    assert (tmp_path / "out" / "preprocess" / "model.py").read_text("utf-8") == "code"


def test_stubs_are_counted_by_instances_under_the_profile(tmp_path: Path) -> None:
    write(tmp_path / "r" / "one" / "config.pbtxt", 'backend: "x"')
    write(tmp_path / "r" / "many" / "config.pbtxt", 'backend: "x" instance_group [{ count: 2 }, { count: 3 }]')
    write(tmp_path / "r" / "many" / "configs" / "h100.pbtxt", 'backend: "x" instance_group [{ count: 9 }]')
    write(tmp_path / "e" / "all" / "config.pbtxt", 'platform: "ensemble"')
    folders = [tmp_path / "r", tmp_path / "e"]
    assert repository.count_python_instances(folders, "cpu") == 6
    assert repository.count_python_instances(folders, "h100") == 10


def test_the_projects_own_repositories_can_be_read() -> None:
    folders = [paths.PROJECT / "model_repository", paths.PROJECT / "ensembles"]
    assert repository.count_python_instances(folders, "cpu") >= 5


@pytest.mark.parametrize("text", ["max_batch: 3", "name: ${NAME}"])
def test_a_broken_configuration_names_its_file(tmp_path: Path, text: str) -> None:
    write(tmp_path / "r" / "bad" / "config.pbtxt", text)
    with pytest.raises(StartupError, match=r"bad/config\.pbtxt: not a model configuration"):
        repository.count_python_instances([tmp_path / "r"], "cpu")


def test_a_missing_repository_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"none: no such folder"):
        repository.snapshot(tmp_path / "none", tmp_path / "target")

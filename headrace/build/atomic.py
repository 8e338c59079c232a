"""Folders that are either whole or absent, whatever interrupts the work."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_TEMPORARY = ".tmp-"


@contextlib.contextmanager
def exclusive(lock: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock among processes, after a call of `waiting` if another has it. It dies with its holder."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its place when the block ends well.

    Its files are on disk before it gets its name. Callers hold `exclusive`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=target.parent))
    folder.chmod(0o755)
    try:
        yield folder
        _sync_tree(folder)
        if target.exists():
            target.rename(_unused_name(target.parent))
        folder.rename(target)
        _sync(target.parent)
    finally:
        remove_leftovers(target.parent)


def remove_leftovers(parent: Path) -> None:
    """Remove what killed runs left half done; only under the lock can it be told from work in progress."""
    for leftover in parent.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def sha256_of(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _unused_name(parent: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=parent)) / "replaced"


def _sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        if not path.is_symlink():
            _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

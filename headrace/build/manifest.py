"""`manifest.json`: what a built folder holds. It is written last, so a folder without one is not finished."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from headrace.build.atomic import sha256_of
from headrace.errors import StartupError

NAME = "manifest.json"


class Incomplete(StartupError):
    """A built folder is absent, unfinished or altered."""


class File(msgspec.Struct, frozen=True):
    """One file as it was built."""

    bytes: int
    mtime_ns: int
    sha256: str
    executable: bool = False


class Manifest(msgspec.Struct, frozen=True):
    """The files of a folder and what they were made from."""

    recipe: str
    """Fingerprint of everything that the folder depends on."""
    files: dict[str, File]
    details: dict[str, Any] = {}
    """Names, versions and licences of the sources, for people and for bills of materials."""


def write(folder: Path, recipe: str, details: dict[str, Any]) -> Manifest:
    """Describe every file below `folder` in its manifest."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    files = {str(path.relative_to(folder)): _describe(path) for path in paths if path.name != NAME}
    manifest = Manifest(recipe, files, details)
    (folder / NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return manifest


def verify(folder: Path, recipe: str | None = None, deep: bool = False) -> Manifest:
    """Check a folder against its manifest. Raises `Incomplete`, which names the first file that is wrong.

    Sizes are always compared; contents only of files that were touched since, or of all when `deep`.
    """
    manifest = _read(folder)
    if recipe is not None and manifest.recipe != recipe:
        raise Incomplete(f"{folder} was built by another recipe; run `make setup`")
    for name, expected in manifest.files.items():
        if problem := _difference(folder / name, expected, deep):
            raise Incomplete(f"{folder / name} {problem}; run `make setup` to build it anew")
    return manifest


def _read(folder: Path) -> Manifest:
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise Incomplete(f"{folder} is not there or not finished; run `make setup`") from None
    except (OSError, msgspec.DecodeError) as error:
        raise Incomplete(f"{folder / NAME} cannot be read ({error}); run `make setup`") from None


def _describe(path: Path) -> File:
    stat = path.stat()
    return File(stat.st_size, stat.st_mtime_ns, sha256_of(path), os.access(path, os.X_OK))


def _difference(path: Path, expected: File, deep: bool) -> str | None:
    try:
        stat = path.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if stat.st_size != expected.bytes:
        return f"has {stat.st_size} bytes where {expected.bytes} were built"
    if expected.executable and not os.access(path, os.X_OK):
        return "is not executable"
    if (deep or stat.st_mtime_ns != expected.mtime_ns) and sha256_of(path) != expected.sha256:
        return "was altered"
    return None

"""Which files hold what none may."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def leaks(folder: Path, secrets: Sequence[str]) -> list[str]:
    """`file: the line`, of every file below the folder."""
    sought = [secret.encode() for secret in secrets]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        f"{file.name}: {line[:500].decode(errors='replace')}"
        for file in files
        for line in file.read_bytes().splitlines()
        if any(secret in line for secret in sought)
    ]


def secret_of(key: str) -> str:
    """The half of a tenant's key that nobody may see."""
    return key.rpartition("_")[2]

"""Downloads wheels with pip, so that a user's mirrors, proxies and certificates apply."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from headrace.errors import StartupError


def download(name: str, version: str, sha256: str, folder: Path) -> Path:
    """Fetch one wheel of a known hash into `folder`. Raises `StartupError` in one line."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{name}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command += ["--requirement", str(requirement), "--dest", str(folder)]
    # pip keeps what it is loading in TMPDIR: there it can be watched, and it goes away with the folder
    done = subprocess.run(
        command, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StartupError(f"{name} {version}: {_reason(done.stderr, sha256)}")
    return next(folder.glob("*.whl"))


def _reason(complaint: str, sha256: str) -> str:
    """What pip means, in one line."""
    if got := re.search(r"Got\s+([0-9a-f]{64})", complaint):
        return (
            f"the package index sent a file with sha256 {got[1]}, expected {sha256}; nothing was kept. "
            "Check the index or mirror that pip is set to use"
        )
    if "connection broken" in complaint:  # pip's warning; its error then only says that nothing matches
        return "the package index cannot be reached; check the network and pip's proxy settings, then run it again"
    if "No matching distribution" in complaint:
        return "pip finds no wheel for this machine; check the index or mirror that pip is set to use"
    errors = re.findall(r"ERROR: (.+)", complaint) or complaint.split("\n")[-2:] or ["no reason given"]
    return f"pip cannot download it: {errors[0]}"

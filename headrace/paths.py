"""Where things lie. `HEADRACE_HOME` moves everything that is built or fetched."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DEFAULT_MODEL = "smollm2-135m-instruct"


def home() -> Path:
    """Everything that set-up builds or fetches and every stack's run folder."""
    return Path(os.environ.get("HEADRACE_HOME") or PROJECT / ".headrace").absolute()


def parts() -> Path:
    return home() / "parts"


def default_model() -> Path:
    return home() / "models" / DEFAULT_MODEL


def run_folders() -> Path:
    """One folder for every stack that ever ran."""
    return home() / "run"


def run_folder(http_port: int) -> Path:
    """Pid, status, logs and socket of the stack on this port: ports tell two stacks apart."""
    return run_folders() / str(http_port)

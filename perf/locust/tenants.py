"""As whom the users ask: the tenants of a file of keys, in turn."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from headrace import yaml_file
from headrace.config import API_KEY_ENV

Tenant = tuple[str, str | None]
ANONYMOUS: Tenant = ("anonymous", None)


def load_keys(file: Path | None) -> list[Tenant]:
    """Name and key of each: of the file (`NAME: KEY` in YAML), else the one of HEADRACE_API_KEY, else nobody's.

    Raises `ConfigError`.
    """
    if file is not None:
        return list(yaml_file.read_as(file, dict[str, str]).items()) or [ANONYMOUS]
    key = os.environ.get(API_KEY_ENV)
    return [("tenant", key)] if key else [ANONYMOUS]


def next_one(file: Path | None, kind: str) -> Tenant:
    """For the next user of a kind: each tenant has users of all kinds."""
    return next(_turns(file, kind))


@cache
def _turns(file: Path | None, kind: str) -> Iterator[Tenant]:
    return itertools.cycle(load_keys(file))

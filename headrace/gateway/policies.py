"""Which guard policies there are: as much of `policy.yaml` as the gateway has to know. Triton's steps judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from headrace.errors import ConfigError
from headrace.file_stamp import stamp
from headrace.guard import policy

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Policies:
    default: str
    versions: Mapping[str, str]
    """Policy → the version that its verdicts name: an answer that was kept under another one is not shown."""


class LivePolicies:
    """Read anew when the file changes. A bad one is ignored, as it is in Triton's steps."""

    def __init__(self, file: Path) -> None:
        """Raises `ConfigError`."""
        self._file = file
        self._stamp = stamp(file)
        self._policies = _read(file)

    def current(self) -> Policies:
        """Looks at the file: a change holds from the next request on."""
        if (found := stamp(self._file)) != self._stamp:
            self._stamp = found
            try:
                self._policies = _read(self._file)
            except ConfigError as error:
                log.warning("the new policy file is bad; the old one goes on", problem=str(error))
        return self._policies


def _read(file: Path) -> Policies:
    said = policy.read(file)
    return Policies(said.default, {name: one.version for name, one in said.policies.items()})

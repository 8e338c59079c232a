"""Which guard policies there are: as much of `policy.yaml` as the gateway has to know. Triton's steps judge."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from headrace.errors import ConfigError
from headrace.file_stamp import stamp
from headrace.guard import policy

LOOK_SECONDS = 0.05
"""Between two looks at the file. An answer that Triton judged by a policy not known here yet is not cached."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Policies:
    default: str
    versions: Mapping[str, str]
    """Policy → the version that its verdicts name: an answer that was kept under another one is not shown."""


class LivePolicies:
    """Read anew when the file changes. A bad one is ignored, as it is in Triton's steps."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises `ConfigError`."""
        self._file = file
        self._clock = clock
        self._look_at = clock() + LOOK_SECONDS
        self._stamp = stamp(file)
        self._policies = _read(file)

    def current(self) -> Policies:
        """Looks at the file now and then: a change holds soon after."""
        now = self._clock()
        if now < self._look_at:
            return self._policies
        self._look_at = now + LOOK_SECONDS
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

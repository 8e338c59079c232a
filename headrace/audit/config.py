"""The section `audit` of the configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from headrace.yaml_file import Section

KEY_ENV = "HEADRACE_AUDIT_KEY"


class AuditConfig(Section):
    """One record a request, in a hash-chained log."""

    folder: Path | None = None
    """Only one gateway writes to it. None: `audit` in the stack's run folder."""
    fsync: Literal["always", "interval", "never"] = "interval"
    """always: on disk before the gateway is done with the request, though its answer may have been sent by then,
    unless it is a whole one over gRPC. interval: with the operating system within moments, so that a crash of the
    gateway loses what ended right before (while a disk hangs, up to `queue` records); on disk `interval_ms` later
    at most, until when a crash of the machine loses it. never: left to the operating system."""
    interval_ms: float = Field(50.0, ge=1, le=60_000)
    """Also how often the head, which tells that the last lines are gone, is written; under `always` at once."""
    segment_mb: float = Field(64.0, gt=0, le=4096)
    """A file is closed when it has this size, and at the end of each day (UTC)."""
    queue: int = Field(1024, ge=1)
    """Records that may wait to be written; one more makes its request wait."""
    key_env: str = Field(KEY_ENV, min_length=1)
    """Variable with the key of the hashes, any text. Without one, who can write the files can forge the log."""
    on_error: Literal["refuse", "serve"] = "refuse"
    """While records cannot be written: refuse requests, or serve them unrecorded."""

    @property
    def segment_bytes(self) -> int:
        return int(self.segment_mb * 1_048_576)

    def key(self, environment: Mapping[str, str] = os.environ) -> bytes | None:
        return key_of(self.key_env, environment)


def key_of(name: str, environment: Mapping[str, str] = os.environ) -> bytes | None:
    """What this variable holds; None when it is unset or empty."""
    return environment.get(name, "").encode() or None

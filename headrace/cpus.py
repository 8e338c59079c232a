"""How many CPUs this process may use: by its affinity, and by the quota of its container."""

from __future__ import annotations

import math
import os
from pathlib import Path

from headrace import cgroups


def available() -> int:
    """At least 1. A machine's own count would be too many in a container or under `taskset`."""
    return capped(len(os.sched_getaffinity(0)), quota())


def capped(affinity: int, quota: float | None) -> int:
    """CPUs to use of those in the affinity mask, under a quota in CPUs. A part of a CPU counts as one."""
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def quota(membership: Path = cgroups.MEMBERSHIP, mount: Path = cgroups.MOUNT) -> float | None:
    """CPUs that the control groups allow, None for no limit."""
    limits = [_limit(group) for group in cgroups.groups("cpu", membership, mount)]
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(group: Path) -> float | None:
    version_1 = [*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")]
    return _ratio(*(_words(group / "cpu.max") or version_1))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []


def _ratio(limit: str = "max", period: str = "0", *_: str) -> float | None:
    """`max` and, in version 1, -1 mean no limit."""
    if limit == "max" or int(limit) <= 0 or int(period) <= 0:
        return None
    return int(limit) / int(period)

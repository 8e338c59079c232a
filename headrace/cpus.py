"""How many CPUs this process may use: by its affinity, and by the quota of its container."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_MEMBERSHIP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def available() -> int:
    """At least 1. A machine's own count would be too many in a container or under `taskset`."""
    return capped(len(os.sched_getaffinity(0)), quota(_MEMBERSHIP, _CGROUPS))


def capped(affinity: int, quota: float | None) -> int:
    """CPUs to use of those in the affinity mask, under a quota in CPUs. A part of a CPU counts as one."""
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def quota(membership: Path, cgroups: Path) -> float | None:
    """CPUs that the control groups allow, None for no limit.

    `membership` is a /proc/PID/cgroup, `cgroups` where they are mounted, version 1 or 2.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            limits += [_quota_v2(folder) for folder in _upwards(cgroups, path)]
        elif "cpu" in controllers.split(","):
            for mount in (cgroups / "cpu", cgroups / controllers):
                limits += [_quota_v1(folder) for folder in _upwards(mount, path)]
    return min((limit for limit in limits if limit is not None), default=None)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """A group and all around it: each may have a limit. In a container the mount itself is the group."""
    group = mount / path.lstrip("/")
    yield group
    while group != mount and ".." not in group.parts:
        group = group.parent
        yield group
    yield mount


def _quota_v2(group: Path) -> float | None:
    return _ratio(*_words(group / "cpu.max"))


def _quota_v1(group: Path) -> float | None:
    return _ratio(*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us"))


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

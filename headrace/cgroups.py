"""The control groups that this process is in, version 1 or 2. Each of them may limit what it gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MEMBERSHIP = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


def groups(controller: str, membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> Iterator[Path]:
    """Folders of the groups that a controller, such as `cpu`, may limit: the innermost first, then all around it.

    `membership` is a /proc/PID/cgroup, `mount` where control groups are mounted. Not every folder need exist.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2 has one tree for all controllers
            yield from _upwards(mount, path)
        elif controller in controllers.split(","):
            for tree in {mount / controller, mount / controllers}:
                yield from _upwards(tree, path)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """A group and all around it: each may have a limit. In a container the mount itself is the group."""
    group = mount / path.lstrip("/")
    while group != mount and ".." not in group.parts:
        yield group
        group = group.parent
    yield mount

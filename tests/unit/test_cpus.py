"""How many threads an engine may start: what the machine has is not what a container gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace import cpus


@pytest.mark.parametrize(
    ("affinity", "quota", "expected"),
    [(8, None, 8), (8, 2.0, 2), (2, 8.0, 2), (8, 1.5, 2), (8, 0.1, 1), (1, None, 1)],
)
def test_the_quota_caps_the_affinity(affinity: int, quota: float | None, expected: int) -> None:
    assert cpus.capped(affinity, quota) == expected


def _quota(tmp_path: Path, membership: str, files: dict[str, str]) -> float | None:
    (tmp_path / "cgroup").write_text(membership)
    mount = tmp_path / "mount"
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text)
    return cpus.quota(tmp_path / "cgroup", mount)


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5, id="container"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, None, id="no limit"),
        pytest.param("0::/\n", {}, None, id="root group"),
        pytest.param(
            "0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000"}, 2.0, id="parent"
        ),
        pytest.param("0::/../other\n", {"cpu.max": "300000 100000"}, 3.0, id="outside the namespace"),
        pytest.param(
            "4:cpu,cpuacct:/docker/1\n1:name=systemd:/x\n0::/\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "250000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            2.5,
            id="version 1",
        ),
        pytest.param(
            "4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None, id="v1 no limit"
        ),
        pytest.param(
            "4:cpu:/a/b\n",
            {
                "cpu/a/b/cpu.cfs_quota_us": "-1",
                "cpu/a/b/cpu.cfs_period_us": "100000",
                "cpu/a/cpu.cfs_quota_us": "50000",
                "cpu/a/cpu.cfs_period_us": "100000",
            },
            0.5,
            id="v1 parent",
        ),
        pytest.param("0::/a/b\n", {"a/cpu.max": "200000 100000"}, 2.0, id="only the parent has the controller"),
        pytest.param("5:cpuset:/\n", {"cpu.max": "100000 100000"}, None, id="another controller"),
    ],
)
def test_the_tightest_quota_counts(
    tmp_path: Path, membership: str, files: dict[str, str], expected: float | None
) -> None:
    assert _quota(tmp_path, membership, files) == expected


def test_a_machine_without_control_groups_has_no_quota(tmp_path: Path) -> None:
    assert cpus.quota(tmp_path / "absent", tmp_path) is None


def test_the_affinity_mask_counts() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert cpus.available() == 1
    finally:
        os.sched_setaffinity(0, allowed)

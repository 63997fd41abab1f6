"""A container's share of processors and memory, in made-up trees of both versions of control groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from stopcli import control_groups
from stopcli import control_groups as memory
from stopcli.control_groups import cpu_quota, memory_left, reachable_cores, usable_cores

MOUNTED_V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
# As Docker has it with v1: the container's own group, by its name on the host, is what is mounted.
MOUNTED_V1 = (
    "41 31 0:33 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
    "42 31 0:34 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
)
GROUPS_V1 = "5:memory:/docker/abc/job\n4:cpu,cpuacct:/docker/abc/job\n1:name=systemd:/docker/abc\n"


def tree(root: Path, groups: str, mounts: str, files: Mapping[str, str]) -> Path:
    own = {"proc/self/cgroup": groups, "proc/self/mountinfo": f"23 1 8:1 / / rw - ext4 /dev/a rw\n{mounts}"}
    for name, content in {**own, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("own", "above", "quota"),
    [
        ("max 100000", "max 100000", None),
        ("100000 100000", "max 100000", 1.0),
        ("max 100000", "50000 100000", 0.5),
        ("300000 100000", "250000 100000", 2.5),
        ("garbage", "", None),
    ],
)
def test_the_narrowest_quota_on_the_way_up_counts(own: str, above: str, quota: float | None, tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/box/job/cpu.max": own, "sys/fs/cgroup/box/cpu.max": above}
    assert cpu_quota(tree(tmp_path, "0::/box/job\n", MOUNTED_V2, files)) == quota


@pytest.mark.parametrize(("quota", "expected"), [("-1", None), ("150000", 1.5)])
def test_quotas_of_the_first_version(quota: str, expected: float | None, tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/cpu,cpuacct"
    files = {f"{folder}/cpu.cfs_quota_us": quota, f"{folder}/cpu.cfs_period_us": "100000\n"}
    files |= {f"{folder}/job/cpu.cfs_quota_us": "-1\n", f"{folder}/job/cpu.cfs_period_us": "100000\n"}
    assert cpu_quota(tree(tmp_path, GROUPS_V1, MOUNTED_V1, files)) == expected


def test_a_group_outside_of_what_is_mounted_is_the_mounted_one(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/cpu.max": "200000 100000\n"}
    assert cpu_quota(tree(tmp_path, "0::/../../elsewhere\n", MOUNTED_V2, files)) == 2.0


def test_memory_of_both_versions(tmp_path: Path) -> None:
    second = {
        "sys/fs/cgroup/box/job/memory.max": "max\n",
        "sys/fs/cgroup/box/job/memory.current": "10\n",
        "sys/fs/cgroup/box/memory.max": "1000\n",
        "sys/fs/cgroup/box/memory.current": "700\n",
        "sys/fs/cgroup/box/memory.stat": "anon 500\ninactive_file 100\nactive_file 50\n",
    }
    assert memory_left(tree(tmp_path / "2", "0::/box/job\n", MOUNTED_V2, second)) == 400
    first = {
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "2000\n",
        "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "1900\n",
        "sys/fs/cgroup/memory/job/memory.stat": "inactive_file 1\ntotal_inactive_file 30\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "5000\n",
    }
    assert memory_left(tree(tmp_path / "1", GROUPS_V1, MOUNTED_V1, first)) == 130


def test_without_groups_nothing_is_limited(tmp_path: Path) -> None:
    assert (cpu_quota(tmp_path), memory_left(tmp_path)) == (None, None)
    assert (cpu_quota(tree(tmp_path, "", "damaged\n - \n", {})), memory_left(tmp_path)) == (None, None)


@pytest.mark.parametrize(("quota", "cores"), [(None, 4), (0.2, 1), (1.0, 1), (1.9, 1), (2.0, 2), (16.0, 4)])
def test_cores_are_those_that_can_be_used_up(quota: float | None, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_groups, "reachable_cores", lambda: 4)
    monkeypatch.setattr(control_groups, "cpu_quota", lambda: quota)
    assert usable_cores() == cores
    assert reachable_cores() >= 1


def test_free_memory_is_no_more_than_a_container_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_left", lambda: None)
    free = memory.available_bytes()
    if free is None:
        pytest.skip("the system does not say how much memory is free")
    monkeypatch.setattr(memory, "memory_left", lambda: 5)
    assert memory.available_bytes() == 5

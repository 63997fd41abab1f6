"""How many cores and how much memory this process may use, as the system and its control groups limit it."""

import os
from collections.abc import Iterator
from pathlib import Path

from stopcli.errors import RequestError

_ROOT = Path("/")


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Processors whose time the groups of this process may use up; None where that is not limited. Tests make the file
    system of `root`."""
    quotas = []
    for group in _groups("cpu", root):
        first = _fields(group / "cpu.max") or _fields(group / "cpu.cfs_quota_us") + _fields(group / "cpu.cfs_period_us")
        # v2 says `max` and v1 -1 where there is no limit.
        if len(first) == 2 and all(word.isdigit() for word in first) and int(first[1]):
            quotas.append(int(first[0]) / int(first[1]))
    return min(quotas, default=None)


def usable_cores() -> int:
    """How many cores this process may use, ≥ 1: those that it may run on, and no more than its container may use up."""
    quota = cpu_quota()
    # Rounded down: a process more than there is time for makes all of them wait.
    return reachable_cores() if quota is None else max(1, min(reachable_cores(), int(quota)))


def reachable_cores() -> int:
    """How many cores this process may run on, however much of their time it may use up: what libraries count."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_left(root: Path = _ROOT) -> int | None:
    """Bytes that the groups of this process may still take, files that could be dropped from memory counted as free;
    None where that is not limited."""
    remaining = []
    for group in _groups("memory", root):
        for limit, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            numbers = _fields(group / limit) + _fields(group / used)
            if len(numbers) == 2 and all(word.isdigit() for word in numbers):
                statistics = _fields(group / "memory.stat")
                files = dict(zip(statistics[::2], statistics[1::2], strict=False)).get(cached, "0")
                remaining.append(int(numbers[0]) - int(numbers[1]) + int(files))
    return max(0, min(remaining)) if remaining else None


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of the groups that a controller has this process in: its own, and those above it."""
    named: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        # v2 has one hierarchy for all of them, which names none.
        named |= dict.fromkeys(controllers.split(","), group)
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, (kind, *_, options) = before.split(), [*after.split(), "", "", ""][:3]
        name = {"cgroup2": "", "cgroup": controller}.get(kind)
        if name is None or name not in named or (name and name not in options.split(",")) or len(fields) < 5:
            continue
        mounted = root / fields[4].lstrip("/")
        # What of the hierarchy is mounted may be this process's own group, or one above it.
        below = Path(named[name].lstrip("/"))
        top = Path(fields[3].lstrip("/"))
        inside = below.relative_to(top) if below.is_relative_to(top) and ".." not in below.parts else Path()
        yield from (mounted / part for part in (inside, *inside.parents))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _fields(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


# Of the memory that is free; the rest is the model's.
SHARE = 0.8
# The images as they are read, and as TensorFlow holds them.
COPIES = 2
_GIGABYTE = 1e9


def available_bytes() -> int | None:
    """Memory that could be used now, on Linux; None where the system does not say. A container's limit counts."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    remaining = memory_left()
    return free if remaining is None else min(free, remaining)


def check_fits(images: int, height: int, width: int, what: str) -> None:
    """Raise RequestError where so many images of three bytes a pixel would not fit."""
    needed, free = images * height * width * 3 * COPIES, available_bytes()
    if free is not None and needed > SHARE * free:
        raise RequestError(
            f"{what}: {images:,} images of {height} × {width} need {needed / _GIGABYTE:.1f} GB of memory, and "
            f"{free / _GIGABYTE:.1f} GB are free",
            hint="--image-size makes them smaller; so does a folder with fewer of them.",
        )

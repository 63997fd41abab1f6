"""environment.json: with what a run was made, so that it can be made again or its difference be found."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stopcli.control_groups import usable_cores

_PACKAGES = ("stopcli", "tensorflow", "keras", "numpy", "scikit-learn", "matplotlib")


def versions() -> dict[str, str]:
    """The versions of the packages that a run's numbers depend on, without importing them."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def cpu_name() -> str:
    """The processor's name, or what Python knows of it where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@contextlib.contextmanager
def variables_set(**values: str) -> Iterator[None]:
    """Give environment variables other values within the block, such as while a library is imported that reads them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def git_commit(folder: Path) -> str | None:
    """The commit of the working folder, with `-dirty` where it has changes; None outside a checkout."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() or None


def describe_environment(devices: dict[str, Any]) -> dict[str, Any]:
    """All of environment.json.

    Args:
        devices: what TensorFlow says of GPUs, threads and precision; asked by the caller, who has imported it.
    """
    return {
        "argv": sys.argv,
        "versions": versions(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": usable_cores(),
        **devices,
        "git_commit": git_commit(Path.cwd()),
        "variables": {key: os.environ[key] for key in sorted(os.environ) if key.startswith(("TF_", "XLA_", "KERAS_"))},
    }

"""environment.json: what a run was made with, so that it can be repeated or its differences be explained."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

from stopcli.control_groups import usable_cores
from stopcli.runs.files import read_checked
from stopcli.runs.typed_json import from_json

_PACKAGES = ("stopcli", "tensorflow", "keras", "numpy", "scikit-learn", "matplotlib")


class Threads(TypedDict, total=False):
    """TensorFlow's thread counts; 0 for as many as there are cores."""

    intra_op: int
    inter_op: int


class Session(TypedDict, total=False):
    """A record of the session that resumed a run."""

    time: str
    from_epoch: int
    argv: list[str]
    versions: dict[str, str]
    computes_with: dict[str, Any]
    computes_otherwise: list[str]
    notes: list[str]


class Environment(TypedDict, total=False):
    """The content of environment.json. A sweep has `executor`, and its runs have what they compute on."""

    argv: list[str]
    working_folder: str
    versions: dict[str, str]
    platform: str
    cpu: str
    cores: int
    executor: str
    gpus: list[str]
    threads: Threads
    precision: str
    git_commit: str | None
    variables: dict[str, str]
    init_from: dict[str, Any]
    resumed: list[Session]


def read_environment(run: Path) -> tuple[Environment, str]:
    """A run's environment.json, empty where it is missing or damaged; and as `read_checked`, what is wrong with it."""
    environment, damage = read_checked(run / "environment.json", lambda value: from_json(Environment, value))
    return environment or {}, damage


def versions() -> dict[str, str]:
    """The versions of the packages that a run's numbers depend on, without importing them."""
    return {"python": platform.python_version(), **package_versions(_PACKAGES)}


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of some packages, without importing them."""
    by_package = {}
    for package in packages:
        try:
            by_package[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            by_package[package] = "not installed"
    return by_package


def cpu_name() -> str:
    """The processor's name, or what Python knows of it where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def git_commit(folder: Path) -> str | None:
    """The commit of the working folder, with `-dirty` where it has changes; None outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def describe_environment(devices: Environment | None = None) -> Environment:
    """The environment of this process, with what TensorFlow says of GPUs, threads and precision, from a caller who has
    imported it; or with how a sweep is executed."""
    described: Environment = devices or {}
    return {
        "argv": sys.argv,
        "working_folder": str(Path.cwd()),
        "versions": versions(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": usable_cores(),
        **described,
        "git_commit": git_commit(Path.cwd()),
        "variables": {key: os.environ[key] for key in sorted(os.environ) if key.startswith(("TF_", "XLA_", "KERAS_"))},
    }

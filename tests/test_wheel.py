"""A wheel has what a checkout has: templates, and the published results."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
BUILD = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"
READ = """
from stopcli.configs.base import published_arms
from stopcli.report import html
print(published_arms("moons")["patience-0"].values["stop_epoch"], (html._TEMPLATES / "report.html").is_file())
"""


def test_a_wheel_brings_the_published_results_and_the_templates() -> None:
    for name in ("stopcli", "experiments"):
        shutil.copytree(PROJECT / name, name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, name)
    wheel = subprocess.run([sys.executable, "-c", BUILD], capture_output=True, text=True, check=True).stdout.split()[-1]
    with zipfile.ZipFile(Path("dist") / wheel) as archive:
        archive.extractall("installed")
    environment = {**os.environ, "PYTHONPATH": str(Path("installed").resolve())}
    # Not from here, where the checkout's copy lies.
    Path("elsewhere").mkdir()
    read = subprocess.run(
        [sys.executable, "-c", READ], cwd="elsewhere", env=environment, capture_output=True, text=True, check=True
    )
    assert read.stdout.split() == ["219", "True"]

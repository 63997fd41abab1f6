"""What precedes training: whether there is a GPU, TensorFlow's start, and the time that has passed by then."""

from __future__ import annotations

import os
import time
from pathlib import Path

from stopcli.cli.console import Output
from stopcli.config import RunConfig
from stopcli.recipes.recipe import Loaded
from stopcli.runs.folder import RunFolder
from stopcli.training.interruption import StopRequest
from stopcli.training.observer import Observer
from stopcli.training.pacing import Stopwatch

_IMPORTED = time.perf_counter()
# Made by the drivers of NVIDIA and AMD.
GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU. Where the system has no driver for one, TensorFlow is not asked."""
    if not any(Path(device).exists() for device in GPU_DEVICES):
        return False
    from stopcli.training.tensorflow_setup import sees_gpu

    return sees_gpu()


def start_and_log(
    config: RunConfig, folder: RunFolder, observer: Observer, output: Output, request: StopRequest
) -> None:
    """Start TensorFlow, which takes seconds, and keep what it says in the run's log."""
    observer.stage("starting TensorFlow")
    from stopcli.training.tensorflow_setup import start_tensorflow

    said = start_tensorflow(getattr(config, "threads", None))
    if said:
        folder.log("TensorFlow says while it starts:\n" + said)
        output.detail(said.rstrip())
    if request.interrupted:
        # Nothing is trained yet, so there is nothing to save.
        raise request.stop_now


def stopwatch_of(loaded: Loaded) -> Stopwatch:
    """A stopwatch that has run since the process began."""
    stopwatch = Stopwatch(elapsed=process_age())
    stopwatch.move("startup", "data", loaded.seconds)
    return stopwatch


def process_age() -> float:
    """Seconds since the process began; where the system does not tell, since this module was imported."""
    try:
        begun = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(Path("/proc/uptime").read_text().split()[0]) - begun
    except (OSError, ValueError, IndexError):
        return time.perf_counter() - _IMPORTED

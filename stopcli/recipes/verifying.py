"""Trust in resuming: a run is killed again and again, resumed each time, and compared with one that was left alone."""

from __future__ import annotations

import io
import multiprocessing
import random
import time
import zipfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stopcli.errors import RunError
from stopcli.runs.event_records import without_times
from stopcli.runs.files import read_json
from stopcli.runs.tensorboard import EPOCHS_NAME
from stopcli.training.resume_state import ResumePoint, ResumeStore

Run = Callable[[list[str], Path], None]
"""Runs the program with some words, writing what it says to a file; in a process of its own."""

# How often the run is looked at while the moment to kill it is awaited.
_POLL_SECONDS = 0.0005
# A run that has not begun to train by then is stuck.
_BEGIN_SECONDS = 300.0


@dataclass(frozen=True)
class Kill:
    """One SIGKILL.

    Attributes:
        run: the number of the run, counted from 1.
        moment: `training` (any time after it had begun, evaluation and plots too) or `saving` (as a state was written).
        epoch, step: of the newest state on the disk at that moment, from which the run was resumed; 0 for none.
    """

    run: int
    moment: str
    epoch: int
    step: int


@dataclass
class Verification:
    """What came of it: the kills, and for each run in what it differs from the uninterrupted one."""

    kills: list[Kill] = field(default_factory=list)
    differences: list[list[str]] = field(default_factory=list)

    @property
    def identical(self) -> bool:
        return bool(self.differences) and not any(self.differences)


class Verifier:
    """Trains a command uninterrupted once, then under kills.

    Args:
        words: the command with its options, without a run folder.
        run: runs the program; must be importable by its name, because it is called in other processes.
        folder: where the runs go.
        seed: of the moments.
    """

    def __init__(self, words: list[str], run: Run, folder: Path, seed: int) -> None:
        self._words, self._run, self._folder = words, run, folder
        self._draw = random.Random(seed)
        # TensorFlow is imported once, by a server from which each run is forked; a run still starts it anew.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["stopcli.training.preload"])

    def verify(self, kills: int) -> Generator[Verification, None, None]:
        """Kill until there were so many kills and the last run has ended; yields the state of things after each.

        Leaves no process behind, also where it is closed before.

        Raises:
            RunError: the command itself fails, so nothing can be said.
        """
        try:
            yield from self._verify(kills)
        finally:
            # It is none of this process's children while its server still imports TensorFlow.
            for process in multiprocessing.active_children():
                process.kill()
                process.join()

    def _verify(self, kills: int) -> Iterator[Verification]:
        reference = self._folder / "uninterrupted"
        if self._finish(self._begin([*self._words, "--run-dir", str(reference)])) != 0:
            raise RunError(f"the command fails without being killed; see {self._log}")
        spent = read_json(reference / "summary.json")["seconds"]
        # Kills come while it validates too.
        seconds = float(spent["train"] + spent["validate"])
        expected = fingerprint_of(reference)
        result = Verification()
        while len(result.kills) < kills:
            number = len(result.differences) + 1
            run_dir = self._folder / f"killed-{number}"
            words = [*self._words, "--run-dir", str(run_dir)]
            while True:
                process = self._begin(words)
                wanted = len(result.kills) < kills
                moment = self._draw.choice(["training", "saving"]) if wanted else ""
                if not (wanted and self._kill(process, run_dir, moment, self._draw.uniform(0, 0.6 * seconds))):
                    break
                result.kills.append(Kill(number, moment, *_saved_position(run_dir)))
                yield result
                words = ["resume", str(run_dir)]
            status = self._finish(process)
            failed = [f"the resumed run ended with exit status {status}; see {self._log}"] if status else []
            result.differences.append(failed or compare(expected, fingerprint_of(run_dir)))
            yield result

    @property
    def _log(self) -> Path:
        return self._folder / "log.txt"

    def _begin(self, words: list[str]) -> Any:
        process = self._context.Process(target=self._run, args=(words, self._log))
        process.start()
        return process

    def _finish(self, process: Any) -> int:
        process.join()
        return int(process.exitcode)

    def _kill(self, process: Any, run_dir: Path, moment: str, delay: float) -> bool:
        """Kill a run at its moment; False where it ended before."""
        before = _size(run_dir / "metrics.csv")
        deadline = time.monotonic() + _BEGIN_SECONDS
        while process.is_alive() and _size(run_dir / "metrics.csv") == before:
            if time.monotonic() > deadline:
                process.kill()
                raise RunError(f"the run did not begin to train; see {self._log}")
            time.sleep(_POLL_SECONDS)
        until = time.monotonic() + delay
        resume = run_dir / "checkpoints" / "resume"
        while process.is_alive() and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        while moment == "saving" and process.is_alive() and not any(resume.glob(".new-*")):
            time.sleep(_POLL_SECONDS / 10)
        if not process.is_alive():
            return False
        process.kill()
        process.join()
        # It may have ended by itself in the last moment.
        return bool(process.exitcode != 0)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _saved_position(run: Path) -> tuple[int, int]:
    point = ResumeStore(run / "checkpoints" / "resume").load().point
    return (point.epoch, point.step) if point else (0, 0)


def fingerprint_of(run: Path) -> dict[str, bytes]:
    """Everything of a run that has to come out the same, by name: metrics, exact state, rules, every saved model."""
    written = [path for path in (run / "metrics.csv", run / "steps.csv") if path.exists()]
    parts = {path.name: path.read_bytes() for path in written}
    for path in sorted((run / "tensorboard").glob(f"*/{EPOCHS_NAME}")):
        parts[f"tensorboard {path.parent.name}"] = without_times(path.read_bytes())
    point = ResumeStore(run / "checkpoints" / "resume").load().point
    if point is not None:
        parts |= _of_point(point)
    for path in sorted((run / "checkpoints").glob("[!.]*.keras")):
        parts |= {f"{path.name} {name}": value for name, value in model_arrays(path).items()}
    return parts


def _of_point(point: ResumePoint) -> dict[str, bytes]:
    groups = {
        "weights and slots": point.live,
        "sums of the epoch": point.partial_sums,
        **{f"best by {name}": state for name, state in point.best_states.items()},
    }
    parts = {f"{name} {i}": array.tobytes() for name, arrays in groups.items() for i, array in enumerate(arrays)}
    plain = {"epoch": point.epoch, "step": point.step, "rules": point.rule_state, "best": point.best}
    plain["learning rate"] = point.plateau_state
    return parts | {name: repr(value).encode() for name, value in {**plain, "stop": point.stopped}.items()}


def model_arrays(path: Path) -> dict[str, bytes]:
    """The arrays in a .keras file by name, weights and optimizer, read without Keras."""
    arrays = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:

        def take(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                arrays[name] = np.asarray(item[()]).tobytes()

        file.visititems(take)
    return arrays


def compare(expected: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    """The names of what differs."""
    names = sorted(expected.keys() | found.keys())
    return [name for name in names if expected.get(name) != found.get(name)]

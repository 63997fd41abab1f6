"""Whether resuming is exact: a run is killed again and again, resumed each time, and compared with one that was not."""

from __future__ import annotations

import io
import multiprocessing
import random
import time
import zipfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stopcli.configs.user_code import NOT_EXACT
from stopcli.errors import RequestError, RunError
from stopcli.report.document import Table
from stopcli.runner.resume import read_config
from stopcli.runs.run import Run
from stopcli.runs.summary import RunSummary
from stopcli.runs.tensorboard import EPOCHS_NAME, without_times
from stopcli.training.state_file import StateStore, TrainState

RunProgram = Callable[[list[str], Path], None]
"""Runs the program with some arguments in a process of its own, and appends its output to a log."""

# How often the run is looked at while the moment to kill it is awaited.
_POLL_SECONDS = 0.0005
# A run that has not started to train by then hangs.
_START_SECONDS = 300.0


@dataclass(frozen=True)
class Kill:
    """One SIGKILL.

    Attributes:
        run: the number of the run, counted from 1.
        moment: `training` (any time after it had started, evaluation and plots too) or `saving` (as a state was
            written).
        epoch, step: of the newest state on the disk at that moment, from which the run was resumed; 0 for none.
    """

    run: int
    moment: str
    epoch: int
    step: int


@dataclass
class Verification:
    """The kills, and for each run in what it differs from the uninterrupted one."""

    kills: list[Kill] = field(default_factory=list)
    differences: list[list[str]] = field(default_factory=list)

    @property
    def identical(self) -> bool:
        return bool(self.differences) and not any(self.differences)

    def table(self) -> Table:
        """A row for each kill."""
        rows = []
        for i, kill in enumerate(self.kills, start=1):
            position = (str(kill.epoch), str(kill.step)) if kill.step else ("(from the start)", "")
            rows.append((str(i), str(kill.run), kill.moment, *position))
        return Table("Kills", ("kill", "run", "while", "resumed after epoch", "after step"), tuple(rows))

    def to_dict(self) -> dict[str, Any]:
        """Kills and runs, for JSON."""
        runs = [{"run": number, "differences": names} for number, names in enumerate(self.differences, start=1)]
        return {"identical": self.identical, "kills": [asdict(kill) for kill in self.kills], "runs": runs}


class Verifier:
    """Trains a command without interruption once, then under kills at moments that the seed draws. Other processes
    import `run_program` by its name."""

    def __init__(self, command: list[str], run_program: RunProgram, folder: Path, seed: int) -> None:
        self._command, self._run_program, self._folder = command, run_program, folder
        self._random = random.Random(seed)
        self._log = folder / "log.txt"
        # TensorFlow is imported once, by a server from which each run is forked; a run still starts it anew.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["stopcli.training.preload"])

    def verify(self, kills: int) -> Generator[Verification]:
        """Kill until there were so many kills and the last run has ended; yields the results so far after each.

        Leaves no process behind, also where the iterator is closed early.

        Raises:
            RequestError: the command is refused.
            RunError: it fails, or says itself that it is not exact, so there is nothing to compare.
        """
        try:
            reference = self._folder / "uninterrupted"
            status = self._wait(self._start([*self._command, "--run-dir", str(reference)]))
            if status == RequestError.exit_status:
                raise RequestError(self._refusal())
            if status != 0:
                raise RunError(f"the command fails without being killed; see {self._log}")
            summary = Run.read(reference).summary
            assert isinstance(summary, RunSummary)
            if summary.exact is False:
                raise RunError(f"there is nothing to verify: {NOT_EXACT}")
            config = read_config(reference)
            for name in config.measured_settings:
                # A killed run would measure it in other circumstances.
                self._command = [*self._command, f"--{name.replace('_', '-')}", str(getattr(config, name))]
            # Kills come during validation too.
            seconds = summary.seconds["train"] + summary.seconds["validate"]
            expected = fingerprint_of(reference)
            result = Verification()
            while len(result.kills) < kills:
                yield from self._verify_run(result, kills, 0.6 * seconds, expected)
        finally:
            # It is none of this process's children while its server still imports TensorFlow.
            for process in multiprocessing.active_children():
                process.kill()
                process.join()

    def _refusal(self) -> str:
        """What the command says is wrong with the request."""
        _, _, refusal = self._log.read_text(errors="backslashreplace").rpartition("Error: ")
        return refusal.strip()

    def _verify_run(
        self, result: Verification, kills: int, longest: float, expected: dict[str, bytes]
    ) -> Iterator[Verification]:
        """Start one run, kill and resume it until it ends, and compare it."""
        number = len(result.differences) + 1
        run_dir = self._folder / f"killed-{number}"
        argv = [*self._command, "--run-dir", str(run_dir)]
        while True:
            process = self._start(argv)
            if len(result.kills) == kills:
                break
            moment = self._random.choice(["training", "saving"])
            if not self._kill(process, run_dir, moment, self._random.uniform(0, longest)):
                break
            state = StateStore(run_dir / "checkpoints" / "resume").load().state
            result.kills.append(Kill(number, moment, *((state.epoch, state.step) if state else (0, 0))))
            yield result
            argv = ["resume", str(run_dir)]
        status = self._wait(process)
        if status:
            result.differences.append([f"the resumed run ended with exit status {status}; see {self._log}"])
        else:
            result.differences.append(compare(expected, fingerprint_of(run_dir)))
        yield result

    def _start(self, argv: list[str]) -> Any:
        process = self._context.Process(target=self._run_program, args=(argv, self._log))
        process.start()
        return process

    def _wait(self, process: Any) -> int:
        process.join()
        return int(process.exitcode)

    def _kill(self, process: Any, run_dir: Path, moment: str, delay: float) -> bool:
        """Kill a run at its moment; False where it ended before."""
        before = _size(run_dir / "metrics.csv")
        deadline = time.monotonic() + _START_SECONDS
        while process.is_alive() and _size(run_dir / "metrics.csv") == before:
            if time.monotonic() > deadline:
                process.kill()
                raise RunError(f"the run did not start to train; see {self._log}")
            time.sleep(_POLL_SECONDS)
        until = time.monotonic() + delay
        states = run_dir / "checkpoints" / "resume"
        while process.is_alive() and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        while moment == "saving" and process.is_alive() and not any(states.glob(".new-*")):
            time.sleep(_POLL_SECONDS / 10)
        if not process.is_alive():
            return False
        process.kill()
        # It may have ended by itself in the last moment.
        return self._wait(process) != 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def fingerprint_of(run: Path) -> dict[str, bytes]:
    """Everything of a run that has to come out the same, by name: metrics, predictions, exact state, rules, every saved
    model."""
    paths = [run / name for name in ("metrics.csv", "steps.csv", "predictions.npz")]
    parts = {path.name: path.read_bytes() for path in paths if path.exists()}
    for path in sorted((run / "tensorboard").glob(f"*/{EPOCHS_NAME}")):
        parts[f"tensorboard {path.parent.name}"] = without_times(path.read_bytes())
    state = StateStore(run / "checkpoints" / "resume").load().state
    if state is not None:
        parts |= _state_parts(state)
    for path in sorted((run / "checkpoints").glob("[!.]*.keras")):
        parts |= {f"{path.name} {name}": value for name, value in model_arrays(path).items()}
    return parts


def _state_parts(state: TrainState) -> dict[str, bytes]:
    groups = {
        "weights and slots": state.live,
        "sums of the epoch": state.partial_sums,
        **{f"best by {name}": arrays for name, arrays in state.best_states.items()},
    }
    plain = {
        "epoch": state.epoch,
        "step": state.step,
        "rules": state.rule_state,
        "best": state.best,
        "learning rate": state.plateau_state,
        "stop": state.stopped,
    }
    parts = {f"{name} {i}": array.tobytes() for name, arrays in groups.items() for i, array in enumerate(arrays)}
    return parts | {name: repr(value).encode() for name, value in plain.items()}


def model_arrays(path: Path) -> dict[str, bytes]:
    """The arrays in a .keras file by name, weights and optimizer, read without Keras."""
    arrays = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:

        def add(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                arrays[name] = np.asarray(item[()]).tobytes()

        file.visititems(add)
    return arrays


def compare(expected: dict[str, bytes], received: dict[str, bytes]) -> list[str]:
    """The names of what differs."""
    names = sorted(expected.keys() | received.keys())
    return [name for name in names if expected.get(name) != received.get(name)]

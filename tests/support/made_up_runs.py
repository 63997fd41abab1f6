"""Sweeps whose runs train nothing: each has the results that a test gives it, in a folder as a run leaves it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
from summaries import run_content

from stopcli.errors import RunError
from stopcli.recipes.base import LoadedConfig
from stopcli.runs.files import write_json
from stopcli.runs.folder import RunFolder
from stopcli.training.session import Session

# Whose data are read in no time.
CUTOUT = [
    *("cutout-sweep", "--dataset", "digits", "--limit", "320", "--epochs", "2", "--m", "2", "--no-checkpoint"),
    *("--executor", "in-process", "--seeds", "auto"),
]


def write_result(folder: RunFolder, config: Any, accuracy: float) -> None:
    """What a run leaves that has finished."""
    values = {"epoch": config.epochs, "train": {"accuracy": 1.0}, "val": {"accuracy": accuracy}}
    content = run_content(
        command="cifar-resnet",
        seed=config.seed,
        epochs=config.epochs,
        max_epochs=config.epochs,
        copies=config.copies,
        rows={"train": 320, "validation": 100, "test": 100},
        final={**values, "test": {"accuracy": accuracy}},
        best=None,
        run_dir=str(folder.path),
    )
    write_json(folder.summary, content)
    folder.status.write("finished", epoch=config.epochs)


# How an arm differs from the baseline: the mean and the standard deviation of its differences, in accuracy.
DIFFERENT, UNCLEAR, EQUAL = (0.04, 0.02), (0.0, 0.05), (0.0, 0.002)


def accuracy_of(differences: tuple[float, float], failing: str = "") -> Callable[[Any], float | None]:
    """What a run comes to, by its seed.

    Args:
        differences: as above.
        failing: the arm whose runs fail: `simple` or `m2`.
    """

    def accuracy(config: Any) -> float | None:
        base, change = np.random.default_rng(config.seed).normal(size=2)
        arm = "simple" if config.cutout is None else f"m{config.copies}"
        mean, deviation = differences if arm != "simple" else (0.0, 0.0)
        return None if arm == failing else float(round(0.8 + 0.02 * base + mean + deviation * change, 4))

    return accuracy


@contextlib.contextmanager
def made_up_runs(
    accuracy: Callable[[Any], float | None], after: Callable[[str, Session], None] | None = None
) -> Iterator[list[str]]:
    """Within the block, a run of this process comes to an accuracy, or fails where that is None.

    Args:
        accuracy: from its settings.
        after: called before a run ends, with its name and its session.

    Returns:
        The names of the runs, in the order in which they were run.
    """
    from stopcli.runner import run

    names: list[str] = []

    def run_one(loaded: LoadedConfig, folder: RunFolder, session: Session, *_: Any, **__: Any) -> None:
        names.append(folder.path.name)
        folder.status.write("running")
        value = accuracy(loaded.config)
        if after is not None:
            after(folder.path.name, session)
        if value is None:
            folder.status.write("failed", "its loss is not a number")
            raise RunError("its loss is not a number")
        write_result(folder, loaded.config, value)

    with mock.patch.object(run, "run_one", run_one):
        yield names

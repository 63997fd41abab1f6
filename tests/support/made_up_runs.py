"""Sweeps whose runs train nothing: each has the results that a test gives it, in a folder as a run leaves it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

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


@contextlib.contextmanager
def made_up_runs(
    accuracy: Callable[[Any], float | None], after: Callable[[Session], None] | None = None
) -> Iterator[list[str]]:
    """Within the block, a run of this process comes to an accuracy, or fails where that is None.

    Args:
        accuracy: from its settings.
        after: called when a run has ended, with its session.

    Returns:
        The names of the runs, in the order in which they were run.
    """
    from stopcli.runner import run

    names: list[str] = []

    def run_one(loaded: LoadedConfig, folder: RunFolder, session: Session, *_: Any, **__: Any) -> None:
        names.append(folder.path.name)
        value = accuracy(loaded.config)
        if value is None:
            folder.status.write("failed", "its loss is not a number")
            raise RunError("its loss is not a number")
        write_result(folder, loaded.config, value)
        if after is not None:
            after(session)

    with mock.patch.object(run, "run_one", run_one):
        yield names

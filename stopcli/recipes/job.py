"""One job of a sweep: begun in its folder, or gone on with where an earlier process left it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stopcli.config import to_toml
from stopcli.errors import RecordError, RequestError, RunFolderError, StopcliError, in_a_line
from stopcli.recipes.recipe import Loaded, ModuleRecipe
from stopcli.recipes.resuming import Resumption, prepare
from stopcli.runs.folder import RunFolder
from stopcli.runs.lock import is_held
from stopcli.sweeps.collect import needs_run
from stopcli.sweeps.executor import JobContext
from stopcli.sweeps.plan import Job
from stopcli.training.observer import Observer, Silent
from stopcli.training.pacing import Stopwatch
from stopcli.training.session import Session, Start
from stopcli.training.tensorflow_setup import start_tensorflow

# A process whose machine or parent has just gone may still be saving what it has.
LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class RunJob:
    """Runs a job in its folder under `jobs`, which is made, or gone on with where it is there. Executors pickle it.

    Attributes:
        jobs: the folder that holds the jobs' folders; absolute, and shared by all machines.
        force: go on with a job although settings, versions or data have changed.
        retry_failed: also go on with one that failed by an error of its own.
        plots: whether its figures are drawn.
        shared: the data of all jobs, where they are the same and in this process; else each job reads its own.
    """

    jobs: Path
    force: bool = False
    retry_failed: bool = False
    plots: bool = True
    shared: Loaded | None = None

    def __call__(self, job: Job[Any], context: JobContext) -> None:
        path = self.jobs / job.name
        _wait_for(path)
        if path.exists() and not needs_run(path, retry_failed=self.retry_failed):
            return
        config, start = job.config, Start()
        warnings: tuple[str, ...] = ()
        is_new = not path.exists()
        with (
            RunFolder.create(root=self.jobs, command=config.command, run_dir=path, config=to_toml(config))
            if is_new
            else RunFolder.reopen(path, checked=False) as folder
        ):
            if not is_new and folder.config.exists():
                resumption = self._prepare(path, folder)
                config, start, warnings = resumption.config, resumption.start, resumption.warnings
            elif not is_new:
                # Killed between making the folder and its first file.
                folder.write_config(to_toml(config))
                start = Start(again=folder.environment.exists())
            for warning in warnings:
                folder.log(f"warning: {warning}")
            self._run(config, folder, context, start)

    def _prepare(self, path: Path, folder: RunFolder) -> Resumption:
        try:
            return prepare(path, force=self.force)
        except RecordError as error:
            # Once the file is put back, it goes on without being asked for.
            folder.status.write("failed", in_a_line(error), outside=True)
            raise
        except RequestError:
            # Refused, such as for other versions: the job is as it was, and goes on once it is forced.
            raise
        except StopcliError as error:
            # A failure of the run's own, such as states that cannot be read.
            folder.status.write("failed", in_a_line(error))
            raise

    def _run(self, config: Any, folder: RunFolder, context: JobContext, start: Start) -> None:
        # Neither is needed to find out that there is nothing to do.
        start_tensorflow(getattr(config, "threads", None))
        from stopcli.recipes.running import run_one

        observer: Observer = Silent()
        recipe, stopwatch = ModuleRecipe(config.command), Stopwatch()
        with stopwatch.part("data"):
            loaded = replace(self.shared, config=config) if self.shared else recipe.load(config, observer)
        session = Session(observer, context.request, stopwatch)
        loop_cache = context.loop_cache if self.shared else None
        run_one(loaded, recipe, folder, session, start, loop_cache=loop_cache, plots=self.plots)


def _wait_for(path: Path) -> None:
    """Wait for another process that is still writing a job's folder, such as one that lost its sweep.

    Raises:
        RunFolderError: it goes on writing.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while is_held(path):
        if time.monotonic() > deadline:
            raise RunFolderError(f"{path} is still being written by another process")
        time.sleep(_POLL_SECONDS)

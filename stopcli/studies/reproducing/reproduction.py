"""Published results repeated: what is not done yet is run, what is done is taken, and all of it is judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stopcli.errors import ResourceError, RunFolderError, system_words
from stopcli.runs.environment import describe_environment
from stopcli.runs.files import read_json
from stopcli.runs.folder import check_can_be_made
from stopcli.studies.reproducing.children import describe, run_sweep
from stopcli.studies.reproducing.images import Images
from stopcli.studies.reproducing.leaving import check_can_be_left, leave_reproduction
from stopcli.studies.reproducing.planning import (
    Experiment,
    Progress,
    ReproductionScale,
    Sweep,
    plan,
    progress_of,
    read_all,
)
from stopcli.studies.reproducing.results import ExperimentResult, results_of
from stopcli.studies.reproducing.settings import needs_images
from stopcli.studies.reproducing.telling import ReportContext
from stopcli.training.interruption import StopRequest

# Below a folder of runs.
FOLDER = "reproduction"


@dataclass(frozen=True)
class Plan:
    """What is to be run, and where it stands.

    Attributes:
        words: the options that make the report again, without the files.
    """

    experiments: tuple[Experiment, ...]
    progress: dict[str, Progress]
    scale: ReproductionScale
    images: Images | None
    words: tuple[str, ...]

    @property
    def sweeps(self) -> list[Sweep]:
        return [sweep for experiment in self.experiments for sweep in experiment.sweeps]

    def describe(self) -> list[str]:
        """A line for each sweep."""
        return [describe(sweep, self.progress[sweep.name]) for sweep in self.sweeps]


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        summary: the content of summary.json.
        failed: names of sweeps that failed.
    """

    results: tuple[ExperimentResult, ...]
    summary: dict[str, Any]
    failed: tuple[str, ...]
    unfinished: str


def make_plan(
    paths: Sequence[Path],
    *,
    scale: ReproductionScale,
    find: Callable[[], Images],
    seeds: int | None,
    root: Path,
    to: Path,
    words: Sequence[str],
) -> Plan:
    """Check everything that can be checked before anything is run.

    Args:
        find: finds the images; asked only where an experiment needs them.
        root: holds the runs.
        to: where the report goes.

    Raises:
        RequestError: a file, a folder or a setting is not as it should be.
    """
    files = read_all(paths)
    check_can_be_left(to, {path.stem for path in files}, scale)
    check_can_be_made(root, None)
    images = find() if any(map(needs_images, files.values())) else None
    experiments = tuple(plan(path, published, scale, images, seeds, root / FOLDER) for path, published in files.items())
    progress = {sweep.name: progress_of(sweep) for each in experiments for sweep in each.sweeps}
    return Plan(experiments, progress, scale, images, tuple(words))


def reproduce(
    plan: Plan, to: Path, request: StopRequest, tell: Callable[[str], None], talk: Sequence[str] = ()
) -> Outcome:
    """Run what is left, and write the report of all there is.

    Args:
        request: what ends it from outside.
        tell: is told what is done, a line each.
        talk: as for `run_sweep`.

    Raises:
        ResourceError: the report cannot be written.
    """
    found = {sweep.name: _run(sweep, request, tell, talk) for sweep in plan.sweeps}
    problems = {name: problem for name, problem in found.items() if problem}
    done = all(read_json(sweep.folder / "status.json").get("state") == "finished" for sweep in plan.sweeps)
    unfinished = ""
    if request.asked and not done:
        unfinished = f"Ended by {request.words} before everything was run; the same command goes on."
    told = ReportContext(plan.scale, plan.words, plan.images, describe_environment({}), problems, unfinished)
    results = tuple(results_of(experiment) for experiment in plan.experiments)
    try:
        summary = leave_reproduction(to, results, told)
    except OSError as error:
        raise ResourceError(
            f"{to}: the report cannot be written ({system_words(error)})",
            hint="What was run is kept; the same command writes the report.",
        ) from error
    return Outcome(results, summary, tuple(problems), unfinished)


def _run(sweep: Sweep, request: StopRequest, tell: Callable[[str], None], talk: Sequence[str]) -> str:
    """Run what is left of a sweep. Returns why it failed, in words; empty where it did not."""
    try:
        # Asked again: since it was planned, another call may have run it, or run it now.
        state = progress_of(sweep)
    except RunFolderError as error:
        return error.message
    tell(describe(sweep, state))
    if state == "diverged":
        return "runs of it diverged, and would again"
    return run_sweep(sweep, state, request, talk) if state != "finished" and not request.asked else ""

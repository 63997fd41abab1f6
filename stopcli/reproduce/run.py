"""Published results repeated: what is missing is run, what is done is reused, and all of it is judged.

Each sweep runs in its own process, as the program itself runs it: TensorFlow's state belongs to a process.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stopcli.configs.base import to_toml
from stopcli.errors import ResourceError, RunFolderError, system_words
from stopcli.quantities import format_duration
from stopcli.reproduce.plan import (
    Experiment,
    Progress,
    ReproductionScale,
    Sweep,
    plan,
    progress_of,
    read_all,
    scale_folder,
    scale_of,
)
from stopcli.reproduce.report import ReportContext, check_destination, write_reproduction
from stopcli.reproduce.results import ExperimentResult, results_of
from stopcli.reproduce.sizes import MakeMeter, settle_sizes
from stopcli.reproduce.spec import Images, needs_images
from stopcli.runs.environment import describe_environment
from stopcli.runs.files import temporary_files, write_text
from stopcli.runs.folder import check_can_be_made
from stopcli.runs.run import Run
from stopcli.runs.summary import SweepSummary
from stopcli.training.session import StopRequest

# Below a folder of runs.
FOLDER = "reproduction"
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Plan:
    """What is to be run, how far each sweep is, by its name, and the options that make the report again without the
    files."""

    experiments: tuple[Experiment, ...]
    progress: dict[str, Progress]
    scale: ReproductionScale
    images: Images | None
    options: tuple[str, ...]

    @property
    def sweeps(self) -> list[Sweep]:
        return [sweep for experiment in self.experiments for sweep in experiment.sweeps]

    @property
    def predicted_seconds(self) -> float | None:
        """What all runs take whose size was chosen by a measurement, those that are done included; None where none
        was."""
        sizes = [experiment.size for experiment in self.experiments if experiment.size]
        return sum(size.predicted_seconds for size in sizes) if sizes else None

    def describe(self) -> list[str]:
        """A line for each sweep."""
        return [sweep.describe(self.progress[sweep.name]) for sweep in self.sweeps]

    def describe_sizes(self) -> list[str]:
        """A line for each published result, on its size, its precision and its time, and one for all together; none
        where no size was chosen by a measurement."""
        if self.predicted_seconds is None:
            return []
        lines, unmeasured = [], []
        for experiment in self.experiments:
            setting = experiment.describe_changes() or "the published setting"
            if experiment.size is None:
                unmeasured.append(experiment.name)
                lines.append(f"{experiment.name}: {setting}, not measured")
            else:
                lines.append(f"{experiment.name}: {setting}; {experiment.size.describe()}")
                if experiment.size.measured_busy:
                    lines.append(
                        f"{experiment.name}: other programs had the processor while it was measured; without "
                        f"{experiment.size.file_name(experiment.name)} beside its runs it is measured again"
                    )
        without = f", without {', '.join(unmeasured)}" if unmeasured else ""
        return [*lines, f"In all: about {format_duration(self.predicted_seconds)}{without}"]


def make_plan(
    paths: Sequence[Path],
    *,
    scale: ReproductionScale,
    load: Callable[[], Images],
    seeds: int | None,
    root: Path,
    to: Path,
    options: Sequence[str],
    make_meter: MakeMeter,
) -> Plan:
    """Check everything that can be checked before anything is run; images are loaded only where an experiment needs
    them. Where a published result has several sizes, and no earlier call has chosen one, this machine is measured, and
    the choice is written.

    Args:
        load: reads the images.
        seeds: instead of the files'.
        root: of all runs.
        to: the folder of the report.
        options: that make the report again, without the files.
        make_meter: makes what measures; called only where something is to be measured.

    Raises:
        RequestError: a file, a folder or a setting is wrong.
        ResourceError: the machine cannot be measured.
    """
    files = read_all(paths)
    sized = [published for published in files if scale_of(published, scale) == scale]
    check_destination(to, {published.name for published in files}, scale)
    check_can_be_made(root, None)
    images = load() if any(map(needs_images, files)) else None
    root = root / FOLDER
    sizes = settle_sizes(sized, scale, images, seeds, scale_folder(root, scale, images), make_meter)
    experiments = tuple(plan(published, scale, images, seeds, root, sizes.get(published.name)) for published in files)
    progress = {sweep.name: progress_of(sweep) for experiment in experiments for sweep in experiment.sweeps}
    return Plan(experiments, progress, scale, images, tuple(options))


def reproduce(
    plan: Plan, to: Path, request: StopRequest, say: Callable[[str], None], output_options: Sequence[str] = ()
) -> tuple[list[ExperimentResult], dict[str, Any]]:
    """Run what is left, with a line said on each sweep, and write the report of everything that has been run. Returns
    the results, and the content of summary.json. Raises ResourceError where the report cannot be written."""
    failures = {sweep.name: _run(sweep, request, say, output_options) for sweep in plan.sweeps}
    failures = {name: failure for name, failure in failures.items() if failure}
    done = all(Run.read(sweep.folder).status.state == "finished" for sweep in plan.sweeps)
    unfinished = ""
    if request.stop_requested and not done:
        unfinished = f"Ended by {request.reason} before everything was run; the same command resumes it."
    context = ReportContext(plan.scale, plan.options, plan.images, describe_environment(), failures, unfinished)
    results = [results_of(experiment) for experiment in plan.experiments]
    try:
        return results, write_reproduction(to, results, context)
    except OSError as error:
        raise ResourceError(
            f"{to}: the report cannot be written ({system_words(error)})",
            hint="The runs are kept; the same command writes the report.",
        ) from error


def _run(sweep: Sweep, request: StopRequest, say: Callable[[str], None], output_options: Sequence[str]) -> str:
    """Run what is left of a sweep. Returns why it failed; empty where it did not."""
    try:
        # Again, because another call may have run it since it was planned, or may be running it now.
        progress = progress_of(sweep)
    except RunFolderError as error:
        return error.message
    say(sweep.describe(progress))
    if progress == "diverged":
        return "some of its runs diverged, and would again"
    if progress == "finished" or request.stop_requested:
        return ""
    return run_sweep(sweep, progress, request, output_options)


def run_sweep(sweep: Sweep, progress: Progress, request: StopRequest, output_options: Sequence[str] = ()) -> str:
    """Start or resume a sweep, and wait until its process has ended.

    A signal to this process is forwarded to it once, and it saves. What it prints goes to stderr; its results are read
    from its folder.

    Args:
        request: what ends it from outside; its time budget is the sweep's.
        output_options: how much it prints.

    Returns:
        Why it failed; empty where it did not.
    """
    with temporary_files(sweep.folder), tempfile.TemporaryDirectory(prefix="stopcli-reproduce-") as folder:
        config = Path(folder) / f"{sweep.experiment}.toml"
        write_text(config, to_toml(sweep.config))
        argv = ["run", str(config), "--run-dir", str(sweep.folder)]
        if progress == "unfinished":
            argv = ["resume", str(sweep.folder), *(["--retry-failed"] if sweep.config.is_sweep else [])]
        if request.seconds_left is not None:
            # A budget of nothing is refused; a sweep that gets one ends after its first call.
            argv += ["--time-budget", f"{max(request.seconds_left, 0.1):.1f}s"]
        status = _wait([sys.executable, "-m", "stopcli", *argv, *output_options], request)
    # A process that was asked to stop did not fail, whatever its status.
    return "" if request.signalled or not status else _failure(sweep, status)


def _wait(command: Sequence[str], request: StopRequest) -> int:
    # A session of its own: Ctrl-C at a terminal goes to a whole group, and the second signal would not let it save.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    forwarded = False
    try:
        while process.poll() is None:
            if request.signalled and not forwarded:
                forwarded = True
                # Also where this process got a SIGHUP, which no second signal would follow: see stop_on_signals.
                process.send_signal(signal.SIGINT if request.exit_status == 128 + signal.SIGINT else signal.SIGTERM)
            time.sleep(_POLL_SECONDS)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    return process.returncode


def _failure(sweep: Sweep, status: int) -> str:
    """Why a process failed, from its exit status and its folder."""
    run = Run.read(sweep.folder)
    jobs = run.summary.jobs if isinstance(run.summary, SweepSummary) else ()
    reasons = [run.status.reason, *(f"{job.name}: {job.reason}" for job in jobs if job.reason)]
    ending = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    return ": ".join(filter(None, (ending, "; ".join(filter(None, reasons)))))

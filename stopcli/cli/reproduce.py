"""`stopcli reproduce`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stopcli.cli.console import Output
from stopcli.cli.live import RunView
from stopcli.cli.options import Json, Quiet, RunsDir, TimeBudget, Verbose, in_panel, option_of
from stopcli.configs.images import DataSettings
from stopcli.paths import parse_path
from stopcli.quantities import parse_duration
from stopcli.runs.files import dump_json, temporary_files
from stopcli.runs.folder import runs_root
from stopcli.training.session import stop_on_signals

if TYPE_CHECKING:
    from stopcli.reproduce.run import Plan

option = in_panel("Reproduction")

Scale = Literal["quick", "overnight", "full"]

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Names of published results (clr, cutout, moons, random-erasing), files of your own, or folders of them.",
        metavar="EXPERIMENT",
        parser=parse_path,
        show_default="all that stopcli has",
    ),
]
ReproductionScale = Annotated[
    Scale,
    option(
        "--scale",
        help="quick: smaller settings, for trends, in about 40 minutes; overnight: all images, in about 8 hours; both "
        "as large as this machine is measured to allow; full: the published ones, for verdicts.",
    ),
]
ReproductionSeeds = Annotated[
    int | None, option("--seeds", help="Runs of each arm, ≥ 1; an interval needs 3.", show_default="from the file")
]
To = Annotated[
    Path,
    option(
        "--to",
        metavar="PATH",
        parser=parse_path,
        help="Folder for REPRODUCTION.md, REPRODUCTION.html and their figures.",
        show_default="the current folder",
    ),
]
PlanOnly = Annotated[
    bool,
    option(
        "--dry-run", help="Check the files, choose sizes, and print what would be run and for how long; do not run it."
    ),
]


def reproduce(
    experiments: Files = None,
    scale: ReproductionScale = "quick",
    seeds: ReproductionSeeds = None,
    dataset: Annotated[str, option_of(DataSettings, "dataset")] = "auto",
    to: To = Path(),
    dry_run: PlanOnly = False,
    time_budget: TimeBudget = None,
    runs_dir: RunsDir = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Repeat published results and check which hold: reported beside measured values, with a verdict on each.

    Runs what is missing, each sweep in its own folder, which a later call finds again; resumes what was interrupted;
    and writes REPRODUCTION.md and REPRODUCTION.html.
    """
    output = Output(json, quiet, verbose)
    budget = None if time_budget is None else parse_duration("time_budget", time_budget)
    plan = _plan(experiments or (), scale, seeds, dataset, to, runs_root(runs_dir), output)
    if dry_run:
        lines, sizes = plan.describe(), plan.describe_sizes()
        content = {"command": "reproduce", "plan": lines, "sizes": sizes, "seconds": plan.predicted_seconds}
        print(dump_json(content) if json else "\n".join([*lines, *sizes]))
        return
    for line in plan.describe_sizes():
        output.say(line)
    output_options = [option for option, is_set in (("--quiet", quiet), ("--verbose", verbose)) if is_set]
    from stopcli.reproduce.report import terminal_table
    from stopcli.reproduce.run import reproduce as run_all

    with stop_on_signals(budget) as request:
        results, summary = run_all(plan, to, request, lambda line: output.say(line, style="bold"), output_options)
    output.result(terminal_table(results), summary)
    failures = [f"{name} failed: {reason}" for name, reason in summary["problems"].items()]
    for line in (*summary["conclusions"], *failures, f"Report: {to / 'REPRODUCTION.md'}", summary["unfinished"]):
        if line:
            output.say(line)
    status = request.exit_status if request.signalled else 1 if failures else 0
    if status:
        raise typer.Exit(status)


def _plan(
    experiments: Sequence[Path], scale: Scale, seeds: int | None, dataset: str, to: Path, root: Path, output: Output
) -> Plan:
    """What is to be run, after warning of images that are not the published ones."""
    from stopcli.data.load import load_images
    from stopcli.reproduce.run import make_plan
    from stopcli.reproduce.spec import Images
    from stopcli.runner.speed_meter import SpeedMeter

    values = {
        "--scale": None if scale == "quick" else scale,
        "--seeds": None if seeds is None else str(seeds),
        "--dataset": None if dataset == "auto" else dataset,
    }
    options = [word for name, value in values.items() if value is not None for word in (name, value)]
    with RunView(output, "reproduce") as observer, temporary_files(root):

        def load() -> Images:
            return Images.of(load_images(dataset, on_progress=observer.counted))

        plan = make_plan(
            experiments,
            scale=scale,
            load=load,
            seeds=seeds,
            root=root,
            to=to,
            options=options,
            make_meter=lambda images, test_images: SpeedMeter(images, test_images, observer),
        )
    if plan.images is not None:
        differ = [] if plan.images.published else [f"training on {plan.images.description}"]
        for note in (*differ, *plan.images.notes):
            output.warn(note)
    return plan

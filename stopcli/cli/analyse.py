"""`stopcli report`, `compare`, `replay` and `recommend`: what read finished runs, and train nothing."""

from __future__ import annotations

import contextlib
import os
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stopcli.cli.console import Output
from stopcli.cli.options import (
    Json,
    Quiet,
    RunDir,
    RunPaths,
    RunsDir,
    Verbose,
    complete_runs,
    in_panel,
    option_of,
    parse_counts,
    parse_numbers,
    parse_numbers_or_words,
    parse_words,
)
from stopcli.configs.base import Mode, RunConfig
from stopcli.configs.training import StoppingSettings
from stopcli.errors import ConfigError, RequestError, ResourceError, system_words
from stopcli.paths import parse_path
from stopcli.runs.files import dump_json
from stopcli.runs.folder import check_can_be_made, runs_root
from stopcli.runs.run import resolve_run
from stopcli.stopping.combine import RULE_METRICS, rule_examples

if TYPE_CHECKING:
    from stopcli.analysis.replay import ReplayOptions
    from stopcli.report.html import AnalysisOutput

Name = Annotated[str, option_of(RunConfig, "name")]
To = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", parser=parse_path, help="Write the HTML to a new file, and leave the run's folder as it is."
    ),
]
Open = Annotated[bool, typer.Option("--open", help="Open the report in the browser.")]
ReportJson = Annotated[bool, typer.Option("--json", help="Print the files that were written as JSON on stdout.")]


def report(
    runs: RunPaths,
    to: To = None,
    open_it: Open = False,
    runs_dir: RunsDir = None,
    json: ReportJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write report.html and report.md of a run or a sweep again, from what its folder holds now.

    Of a CSV file of metrics it writes NAME.html and NAME.md beside the file.

    The HTML is one file with everything in it; it opens without a network, in light and dark mode, and on a phone.
    """
    if to is not None and len(runs) > 1:
        raise RequestError(
            f"--to: received {len(runs)} runs for one file, expected one run",
            hint="Without --to, each run gets its own.",
        )
    # After parsing, as below: --help need not know how figures and statistics are made.
    from stopcli.runner.report import check_report, report_again

    runs = [resolve_run(run, runs_root(runs_dir)) for run in runs]
    for run in runs:
        check_report(run, to)
    output = Output(json, quiet, verbose)
    written = []
    for run in runs:
        try:
            files, warnings = report_again(run, to)
        except OSError as error:
            raise ResourceError(f"{to or run}: cannot be written: {system_words(error)}") from error
        for warning in warnings:
            output.warn(warning)
        written.append({"run": str(run), "files": [str(file) for file in files]})
        page = next(file for file in files if file.suffix != ".md")
        output.say(f"{run} → {page}")
        if open_it:
            webbrowser.open(page.resolve().as_uri())
    if json:
        print(dump_json(written))


def write_and_print(analysis: AnalysisOutput, output: Output, *, root: Path, name: str, run_dir: Path | None) -> None:
    """Write the folder of an analysis, and print its answers, warnings, results, conclusions, and what is next."""
    from stopcli.report.html import write_output
    from stopcli.report.next_steps import next_steps

    for answer in analysis.answers:
        output.say(answer, style="bold")
    for warning in analysis.warnings:
        output.warn(warning)
    folder, summary = write_output(analysis, root=root, name=name, run_dir=run_dir)
    for warning in summary.warnings[len(analysis.warnings) :]:
        output.warn(warning)
    output.results(analysis.tables, summary)
    for conclusion in analysis.conclusions:
        output.say(conclusion)
    output.say(f"Report, figures and tables: {folder}")
    output.suggest(next_steps(folder, summary.state, summary))


_gate = in_panel("Requirement")

BaselineRun = Annotated[
    str,
    typer.Option(
        help="The arm that the others are compared with: its label, or a run of it.",
        autocompletion=complete_runs,
        show_default="the first",
    ),
]
Metric = Annotated[
    str,
    typer.Option(
        help="The value that is compared: test_accuracy, test_loss, train_accuracy, train_loss or what else was "
        "measured (of the final and the saved model), epochs, updates, rows, train_seconds, or a column of metrics.csv "
        "(its last and its best epoch).",
        show_default="the metric that counts, such as test_accuracy",
    ),
]
Require = Annotated[
    Literal["not-worse", "better"] | None,
    _gate(
        help="What the second run has to be against the first. The exit status is 0 where its interval says that this "
        "holds, 3 where it says that it does not, and 4 where that cannot be told.",
        show_default=False,
    ),
]
By = Annotated[
    str | None,
    _gate(
        metavar="X|P%",
        help="The margin of --require: worse by up to X is not worse; better is better by more than X. In the metric's "
        "unit, or a share of the first run's value (1%).",
        show_default="0",
    ),
]
ResolvedDifference = Annotated[
    str,
    typer.Option(
        metavar="X|P%",
        help="The smallest difference that matters, > 0: in the unit of the metric, or as a share of the baseline "
        "(1%). Arms that differ by less for certain count as equal; where the seeds do not decide, it is said how many "
        "more would tell such a difference.",
        show_default="0.01; 1% of an error or a cost",
    ),
]
MetricMode = Annotated[Mode, typer.Option(help="Whether less or more of the value is better; auto: by the metric.")]


def compare(
    runs: RunPaths,
    baseline: BaselineRun = "",
    metric: Metric = "",
    mode: MetricMode = "auto",
    resolve: ResolvedDifference = "auto",
    require: Require = None,
    by: By = None,
    name: Name = "",
    runs_dir: RunsDir = None,
    run_dir: RunDir = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare runs and sweeps: settings that differ, curves in one figure, paired statistics, cost.

    Runs that differ only by their seed form one arm; a sweep has its own arms. Nothing is trained, and the runs stay as
    they are.
    """
    if by is not None and require is None:
        raise ConfigError("by", by, "nothing without --require, whose margin it is")
    root = runs_root(runs_dir)
    check_can_be_made(root, run_dir)
    runs = [resolve_run(run, root) for run in runs]
    from stopcli.analysis.compare import compare as compare_runs
    from stopcli.analysis.compare_report import output_of
    from stopcli.analysis.gate import Requirement, gate_of

    requirement = None if require is None else Requirement(require, by or "0")
    output = Output(json, quiet, verbose)
    # Two nights of one command are two things to compare, also where only their seed differs.
    apart = requirement is not None and len(runs) == 2
    results = compare_runs(runs, baseline, metric, mode, root, apart=apart, resolve=resolve)
    gate = None if requirement is None else gate_of(results, requirement)
    write_and_print(output_of(results, gate), output, root=root, name=name, run_dir=run_dir)
    if gate is not None and gate.exit_status:
        raise typer.Exit(gate.exit_status)


option = in_panel("Stopping")

RunsToReplay = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Runs and sweeps, before the options: their folders, their names or the beginnings of them, or `last`.",
        metavar="RUN",
        parser=parse_path,
        autocompletion=complete_runs,
        show_default=False,
    ),
]
Patiences = Annotated[
    list[str] | None,
    option("--patience", metavar="N …", help="Patiences, a list, each ≥ 0.", show_default="0 5 10 20 50 100 200"),
]
MinDeltas = Annotated[
    list[str] | None,
    option(
        "--min-delta",
        metavar="X|P% …",
        help="Every patience with each of these, a list: numbers ≥ 0, or shares of the best value (1%).",
        show_default="0",
    ),
]
Rules = Annotated[
    list[str] | None,
    option(
        "--stop",
        metavar="RULE …",
        help=f"Other rules, a list: {rule_examples()}. {RULE_METRICS}",
        show_default="Prechelt's: gl:1 to 5, pq:0.5 to 3, up:2 to 8",
    ),
]
Smooth = Annotated[
    list[str] | None,
    option(
        "--smooth",
        metavar="X …",
        help="Every rule with each of these, a list: how much the metrics that it sees are smoothed, each ≥ 0 and < 1, "
        "as in training. The selected epoch is the best of the values themselves.",
        show_default="0",
    ),
]
# What --stop was called here before it was called as in training.
OldRules = Annotated[list[str] | None, option("--rule", help="As --stop.", hidden=True)]
Select = Annotated[
    str,
    option(help="The metric that selects the saved epoch, such as val_accuracy.", show_default="the monitored one"),
]

Monitor = Annotated[
    str,
    option(
        help="The metric that stopping monitors.",
        show_default="val_loss, or where it is not recorded, the metric that counts",
    ),
]

_NO_RUN = "received no run, expected the folder of one run or more"


@contextlib.contextmanager
def _runs_before_lists(command: str) -> Iterator[str]:
    """The hint that folders come before lists of values, which an error has where a list holds a folder."""
    hint = f"Folders come before lists of values: stopcli {command} RUN … --patience 0 50 200"
    try:
        yield hint
    except ConfigError as error:
        # Not Path.is_dir, which raises where a word is too long for a name.
        if os.path.isdir(str(error.received)):  # noqa: PTH112
            raise ConfigError(error.setting, error.received, error.expected, hint=hint) from None
        raise


def _replay_options(
    patience: list[str] | None,
    min_delta: list[str] | None,
    stop: list[str] | None,
    smooth: list[str] | None,
    **others: Any,
) -> ReplayOptions:
    """What is replayed, from lists as they are typed."""
    from stopcli.analysis.replay import ReplayOptions

    return ReplayOptions(
        patience=None if patience is None else parse_counts("patience", patience),
        min_delta=(0.0,) if min_delta is None else parse_numbers_or_words("min_delta", min_delta),
        smooth=(0.0,) if smooth is None else parse_numbers("smooth", smooth),
        rules=None if stop is None else parse_words("stop", stop),
        **others,
    )


def replay(
    runs: RunsToReplay = None,
    patience: Patiences = None,
    min_delta: MinDeltas = None,
    stop: Rules = None,
    rule: OldRules = None,
    smooth: Smooth = None,
    monitor: Monitor = "",
    mode: Annotated[Mode, option_of(StoppingSettings, "mode")] = "auto",
    baseline: Annotated[float | None, option_of(StoppingSettings, "baseline")] = None,
    start_from_epoch: Annotated[int, option_of(StoppingSettings, "start_from_epoch")] = 0,
    select: Select = "",
    name: Name = "",
    runs_dir: RunsDir = None,
    run_dir: RunDir = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show what other stopping rules would have done on finished runs, without training.

    Each rule stops where it would have stopped in training. The epochs that it saves, and what it loses against the
    best recorded epoch, are summed up over the runs of an experiment (its seeds), with intervals, and drawn as the
    frontier of cost against quality. Without --patience and --stop, a grid of both is replayed.
    """
    root = runs_root(runs_dir)
    with _runs_before_lists("replay") as hint:
        if not runs:
            raise RequestError(_NO_RUN, hint=hint)
        from stopcli.analysis.replay import replay as replay_rules
        from stopcli.analysis.replay_report import output_of

        check_can_be_made(root, run_dir)
        rules = None if stop is None and rule is None else [*(stop or ()), *(rule or ())]
        options = _replay_options(
            patience,
            min_delta,
            rules,
            smooth,
            monitor=monitor,
            mode=mode,
            baseline=baseline,
            start_from_epoch=start_from_epoch,
            select=select,
        )
        results = replay_rules([resolve_run(run, root) for run in runs], options)
    output = Output(json, quiet, verbose)
    write_and_print(output_of(results), output, root=root, name=name, run_dir=run_dir)


Within = Annotated[
    str,
    in_panel("Recommendation")(
        metavar="P%",
        help="How much worse the selected epoch may be than the best one on record, in the mean over runs and as a "
        "share of the best value.",
        show_default="1%",
    ),
]


def recommend(
    runs: RunsToReplay = None,
    within: Within = "1%",
    patience: Patiences = None,
    min_delta: MinDeltas = None,
    stop: Rules = None,
    smooth: Smooth = None,
    monitor: Monitor = "",
    mode: Annotated[Mode, option_of(StoppingSettings, "mode")] = "auto",
    select: Select = "",
    name: Name = "",
    runs_dir: RunsDir = None,
    run_dir: RunDir = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Recommend a stopping rule, by finished runs, with what to expect of it on others.

    Rules are replayed on the runs, and the cheapest is chosen whose regret stays within a bound. Each run is left out
    once, and what the others choose is measured on it, so that the cost and the regret that are stated are of runs that
    had no part in the choice. The exit status is 0 where a rule is recommended, 3 where none holds the bound, and 4
    where the runs cannot tell.
    """
    root = runs_root(runs_dir)
    with _runs_before_lists("recommend") as hint:
        if not runs:
            raise RequestError(_NO_RUN, hint=hint)
        from stopcli.analysis.recommend import parse_within
        from stopcli.analysis.recommend import recommend as recommend_rule
        from stopcli.analysis.recommend_report import output_of

        check_can_be_made(root, run_dir)
        options = _replay_options(patience, min_delta, stop, smooth, monitor=monitor, mode=mode, select=select)
        bound = parse_within(within)
        recommendation = recommend_rule([resolve_run(run, root) for run in runs], options, bound)
    output = Output(json, quiet, verbose)
    write_and_print(output_of(recommendation), output, root=root, name=name, run_dir=run_dir)
    if recommendation.exit_status:
        raise typer.Exit(recommendation.exit_status)

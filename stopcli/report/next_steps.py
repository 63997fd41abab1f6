"""What may be done after a run: one to three commands, for the terminal and the report."""

import itertools
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stopcli.configs.base import settings_with
from stopcli.configs.lr_range import clr_command, fit_command, range_command
from stopcli.configs.registry import command_line, config_class
from stopcli.errors import RequestError
from stopcli.report.document import Code, Paragraph, Section
from stopcli.runs.files import read_json, read_toml
from stopcli.runs.folder import RunFolder
from stopcli.runs.headline import base_name
from stopcli.runs.recording import read_recording
from stopcli.runs.run import Run, run_argument
from stopcli.runs.summary import FOREIGN, AnalysisSummary, RangeSummary, RunSummary, Summary, SweepSummary
from stopcli.runs.table_record import TABLE_NAME
from stopcli.stopping.rule import natural_direction


class NextStep(NamedTuple):
    """What may be done after a run: for what, without a full stop, and the command."""

    purpose: str
    command: str


def next_section(steps: Sequence[NextStep]) -> list[Section]:
    """What may be done next, for a report; no section where there is nothing."""
    if not steps:
        return []
    # Several commands for one purpose stand together.
    parts = [
        part
        for purpose, group in itertools.groupby(steps, lambda step: step.purpose)
        for part in (Paragraph(f"{purpose}:"), Code("\n".join(step.command for step in group), "sh"))
    ]
    return [Section("What next", tuple(parts))]


# States in which a run can be resumed.
_UNFINISHED = ("died", "paused", "interrupted", "damaged")


def next_steps(run: Path, state: str, summary: Summary | None, named: Path | None = None) -> tuple[NextStep, ...]:
    """One to three commands that follow from how a run, a sweep or an analysis ended, as typed in the working folder.

    Args:
        run: its folder.
        state: as `Run.state`.
        summary: None where it has none.
        named: the folder as it was when the run ended, where its report is to stay the same wherever it lies.
    """
    name = run_argument(named or run)
    if not _trained_here(run, summary):
        monitor = _recorded_monitor(run, summary)
        return (replay_step(name, monitor),) if monitor else ()
    if state in _UNFINISHED:
        return () if isinstance(summary, AnalysisSummary) else (_step("Resume it", "resume", name),)
    if isinstance(summary, SweepSummary):
        return _after_sweep(name, summary)
    if isinstance(summary, RangeSummary) and summary.bounds:
        at_highest = fit_command(run, summary.bounds.max_lr)
        fits = (_step("Train at the highest of them", *at_highest),) if at_highest else ()
        return (_step("Train between these rates", *clr_command(run, name)), *fits)
    if isinstance(summary, AnalysisSummary):
        # A summary that was read from its file has only what all analyses have.
        results = summary.results or read_json(run / "summary.json")
        after = {"replay": _after_replay, "recommend": _after_recommendation}.get(summary.command, _after_comparison)
        return after(results)
    return _after_run(run, name, summary) if isinstance(summary, RunSummary) else ()


def _trained_here(run: Path, summary: Summary | None) -> bool:
    """Whether a run is of stopcli's own commands, which can resume it."""
    if summary is not None:
        return summary.command not in FOREIGN
    config = run / "config.toml"
    return not config.is_file() or read_toml(config).get("command") not in FOREIGN


def _recorded_monitor(run: Path, summary: Summary | None, metric: str = "") -> str:
    """The metric that the best epoch of a run that something else trained is chosen by; empty where it has none.

    Args:
        run: its folder, or the CSV file that it was read from.
        metric: that is preferred where it is on record, on the rows that validate.
    """
    if isinstance(summary, RunSummary):
        return summary.best.monitor if summary.best else ""
    try:
        recorded = read_recording(run, metric) if run.is_file() else Run.read(run)
        candidates = [f"val_{base_name(metric)}", metric, *map(recorded.headline.column, ("val", "train"))]
        # Rows that test choose no epoch.
        columns = [column for column in recorded.metrics if not column.startswith("test_")]
        return next((column for column in candidates if column in columns), "")
    except RequestError:
        # The report says what is wrong with its files.
        return ""


def _step(purpose: str, *argv: str) -> NextStep:
    return NextStep(purpose, shlex.join(["stopcli", *argv]))


_REPLAY = "See what other stopping rules would have done, without training"


def replay_step(run: str, monitor: str) -> NextStep:
    """The replay of a run that something else trained, whose rules need to know their metric."""
    return _step(_REPLAY, "replay", run, "--monitor", monitor)


def _after_run(run: Path, name: str, summary: RunSummary) -> tuple[NextStep, ...]:
    if summary.diverged:
        settings = read_toml(run / "config.toml") if (run / "config.toml").is_file() else {}
        if settings.get("table"):
            return _with_lower_rate(run, settings)
        own = range_command(settings)
        if own:
            return (_step("Find learning rates that train", *own),)
        network = ("--model", "mlp") if summary.dataset == "moons" else ()
        return (_step("Find learning rates that train", "lr-range", "--dataset", summary.dataset, *network),)
    if summary.state != "finished":
        return ()
    steps = [_step(_REPLAY, "replay", name), *_prediction(run, name)]
    if Path(summary.run_dir).parent.name == "jobs" or RunFolder(run).pruned.exists():
        # A job is trained further by its own name; without its states no run is.
        return tuple(steps)
    stop = summary.stop
    if stop.reason == "patience" and stop.wait and _more_patience_helps(run):
        steps.append(_step("Train it further, with more patience", "resume", name, "--patience", str(2 * stop.wait)))
    if stop.reason == "completed" and summary.case_study is None and _has_constant_rate(run):
        steps.append(
            _step("Train it further", "resume", name, "--epochs", str(2 * (summary.max_epochs or summary.epochs)))
        )
    return tuple(steps)


def _with_lower_rate(run: Path, settings: Mapping[str, Any]) -> tuple[NextStep, ...]:
    """The same training of a table with a tenth of the learning rate, where stopcli makes the network: a range test
    takes no tables."""
    if settings.get("file"):
        return ()
    rate = float(f"{settings.get('learning_rate', 0.001) / 10:.3g}")
    argv = _again(run, learning_rate=rate)
    # Where it is the default, too: a run that starts from another one would take over that one's.
    named = [] if "--learning-rate" in argv else ["--learning-rate", str(rate)]
    return (_step("Train with a lower learning rate", *argv, *named),)


def _prediction(run: Path, name: str) -> tuple[NextStep, ...]:
    """What a run of a table predicts for its own table, where a model of it is left; another one can be named."""
    saved = any((run / "checkpoints" / model).is_file() for model in ("best.keras", "final.keras"))
    if not (saved and (run / TABLE_NAME).is_file() and (run / "config.toml").is_file()):
        return ()
    table = str(read_toml(run / "config.toml").get("table", ""))
    return (_step("Predict the rows of this table, or of another with its columns", "predict", name, table),)


def _more_patience_helps(run: Path) -> bool:
    """Whether the only patience that may have stopped it is that of its setting, and not that of a rule's text."""
    settings = read_toml(run / "config.toml") if (run / "config.toml").is_file() else {}
    return "patience" in settings and not any("patience:" in text for text in settings.get("stop", ()))


def _has_constant_rate(run: Path) -> bool:
    """Whether the learning rate of its epochs is the same with more of them."""
    config = run / "config.toml"
    return config.is_file() and read_toml(config).get("lr_policy", "constant") == "constant"


def _after_sweep(name: str, summary: SweepSummary) -> tuple[NextStep, ...]:
    if summary.state != "finished":
        again = any(
            job.state == "failed" and not (job.stop and job.stop.reason == "non_finite") for job in summary.jobs
        )
        return (_step("Resume what is not finished", "resume", name, *(["--retry-failed"] if again else [])),)
    comparison = _step("Compare its arms: curves, paired differences, cost", "compare", name)
    replay = _step(_REPLAY, "replay", name)
    return (comparison, replay) if len({job.arm for job in summary.jobs}) > 1 else (replay,)


def _after_replay(results: Mapping[str, Any]) -> tuple[NextStep, ...]:
    """Training with the smallest patience that keeps the best epoch, where it is that of one experiment."""
    experiments = results.get("experiments") or []
    sources = _sources([run for experiment in experiments for run in experiment.get("runs", ())])
    if len(experiments) != 1:
        # Where not the same metric counts in all, what selected is on record in all.
        differ = len({str(experiment.get("headline")) for experiment in experiments}) > 1
        metric = ["--metric", str(results["select"])] if differ else []
        return (_step("Compare these runs", "compare", *map(run_argument, sources), *metric),) if sources[1:] else ()
    keeps_best = experiments[0].get("keeps_best") or {}
    if not keeps_best.get("complete", True):
        return _further(sources)
    smallest = keeps_best.get("smallest_patience") or {}
    label = re.fullmatch(r"patience:(\d+)(?: δ=(\S+))?(?: β=(\S+))?", str(smallest.get("rule", "")))
    # What is enough on one metric need not be on another.
    monitor = {"monitor": results["monitor"]} if results.get("monitor") else {}
    again = [_again(source, **monitor, **_settings_of(*label.groups())) for source in sources[:1]] if label else []
    return tuple(_step("Train with the smallest patience that keeps the best epoch", *argv) for argv in again if argv)


# What says when a training stops, unset.
_NO_STOPPING: Mapping[str, Any] = {
    **dict.fromkeys(("patience", "threshold", "baseline", "smooth")),
    "stop": [],
    "min_delta": 0.0,
    "start_from_epoch": 0,
}


def _after_recommendation(results: Mapping[str, Any]) -> tuple[NextStep, ...]:
    """Training by the rule that is chosen, and where that is not firm, more seeds."""
    experiments = results.get("experiments") or []
    runs = [run for experiment in experiments for run in experiment.get("runs", ())]
    sources, rule = _sources(runs), results.get("recommended")
    steps = []
    if rule:
        argvs = [_again(source, **{**_NO_STOPPING, **rule["settings"]}) for source in sources[:1]]
        steps += [_step("Train by this rule", *argv) for argv in argvs if argv]
    if results.get("verdict") in ("not_firm", "too_few"):
        most = max((len(experiment.get("runs", ())) for experiment in experiments), default=0)
        argvs = [_again(source, seeds=max(5, 2 * most)) for source in sources[:1]]
        steps += [_step("Train more seeds, which may say more", *argv) for argv in argvs if argv]
    return tuple(steps)


def _settings_of(patience: str, min_delta: str | None, smooth: str | None) -> dict[str, Any]:
    """The settings that a replayed rule of patience is, from the parts of its label."""
    return {
        "patience": int(patience),
        "min_delta": min_delta if min_delta and min_delta.endswith("%") else float(min_delta or 0),
        "smooth": float(smooth) if smooth else None,
    }


def _further(sources: Sequence[Path]) -> tuple[NextStep, ...]:
    """Training with more patience the first of some runs whose best epoch may lie beyond what is on record."""
    config = sources[0] / "config.toml" if sources else Path()
    patience = read_toml(config).get("patience") if config.is_file() else None
    if not isinstance(patience, int):
        return ()
    more = max(100, 2 * patience)
    is_run = isinstance(Run.read(sources[0]).summary, RunSummary)
    resume = ["resume", run_argument(sources[0]), "--patience", str(more)]
    argv = resume if is_run else _again(sources[0], patience=more)
    return (_step("Train with more patience, to see whether a better epoch comes", *argv),)


def _after_comparison(results: Mapping[str, Any]) -> tuple[NextStep, ...]:
    """More seeds where some arms are not distinguishable and not equal; else a replay of what was compared. Nothing
    where no two of them can be compared, which more seeds would not change."""
    arms, differences = results.get("things") or [], results.get("differences") or []
    if differences and not any("distinguishable" in difference for difference in differences):
        return ()
    sources = _sources([run for arm in arms for run in arm.get("runs", ())])
    if sources and all(map(_is_settled, differences)):
        return (_step(_REPLAY, "replay", *map(run_argument, sources), *_monitor(sources, results)),)
    most = max((len(arm.get("runs", ())) for arm in arms), default=0)
    commands = [_again(source, seeds=max(5, 2 * most)) for source in sources]
    on_rows = any(difference.get("on_rows") for difference in differences)
    purpose = (
        "Train more seeds, to compare the settings and not only these models"
        if on_rows
        else "Train more seeds, which may tell them apart"
    )
    return tuple(_step(purpose, *argv) for argv in commands if argv)[:2]


def _is_settled(difference: Mapping[str, Any]) -> bool:
    """Whether two arms are told apart, or are equal for practical purposes, which more seeds would not change."""
    sequential = difference.get("sequential") or {}
    return bool(difference.get("distinguishable")) or sequential.get("decided") is not None


def _monitor(sources: Sequence[Path], results: Mapping[str, Any]) -> list[str]:
    """The options that name the metric, where what was compared need not have the usual one."""
    foreign = [source for source in sources if source.is_file() or not _trained_here(source, None)]
    monitor = _recorded_monitor(foreign[0], None, str(results["metric"])) if foreign else ""
    headline = results.get("headline") or {}
    # Folders have the direction on record.
    is_asked = natural_direction(monitor) is None and headline.get("name") == base_name(monitor)
    mode = ["--mode", headline["direction"]] if is_asked and foreign[0].is_file() else []
    return ["--monitor", monitor, *mode] if monitor else []


def _sources(runs: Sequence[str]) -> list[Path]:
    """The sweeps that runs belong to, and the single ones themselves; each once."""
    paths = [Path(run) for run in runs]
    return [*dict.fromkeys(path.parent.parent if path.parent.name == "jobs" else path for path in paths)]


def _again(run: Path, **changes: Any) -> list[str]:
    """The command and options of a run with some settings changed, and its seed; empty where its folder is gone."""
    if not (run / "config.toml").is_file():
        return []
    settings = read_toml(run / "config.toml")
    if settings.get("case_study") and changes.keys() & settings_with(config_class(settings["command"]), "stopping"):
        # Its arms have the published rules, and no others.
        changes["case_study"] = False
    argv = command_line({**settings, **changes})
    # What was learnt of one seed need not hold for another.
    return [*argv, "--seed", str(settings["seed"])] if argv and settings.get("seed") else argv

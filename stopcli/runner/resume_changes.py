"""What may change when a run is resumed: its stopping rules, which are replayed, and the place of its data.

A rule does not change the training that it monitors; it only ends it. So a run whose rules are replaced continues as if
it had had the new ones from its start, unless they would have ended it before the epoch that it has reached. And a run
depends on its rows, not on their path: the place may change, the hash of all rows in a saved state may not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stopcli.configs.training import TrainingConfig
from stopcli.data.named import DATASET_NAMES, named_datasets
from stopcli.errors import ConfigError, MetricError, RequestError, RunFolderError
from stopcli.quantities import counted
from stopcli.runner.provenance import rewrite_config
from stopcli.runs.files import read_toml
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import read_metrics
from stopcli.schedules.policy import policies
from stopcli.stopping import BestState, Rule, RuleRunner, Verdict
from stopcli.stopping.combine import rule_of_reason
from stopcli.sweeps.plan import Job
from stopcli.training.fingerprint import changed_error
from stopcli.training.state_file import Arrays, TrainState


def how_to_continue(reason: str) -> str:
    """How a run that has ended can be trained further.

    Args:
        reason: why it stopped, as in its verdict.
    """
    if reason == "completed":
        return "--epochs N trains it further, to epoch N."
    return (rule_of_reason(reason) or Rule).resume_hint


def next_step(run: Path, state: str, stop: Verdict | None = None) -> str:
    """What to type next for a run or a sweep that has ended, in a sentence; empty for nothing.

    Args:
        stop: why a run stopped.
    """
    if state in ("died", "paused", "interrupted", "damaged"):
        return f"To resume: stopcli resume {run}"
    if state == "finished" and stop is not None:
        return f"stopcli resume {run} {how_to_continue(stop.reason)}"
    return ""


def with_other_rules(
    run: Path, state: TrainState, config: TrainingConfig, *, force: bool = False
) -> tuple[TrainState, list[str]]:
    """The saved position as it would be if the run had had the rules of a config from its start.

    Args:
        config: the run's settings with the new rules.
        force: resume although they would have stopped the run earlier.

    Returns:
        The position, and what was forced, a line each.

    Raises:
        RequestError: they would have stopped the run before this position; the model that restore_best asks for was
            not kept; or its metrics.csv is missing, damaged, or shorter than it was when the position was saved.
    """
    plan = config.stop_plan(state.steps_per_epoch)
    rule_runner, best = RuleRunner(plan.rule), BestState()
    stopped: Verdict | None = None
    before: Verdict | None = None
    try:
        for epoch, metrics in _recorded(run / "metrics.csv", state.epoch, plan.monitors):
            stopped = rule_runner.update(epoch, metrics)
            best = plan.best_monitored.update(best, epoch, metrics)
            if stopped is not None and (epoch < state.epoch or state.partial_sums):
                before = before or stopped
    except MetricError as error:
        raise RequestError(f"{run}: {error.message}", hint=error.hint) from None
    if before is not None and not force:
        raise RequestError(
            f"{run}: {_stopped_before(before, state)}",
            hint=f"stopcli replay {run} shows where rules would have stopped it. "
            "--force resumes it anyway, and records that.",
        )
    over = state.stopped if state.stopped is not None and state.stopped["reason"] == "completed" else None
    changed = replace(
        state,
        rule_state=plan.rule.state_to_dict(rule_runner.state),
        best={**state.best, "watch": (best.epoch, best.value)},
        best_states=_best_states(run, state, config, best),
        stopped=asdict(stopped) if stopped is not None and before is None else over,
    )
    return changed, [_stopped_before(before, state)] if before is not None else []


def _recorded(path: Path, epochs: int, names: Iterable[str]) -> Iterator[tuple[int, dict[str, float]]]:
    """The first epochs of a metrics.csv, each with its values of some metrics."""
    columns = read_metrics(path)
    if len(columns["epoch"]) < epochs:
        recorded = counted(len(columns["epoch"]), "epoch")
        raise RunFolderError(f"{path}: has {recorded}, and had {epochs} when the run was saved")
    values = {name: columns[name][:epochs].tolist() for name in names}
    for i in range(epochs):
        yield i + 1, {name: column[i] for name, column in values.items()}


def _stopped_before(verdict: Verdict, state: TrainState) -> str:
    reached = (
        f"has started epoch {state.epoch + 1}" if state.partial_sums else f"has trained {counted(state.epoch, 'epoch')}"
    )
    why = ""
    if verdict.best_value is not None:
        best = f"{verdict.best_value:.4g} at epoch {verdict.best_epoch}"
        why = f" ({counted(verdict.wait, 'epoch')} after the best, {best})" if verdict.wait else f" ({best})"
    return f"{verdict.rule} would have stopped it after epoch {verdict.epoch}{why}; it {reached}"


def _best_states(run: Path, state: TrainState, config: TrainingConfig, best: BestState) -> dict[str, Arrays]:
    """The states after the best epochs that a resumed run needs, without those that it gets by training again.

    Raises:
        RequestError: that of the best epoch by the new rules was not kept.
    """
    states = {name: arrays for name, arrays in state.best_states.items() if name != "watch"}
    if not config.restore_best or best.epoch == 0:
        return states
    for name, arrays in state.best_states.items():
        if state.best[name][0] == best.epoch:
            return {**states, "watch": arrays}
    # A learning rate that follows a plateau is reduced after the epoch, and its model is saved before.
    policy = policies().get(getattr(config, "lr_policy", ""))
    reduced = policy is not None and policy.follows_monitor
    if best.epoch == state.epoch and not state.partial_sums and not reduced:
        return {**states, "watch": state.live}
    if config.short_epochs and not config.init_from:
        return states
    raise RequestError(
        f"{run}: restore_best needs the model of epoch {best.epoch}, the best by {config.monitor}, "
        "whose state was not kept",
        hint="--no-restore-best resumes the run without it. "
        f"checkpoints/best.keras is the best by {config.checkpoint_monitor} in any case.",
    )


def dataset_of(config: Any) -> str:
    """The data set of a command, also where it has no setting for it."""
    return str(getattr(config, "dataset", config.command))


def check_can_move(config: Any, dataset: str) -> None:
    """Raise ConfigError where the data of a run lie in no files that could have moved."""
    if not in_files(config):
        named = named_datasets().get(dataset_of(config))
        title = named.title if named else "scikit-learn's two moons"
        expected = f"nothing: the data of this run are {title}, which lie in no file of yours"
        raise ConfigError("dataset", dataset, expected)


def in_files(config: Any) -> bool:
    """Whether the data of a run lie in files, which can move."""
    dataset = dataset_of(config)
    return named_datasets()[dataset].in_files if dataset in DATASET_NAMES else dataset != "moons"


def where_else(config: Any, run: Path) -> str:
    """A hint for data that are not in their place any more; empty where they lie in no files."""
    return f"If the data are elsewhere now: stopcli resume {run} --dataset PATH" if in_files(config) else ""


def other_data(config: Any) -> str:
    """A hint for other data in the place of the run's own; empty where they lie in no files."""
    return f"The data were read from {config.dataset}; --dataset PATH names another place." if in_files(config) else ""


def changed_data(config: Any, saved: Iterable[str], now: str, *, force: bool) -> list[str]:
    """How the data differ from those that a run, or the runs of a sweep, were started with, a line for each.

    A sweep is checked before any of its runs is resumed: a run that has not started has nothing to compare them with.

    Args:
        saved: the hash of the data in each saved state.
        now: that of the data as they are.

    Raises:
        RequestError: they differ, and that was not forced.
    """
    counts = Counter(data for data in saved if data != now)
    in_runs = {data: f" in {counted(count, 'run')}" if config.is_sweep else "" for data, count in counts.items()}
    changed = [f"data: was {data!r}{where}, is {now!r}" for data, where in in_runs.items()]
    if changed and not force:
        raise changed_error(changed, hint=other_data(config))
    return changed


def move_jobs(jobs: Sequence[Job[Any]], folder: RunFolder, dataset: str) -> None:
    """Write the place of the data into the config of every run of a sweep that has a folder, finished ones too."""
    for job in jobs:
        path = folder.jobs / job.name
        if (path / "config.toml").is_file() and read_toml(path / "config.toml").get("dataset", dataset) != dataset:
            with RunFolder.reopen(path) as of_job:
                for change in rewrite_config(of_job, {"dataset": dataset}):
                    of_job.log(change)

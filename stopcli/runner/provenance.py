"""How a run was made: its command lines and environments, and what changed since its state was saved."""

from __future__ import annotations

import itertools
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stopcli.configs.base import RunConfig
from stopcli.configs.training import TrainingConfig
from stopcli.data.named import DATASET_NAMES, named_datasets
from stopcli.errors import ConfigError, MetricError, RequestError, RunFolderError
from stopcli.paths import quoted
from stopcli.quantities import counted
from stopcli.recipes.recorded_code import file_of
from stopcli.runs.environment import Environment, Session, describe_environment, read_environment
from stopcli.runs.files import read_toml, write_json
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import read_metrics
from stopcli.runs.run import run_argument
from stopcli.runs.status import utc_now
from stopcli.schedules.policy import policies
from stopcli.stopping import BestState, Rule, RuleRunner, Verdict
from stopcli.stopping.combine import rule_of_reason
from stopcli.sweeps.plan import Job
from stopcli.training.session import Start
from stopcli.training.state_file import Arrays, TrainState, changed_error, differences

# Choose among TensorFlow's kernels, which sum in other orders.
_VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS")


def record_environment(
    config: RunConfig,
    folder: RunFolder,
    devices: Environment,
    start: Start = Start(),  # noqa: B008, a frozen value
    changed: Sequence[str] = (),
    ancestry: dict[str, Any] | None = None,
) -> tuple[str, ...]:
    """Record what a run or a sweep is made with, or resumed with.

    Args:
        devices: what it computes on.
        changed: what differs from when it was started, a line each.
        ancestry: of the weights that it starts from.

    Returns:
        Warnings: that an earlier record is damaged; of each time the run was resumed where it computes differently.
    """
    environment = describe_environment(devices)
    if ancestry:
        environment["init_from"] = ancestry
    rewritten = rewrite_config(folder, {name: getattr(config, name) for name in start.changed})
    recorded, warnings = _recorded(folder) if start.resumed else ({}, ())
    # A record that is damaged starts with this session, and says that it is not the first.
    if recorded or warnings:
        before = (recorded.get("resumed") or [{}])[-1].get("computes_with") or _computes_with(recorded)
        now = _computes_with(environment)
        # What is not on record may be the same.
        otherwise = differences(before, {name: value for name, value in now.items() if name in before})
        session: Session = {
            "time": utc_now(),
            "from_epoch": start.state.epoch if start.state else 0,
            "argv": environment["argv"],
            "versions": environment["versions"],
            "computes_with": now,
            "notes": [*rewritten, *start.notes, *changed],
            "computes_otherwise": otherwise if recorded and start.state else [],
        }
        environment = recorded or environment
        environment.setdefault("resumed", []).append(session)
        folder.log(f"resumed: {session}")
    else:
        folder.log(f"started: {config}")
        for warning in config.warnings():
            folder.log(f"warning: {warning}")
    write_json(folder.environment, environment)
    otherwise_warnings = (
        f"after epoch {session.get('from_epoch', '?')} it was resumed where it computes differently"
        f" ({'; '.join(session['computes_otherwise'])}); the last digits may differ from those of an uninterrupted run"
        for session in environment.get("resumed", ())
        if session.get("computes_otherwise")
    )
    return (*warnings, *otherwise_warnings)


def _recorded(folder: RunFolder) -> tuple[Environment, tuple[str, ...]]:
    """What an earlier session recorded, empty for nothing; and warnings about it.

    A damaged file is no reason to refuse a run whose states are whole. It is kept under another name.
    """
    environment, damage = read_environment(folder.path)
    if not damage:
        return environment, ()
    copies = (folder.path / f"environment-damaged-{n}.json" for n in itertools.count(1))
    copy = next(path for path in copies if not path.exists())
    folder.environment.rename(copy)
    warning = f"{damage}, and is kept as {copy.name}; what the run was made with before is not known any more"
    folder.log(f"warning: {warning}")
    return {}, (warning,)


def rewrite_config(folder: RunFolder, settings: Mapping[str, Any]) -> list[str]:
    """Replace some settings in a folder's config.toml. Returns what has changed, a line each."""
    if not settings:
        return []
    import tomli_w

    before = read_toml(folder.config)
    now = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    changed = [name for name, value in now.items() if before.get(name) != value]
    if changed:
        # TOML has no word for None, which is the value of settings that are not set.
        after = {name: value for name, value in {**before, **now}.items() if value is not None}
        folder.write_config(tomli_w.dumps(after))
    values = {name: "not set" if value is None else value for name, value in now.items()}
    return [f"{name}: was {before.get(name, 'not set')!r}, is {values[name]!r}" for name in changed]


def _computes_with(environment: Environment) -> dict[str, Any]:
    """What the last digits of a run's numbers depend on, beside its settings, versions and data, as far as known."""
    variables = environment.get("variables")
    known = {
        "processor": environment.get("cpu"),
        "GPUs": len(environment["gpus"]) if "gpus" in environment else None,
        "threads": environment.get("threads", {}).get("intra_op") or environment.get("cores"),
        **{name: None if variables is None else variables.get(name, "not set") for name in _VARIABLES},
    }
    return {name: value for name, value in known.items() if value is not None}


def how_to_continue(reason: str) -> str:
    """How a run that has ended can be trained further, by the reason of its verdict."""
    if reason == "completed":
        return "--epochs N trains it further, to epoch N."
    return (rule_of_reason(reason) or Rule).resume_hint


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
        for epoch, metrics in _recorded_metrics(run / "metrics.csv", state.epoch, plan.monitors):
            stopped = rule_runner.update(epoch, metrics)
            best = plan.best_monitored.update(best, epoch, metrics)
            if stopped is not None and (epoch < state.epoch or state.partial_sums):
                before = before or stopped
    except MetricError as error:
        raise RequestError(f"{run}: {error.message}", hint=error.hint) from None
    if before is not None and not force:
        raise RequestError(
            f"{run}: {_stopped_before(before, state)}",
            hint=f"stopcli replay {quoted(run)} shows where rules would have stopped it. "
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


def _recorded_metrics(path: Path, epochs: int, names: Iterable[str]) -> Iterator[tuple[int, dict[str, float]]]:
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
        best = f"{verdict.metric} {verdict.best_value:.4g} at epoch {verdict.best_epoch}".lstrip()
        why = f" ({counted(verdict.wait, 'epoch')} after the best, {best})" if verdict.wait else f" ({best})"
    return f"{verdict.rule} would have stopped it after epoch {verdict.epoch}{why}; it {reached}"


def _best_states(run: Path, state: TrainState, config: TrainingConfig, best: BestState) -> dict[str, Arrays]:
    """The states after the best epochs that a resumed run needs, without those that it gets by training again. Raises
    RequestError where that of the best epoch by the new rules was not kept."""
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


def check_can_move(config: Any, dataset: str) -> None:
    """Raise ConfigError where the data of a run lie in no files that could have moved."""
    if not in_files(config):
        named = named_datasets().get(config.data_name)
        title = named.title if named else "scikit-learn's two moons"
        expected = f"nothing: the data of this run are {title}, which are not read from a file"
        if file := file_of(config):
            expected = f"nothing: the data of this run are what data() of {file} returns"
        raise ConfigError("dataset", dataset, expected)


def in_files(config: Any) -> bool:
    """Whether the data of a run lie in files, which can move."""
    if config.data_setting != "dataset":
        return True
    if file_of(config):
        # A user's own file says where they are.
        return False
    dataset = config.data_name
    return named_datasets()[dataset].in_files if dataset in DATASET_NAMES else dataset != "moons"


def where_else(config: Any, run: Path) -> str:
    """A hint for data that are not in their place any more; empty where they lie in no files."""
    return f"If the data are elsewhere now: stopcli resume {quoted(run)} --dataset PATH" if in_files(config) else ""


def other_data(config: Any) -> str:
    """A hint for other data in the place of the run's own; empty where they lie in no files."""
    path = getattr(config, config.data_setting, "")
    if getattr(config, "rows", "") == "new":
        table, ancestor = (shlex.quote(text) for text in (path, run_argument(Path(config.init_from))))
        return (
            f"If {config.data_name} has grown: stopcli fit {table} --init-from {ancestor} --rows new starts a run with "
            "all rows that are new to it; --dataset PATH names the table as it was."
        )
    return f"The data were read from {path}; --dataset PATH names another place." if in_files(config) else ""


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


# By the name of a part of a model's identity, what it says.
_PARTS = {
    "model": "the model's layers, or their settings",
    "compile": "the optimizer, the loss or the metrics",
    "code": "the code of classes or functions that the model computes with, or of augment",
    "encoder": "the table's columns, or how their values are encoded",
}


def changed_model(saved: Mapping[str, Any], now: Mapping[str, str], *, force: bool) -> list[str]:
    """What differs in a model of the user's from that which a run was started with, a line each.

    Args:
        saved: the fingerprint in the run's saved state.
        now: the model's identity.

    Raises:
        RequestError: something does, and that was not forced.
    """
    changed = [f"{_PARTS.get(name, name)}: changed" for name, value in now.items() if saved.get(name) != value]
    if changed and not force:
        raise changed_error(changed)
    return changed


def move_jobs(jobs: Sequence[Job[Any]], folder: RunFolder, config: Any) -> None:
    """Write the place of the data, and of the user's file with its hashes, into the config of every run of a sweep that
    has a folder, finished ones too."""
    settings: dict[str, Any] = {config.data_setting: getattr(config, config.data_setting, config.data_name)}
    if file_of(config):
        names = (config.data_setting, "file", "model", "code_sha256", "code_hash")
        settings = {name: value for name in names if (value := getattr(config, name, ""))}
    for job in jobs:
        path = folder.jobs / job.name
        if not (path / "config.toml").is_file():
            continue
        before = read_toml(path / "config.toml")
        if any(before.get(name, value) != value for name, value in settings.items()):
            with RunFolder.reopen(path) as of_job:
                for change in rewrite_config(of_job, {name: settings[name] for name in settings if name in before}):
                    of_job.log(change)

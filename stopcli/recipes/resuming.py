"""What `stopcli resume` goes on from: read and checked before TensorFlow is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from stopcli.config import RunConfig, StoppingSettings, parse, read_toml, settings_of
from stopcli.counts import agreeing, counted
from stopcli.errors import ConfigError, RequestError, RunFolderError
from stopcli.recipes.changed_rules import further, with_other_rules
from stopcli.recipes.moved_data import check_can_move
from stopcli.recipes.recipe import config_class
from stopcli.recipes.saved_position import find_position
from stopcli.recipes.trained import TrainedConfig
from stopcli.runs.files import read_checked, read_json
from stopcli.runs.folder import check_is_run
from stopcli.sweeps.collect import is_summed_up, pending_jobs
from stopcli.sweeps.plan import Job, plan_jobs
from stopcli.training.fingerprint import (
    PLACE_SETTINGS,
    changed_error,
    differences,
    settings_differences,
    settings_fingerprint,
)
from stopcli.training.resume_state import ResumePoint
from stopcli.training.session import Start


@dataclass(frozen=True)
class Resumption:
    """A run to go on with.

    Attributes:
        config: its settings, perhaps with more epochs, other rules, or another place of its data.
        start: its position.
        warnings: damaged files, states that were passed over, event files that are written again, and settings without
            effect.
    """

    config: Any
    start: Start
    warnings: tuple[str, ...] = ()


def read_config(run: Path) -> RunConfig:
    """The settings in a run's config.toml.

    Raises:
        RequestError: it is no run folder, or the file holds no settings of a command.
    """
    check_is_run(run)
    settings = read_toml(run / "config.toml")
    try:
        return parse(config_class(settings.pop("command", None)), settings)
    except ConfigError as error:
        raise RequestError(f"{run / 'config.toml'}: {error.message}", hint=error.hint) from None


def prepare(
    run: Path,
    *,
    changes: Mapping[str, Any] | None = None,
    force: bool = False,
    retry_failed: bool = False,
    how: Mapping[str, Any] | None = None,
) -> Resumption:
    """Find out how a run goes on.

    Args:
        changes: settings that are others from now on: `epochs`, where the data lie (`dataset`), rules.
        force: go on although settings or versions have changed.
        retry_failed: of a sweep, go on with runs that failed by an error of their own too.
        how: of a sweep, other settings of how its runs are executed.

    Raises:
        RequestError: it is no run, has nothing left to do, diverged, or would not be the same run any more.
        RecordError: what it has recorded was changed since it was saved.
        CheckpointError: it has saved states and none of them can be read.
    """
    begun: Any = read_config(run)
    _check_is_made_of(run, begun)
    changes, how = changes or {}, how or {}
    _check_changes(run, begun, changes)
    if begun.is_sweep:
        return _prepare_sweep(run, begun, changes, how, force=force, retry_failed=retry_failed)
    if retry_failed or how:
        name = next(iter(how), "retry_failed")
        raise ConfigError(name, how.get(name, True), "a sweep; this is a single run")
    config = parse(type(begun), {**settings_of(begun), **changes})
    changed = _changed_settings(begun, config)
    if not isinstance(config, TrainedConfig):
        if _state_of(run) == "finished":
            raise RunFolderError(f"{run}: finished, nothing is left to do")
        return Resumption(config, Start(again=True, force=force, changed=changed), _damaged(run))
    _check_state(run, begun, config, changes, changed)
    if "epochs" in changed:
        _check_schedule(begun, config.epochs, force)
    point, warnings = find_position(run, tensorboard=config.tensorboard)
    warnings = (*_damaged(run), *warnings)
    if point is None:
        return Resumption(config, Start(again=True, force=force, changed=changed), warnings)
    point, notes = _placed(run, point, config, force)
    start = Start(point, again=True, force=force, notes=notes, changed=changed)
    return Resumption(config, start, (*warnings, *_new_warnings(begun, config)))


def _check_is_made_of(run: Path, config: RunConfig) -> None:
    """Raise where a folder holds something else than its config.toml describes: somebody has changed that."""
    again = f"stopcli run {run / 'config.toml'} runs it, in a new folder."
    command = read_json(run / "summary.json").get("command", config.command)
    if command != config.command:
        raise RunFolderError(
            f"{run / 'config.toml'}: describes a run of {config.command}, in the folder of a run of {command}",
            hint=again,
        )
    environment = read_json(run / "environment.json")
    is_sweep = (run / "jobs").is_dir() or "executor" in environment
    is_run = (run / "metrics.csv").exists() or "gpus" in environment
    if config.is_sweep and is_run and not is_sweep:
        raise RunFolderError(f"{run / 'config.toml'}: describes a sweep, in the folder of a single run", hint=again)
    if is_sweep and not config.is_sweep:
        raise RunFolderError(f"{run / 'config.toml'}: describes a single run, in the folder of a sweep", hint=again)


def _prepare_sweep(
    run: Path, begun: Any, changes: Mapping[str, Any], how: Mapping[str, Any], *, force: bool, retry_failed: bool
) -> Resumption:
    _check_left(run, begun, retry_failed)
    settings = {**settings_of(begun), **changes, **how}
    if "executor" in how and "jobs" not in how:
        # Chosen for another executor.
        settings.pop("jobs", None)
    config: Any = parse(type(begun), settings)
    refused = [words for job in plan_jobs(config) for words in _changed_job(run, job)]
    if refused and not force:
        raise changed_error(refused)
    changed = tuple(name for name in _changed_settings(begun, config) if name in changes)
    start = Start(again=True, force=force, retry_failed=retry_failed, notes=tuple(refused), changed=changed)
    return Resumption(config, start, _damaged(run))


def _placed(run: Path, point: ResumePoint, config: TrainedConfig, force: bool) -> tuple[ResumePoint, tuple[str, ...]]:
    """The position from which a run goes on under a config, and what was forced, a line each.

    Raises:
        RequestError: it would not be the same run any more.
    """
    now = settings_fingerprint(config)
    may_change = {*config.stopping_names, *PLACE_SETTINGS}
    refused = differences(point.fingerprint, now, without=may_change)
    if refused and not force:
        raise changed_error(refused)
    rules = settings_differences(point.fingerprint, now, config.stopping_names)
    if rules:
        point, forced = with_other_rules(run, point, config, force=force)
        refused += forced
    if rules and _state_of(run) == "finished" and _is_over(point, config):
        ran = agreeing(config.epochs, "its only epoch", f"all its {config.epochs} epochs")
        raise RunFolderError(
            f"{run}: ran {ran}, and these rules would not have stopped it before",
            hint="--epochs N trains it further, to epoch N.",
        )
    return _reopened(run, point, config.epochs), tuple(refused)


def _is_over(point: ResumePoint, config: TrainedConfig) -> bool:
    """Whether a position is the end of all epochs, with nothing left to do there."""
    over = point.stopped is not None and point.stopped["reason"] == "completed" and point.epoch >= config.epochs
    return over and not (config.restore_best or point.fingerprint.get("setting restore_best"))


def _changed_settings(begun: RunConfig, config: RunConfig) -> tuple[str, ...]:
    before, now = settings_of(begun), settings_of(config)
    return tuple(name for name in sorted({*before, *now}) if before.get(name) != now.get(name))


def _new_warnings(begun: RunConfig, config: RunConfig) -> list[str]:
    """What the user should know of settings that have changed."""
    before = begun.warnings()
    return [warning for warning in config.warnings() if warning not in before]


def _state_of(run: Path) -> object:
    """Its state. What has lost its summary has not finished: it goes on from its last state, and is summed up again."""
    state = read_json(run / "status.json").get("state")
    return None if read_checked(run / "summary.json")[1] else state


def _damaged(run: Path) -> tuple[str, ...]:
    """What is said of files that are damaged and that a run writes again when it goes on."""
    found = (read_checked(run / name)[1] for name in ("status.json", "summary.json"))
    return tuple(f"{run}/{damage}; it is written again" for damage in found if damage)


def _changed_job(run: Path, job: Job[Any]) -> list[str]:
    """How a job that was begun differs from what the sweep's settings would make of it now, a line each."""
    folder = run / "jobs" / job.name
    if not (folder / "config.toml").is_file():
        return []
    begun, planned = (settings_fingerprint(config) for config in (read_config(folder), job.config))
    return [f"{job.name}: {words}" for words in differences(begun, planned, without=PLACE_SETTINGS)]


def _check_changes(run: Path, config: RunConfig, changes: Mapping[str, Any]) -> None:
    """Raise where a run of this command cannot have these settings changed."""
    if "dataset" in changes:
        check_can_move(config, changes["dataset"])
    # Those that say how far the training goes.
    name = next((name for name in changes if name != "dataset"), None)
    if name is None:
        return
    what = "other number of epochs" if name == "epochs" else "other rules"
    if config.is_sweep:
        hint = f"stopcli resume {run / 'jobs'}/RUN takes it for one of them."
        raise ConfigError(name, changes[name], f"no {what} for a sweep; its runs can have them one by one", hint=hint)
    if not isinstance(config, TrainedConfig):
        raise ConfigError(name, changes[name], f"no {what} for a run of {config.command}")
    trained_by = {field.name for field in fields(StoppingSettings)} - config.stopping_names
    for name in changes:
        if name in trained_by:
            expected = f"no other one for this run, whose learning rate follows its {name}"
            raise ConfigError(name, changes[name], expected)


def _check_left(run: Path, config: Any, retry_failed: bool) -> None:
    """Raise where a sweep has no run to go on with."""
    jobs = plan_jobs(config)
    if pending_jobs(jobs, run / "jobs", retry_failed=retry_failed):
        return
    if not is_summed_up(run, jobs):
        return
    failed = sum(read_json(run / "jobs" / job.name / "status.json").get("state") == "failed" for job in jobs)
    if failed and not retry_failed:
        raise RunFolderError(
            f"{run}: nothing is left to do; {failed} of {counted(len(jobs), 'run')} failed",
            hint="--retry-failed goes on with those that did not diverge.",
        )
    words = (
        f"every other run of the sweep is finished, {failed} diverged"
        if failed
        else "every run of the sweep is finished"
    )
    raise RunFolderError(f"{run}: {words}")


def _check_state(
    run: Path, begun: TrainedConfig, config: TrainedConfig, changes: Mapping[str, Any], changed: Sequence[str]
) -> None:
    """Raise where a run has come to an end, and no change of its settings can let it go on."""
    stop, state = read_json(run / "summary.json").get("stop") or {}, _state_of(run)
    if state == "failed" and stop.get("reason") == "non_finite":
        raise RunFolderError(f"{run}: diverged ({stop['rule']}); going on from there would train nothing")
    if state != "finished":
        return
    rules = config.stopping_names & {*changed}
    if not rules and "epochs" not in changes:
        raise RunFolderError(f"{run}: finished ({stop.get('rule')}), nothing is left to do", hint=further(stop))
    if stop.get("reason") != "completed" and not rules:
        raise RunFolderError(
            f"{run}: stopped by {stop.get('rule')}, not by its epochs; more of them alone would not help",
            hint=further(stop),
        )
    if stop.get("reason") == "completed" and "epochs" in changes and config.epochs <= begun.epochs:
        raise ConfigError("epochs", config.epochs, f"more than the {begun.epochs} that the run has trained")


def _check_schedule(config: RunConfig, epochs: int, force: bool) -> None:
    """Raise where more epochs would have trained the run's first ones otherwise."""
    if config.moves_with_epochs and not force:
        raise ConfigError(
            "epochs",
            epochs,
            f"no other number of epochs, because with {config.moves_with_epochs} the learning rate depends on it",
            hint="--init-from begins a new run with this one's weights; --force goes on, by the new schedule.",
        )


def _reopened(run: Path, point: ResumePoint, epochs: int) -> ResumePoint:
    """The point without the verdict that its epochs were over, where there are more of them now."""
    begun = point.epoch + (1 if point.partial_sums else 0)
    if epochs < begun:
        raise ConfigError("epochs", epochs, f"at least the {begun} that the run has begun")
    over = point.stopped is not None and point.stopped["reason"] == "completed" and epochs > point.epoch
    return replace(point, stopped=None) if over else point

"""What `stopcli resume` goes on from: read and checked before TensorFlow is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stopcli.config import RunConfig, parse, read_toml, settings_of
from stopcli.errors import ConfigError, RequestError, RunFolderError
from stopcli.recipes.recipe import config_class
from stopcli.recipes.saved_position import find_position
from stopcli.recipes.trained import TrainedConfig
from stopcli.runs.files import read_json
from stopcli.runs.folder import check_is_run
from stopcli.sweeps.collect import is_summed_up, jobs_left
from stopcli.sweeps.plan import Job, plan_jobs
from stopcli.training.fingerprint import changed_error, differences, settings_fingerprint
from stopcli.training.resume_state import ResumePoint
from stopcli.training.session import Start


@dataclass(frozen=True)
class Resumption:
    """A run to go on with.

    Attributes:
        config: its settings, perhaps with more epochs.
        start: its position.
        warnings: states that were passed over, and event files that are written again.
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
    epochs: int | None = None,
    force: bool = False,
    retry_failed: bool = False,
    how: Mapping[str, Any] | None = None,
) -> Resumption:
    """Find out how a run goes on.

    Args:
        epochs: train up to this epoch instead of the config's last.
        force: go on although settings or versions have changed.
        retry_failed: of a sweep, go on with runs that failed by an error of their own too.
        how: of a sweep, other settings of how its runs are executed.

    Raises:
        RequestError: it is no run, has nothing left to do, diverged, or would not be the same run any more.
        RecordError: what it has recorded was changed since it was saved.
        CheckpointError: it has saved states and none of them can be read.
    """
    config: Any = read_config(run)
    how = how or {}
    state = read_json(run / "status.json").get("state")
    stop = read_json(run / "summary.json").get("stop") or {}
    if config.is_sweep:
        if epochs is not None:
            raise ConfigError("epochs", epochs, "no --epochs for a sweep: extend the runs in its jobs/ one by one")
        _check_left(run, config, retry_failed)
        settings = {**settings_of(config), **how}
        if "executor" in how and "jobs" not in how:
            # Chosen for another executor.
            settings.pop("jobs", None)
        config = parse(type(config), settings)
        changed = [words for job in plan_jobs(config) for words in _changed_job(run, job)]
        if changed and not force:
            raise changed_error(changed)
        start = Start(again=True, force=force, retry_failed=retry_failed, notes=tuple(changed))
        return Resumption(config, start)
    if retry_failed or how:
        name = next(iter(how), "retry_failed")
        raise ConfigError(name, how.get(name, True), "a sweep; this is a single run")
    if not isinstance(config, TrainedConfig):
        return _again(run, config, state, epochs, force)
    _check_state(run, state, stop, epochs, config)
    more: tuple[str, ...] = ()
    if epochs is not None:
        _check_schedule(config, epochs, force)
        more = (f"epochs: was {config.epochs}, is {epochs}",)
        config = parse(type(config), {**settings_of(config), "epochs": epochs})
    point, warnings = find_position(run, tensorboard=config.tensorboard)
    if point is None:
        return Resumption(config, Start(again=True, force=force))
    changed = differences(point.fingerprint, settings_fingerprint(config))
    if changed and not force:
        raise changed_error(changed)
    point = _reopened(run, point, config.epochs)
    return Resumption(config, Start(point, again=True, force=force, notes=(*more, *changed)), warnings)


def _changed_job(run: Path, job: Job[Any]) -> list[str]:
    """How a job that was begun differs from what the sweep's settings would make of it now, a line each."""
    folder = run / "jobs" / job.name
    if not (folder / "config.toml").is_file():
        return []
    begun, planned = (settings_fingerprint(config) for config in (read_config(folder), job.config))
    return [f"{job.name}: {words}" for words in differences(begun, planned)]


def _again(run: Path, config: Any, state: object, epochs: int | None, force: bool) -> Resumption:
    """How a run goes on that is no training under rules: as far as it is done, its own files say it."""
    if epochs is not None:
        raise ConfigError("epochs", epochs, f"no other number of epochs for a run of {config.command}")
    if state == "finished":
        raise RunFolderError(f"{run}: finished, nothing is left to do")
    return Resumption(config, Start(again=True, force=force))


def _check_left(run: Path, config: Any, retry_failed: bool) -> None:
    """Raise where a sweep has no run to go on with."""
    jobs = plan_jobs(config)
    if jobs_left(jobs, run / "jobs", retry_failed=retry_failed):
        return
    if not is_summed_up(run, jobs):
        return
    failed = sum(read_json(run / "jobs" / job.name / "status.json").get("state") == "failed" for job in jobs)
    if failed and not retry_failed:
        raise RunFolderError(
            f"{run}: nothing is left to do; {failed} of {len(jobs)} runs failed",
            hint="--retry-failed goes on with those that did not diverge.",
        )
    words = (
        f"every other run of the sweep is finished, {failed} diverged"
        if failed
        else "every run of the sweep is finished"
    )
    raise RunFolderError(f"{run}: {words}")


def _check_state(run: Path, state: object, stop: dict[str, Any], epochs: int | None, config: Any) -> None:
    if state == "failed" and stop.get("reason") == "non_finite":
        raise RunFolderError(f"{run}: diverged ({stop['rule']}); going on from there would train nothing")
    if state != "finished":
        return
    if epochs is None:
        extend = "--epochs N trains it further, to epoch N." if stop.get("reason") == "completed" else ""
        raise RunFolderError(f"{run}: finished ({stop.get('rule')}), nothing is left to do", hint=extend)
    if stop.get("reason") != "completed":
        raise RunFolderError(f"{run}: stopped by {stop.get('rule')}, not by its epochs; more of them would not help")
    if epochs <= config.epochs:
        raise ConfigError("epochs", epochs, f"more than the {config.epochs} that the run has trained")


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

"""What `stopcli resume` starts from: a run's settings and its newest usable state, read without TensorFlow."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from stopcli.analysis.decisions import next_round
from stopcli.configs.base import RunConfig, parse, settings_of, settings_with
from stopcli.configs.registry import config_class
from stopcli.configs.training import TrainingConfig
from stopcli.errors import CheckpointError, ConfigError, RecordError, RequestError, RunFolderError
from stopcli.paths import quoted
from stopcli.quantities import agreeing, counted
from stopcli.recipes.base import recipe_for
from stopcli.recipes.recorded_code import file_of, with_code
from stopcli.runner.provenance import check_can_move, how_to_continue, with_other_rules
from stopcli.runs.environment import read_environment
from stopcli.runs.files import check_prefix, read_toml
from stopcli.runs.folder import RunFolder, check_is_run
from stopcli.runs.run import Run, run_argument
from stopcli.runs.summary import RECORDED
from stopcli.sweeps.plan import collect, is_summed_up, pending_jobs, plan_jobs, started_jobs
from stopcli.training.session import Start
from stopcli.training.state_file import (
    StateStore,
    TrainState,
    changed_error,
    differences,
    place_settings,
    settings_differences,
    settings_fingerprint,
)

# Event files show what is in metrics.csv, and are written again from there.
_DERIVED = "tensorboard/"


def find_position(run: Path, *, tensorboard: bool) -> tuple[TrainState | None, tuple[str, ...]]:
    """The position to resume from, and warnings about states that cannot be used; None where no state was saved.

    A state is used only where the files that the run appends to begin as they did when it was saved. So neither is the
    state of another run resumed, nor are epochs appended to a record that somebody has changed.

    Args:
        tensorboard: whether event files are written.

    Raises:
        RecordError: states can be read, and the run's record does not match any of them.
        CheckpointError: there are states, and none of them can be read.
    """
    loaded = StateStore(run / "checkpoints" / "resume").load(lambda state: _check_record(run, state))
    problems = [
        f"{path}: does not match {error.message}" if isinstance(error, RecordError) else error.message
        for path, error in loaded.skipped
    ]
    if loaded.state is not None:
        warnings = [f"{problem}; the state before it is used" for problem in problems]
        return loaded.state, (*warnings, *(_changed_events(run, loaded.state) if tensorboard else ()))
    if not problems:
        return None, ()
    new_run = f"stopcli run {quoted(run / 'config.toml')} starts over, in a new folder."
    # The oldest is the surest to be the run's own.
    for _, error in reversed(loaded.skipped):
        if isinstance(error, RecordError):
            raise RecordError(error.message, hint=f"Restore the file as it was and resume; or {new_run}")
    raise CheckpointError(f"{run}: no saved state can be read: {'; '.join(problems)}", hint=new_run)


def _check_record(run: Path, state: TrainState) -> None:
    for name, prefix in state.files.items():
        if not name.startswith(_DERIVED):
            check_prefix(run / name, prefix)


def _changed_events(run: Path, state: TrainState) -> list[str]:
    """A warning for each event file that somebody has changed."""
    warnings = []
    for name, prefix in state.files.items():
        if name.startswith(_DERIVED):
            try:
                check_prefix(run / name, prefix)
            except RecordError as error:
                warnings.append(f"{error.message}; it is written again from metrics.csv")
    return warnings


@dataclass(frozen=True)
class Resumption:
    """A run that can be resumed.

    Attributes:
        config: its settings, perhaps with more epochs, other rules, or another place of its data.
        start: the position to start from.
        warnings: damaged files, saved states that cannot be used, event files that are written again, and settings
            without effect.
    """

    config: Any
    start: Start
    warnings: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Where it resumes, in words."""
        if self.config.is_sweep:
            return "with the runs that have not finished"
        if not isinstance(self.config, TrainingConfig):
            return "with the seeds that are not done"
        state = self.start.state
        return "from its start" if state is None else f"after epoch {state.epoch} (step {state.step})"


def read_config(run: Path) -> RunConfig:
    """The settings in a run's config.toml. Raises RequestError where it is no run folder, or the file holds no settings
    of a command."""
    check_is_run(run)
    settings = read_toml(run / "config.toml")
    if settings.get("command") == RECORDED:
        argv = read_environment(run)[0].get("argv", [])
        # A notebook's is that of its kernel.
        is_script = argv and argv[0].endswith(".py") and "ipykernel" not in argv[0]
        again = f" again: python {shlex.join(argv)}" if is_script else " or notebook again"
        raise RequestError(
            f"{run}: recorded by stopcli.Recorder, which has no state of the training to resume from",
            hint=f"Run your script{again}",
        )
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
    code: Path | None = None,
) -> Resumption:
    """Find the position that a run is resumed from, and check that it would be the same run.

    Args:
        changes: settings with new values: `epochs`, the place of the data (`dataset`), rules.
        force: resume although settings or versions have changed.
        retry_failed: of a sweep, also resume runs that failed by an error of their own.
        how: of a sweep, new settings of how its runs are executed.
        code: the user's file that may be executed, of a run that was started with one; None for that one as it was.

    Raises:
        RequestError: it is no run, has nothing left to do, diverged, or would not be the same run any more.
        RecordError: its recorded metrics were changed since they were saved.
        CheckpointError: it has saved states and none of them can be read.
    """
    original: Any = read_config(run)
    _check_folder_matches(run, original)
    changes, how = changes or {}, how or {}
    _check_changes(run, original, changes)
    changes = {original.data_setting if name == "dataset" else name: value for name, value in changes.items()}
    if original.is_sweep:
        return _prepare_sweep(run, original, changes, how, code, force=force, retry_failed=retry_failed)
    if retry_failed or how:
        name = next(iter(how), "retry_failed")
        raise ConfigError(name, how.get(name, True), "a sweep; this is a single run")
    config = parse(type(original), {**settings_of(original), **changes})
    start = Start(resumed=True, force=force, changed=_changed_settings(original, config))
    warnings = _damaged_files(run)
    if not isinstance(config, TrainingConfig):
        if Run.read(run).finished:
            raise RunFolderError(f"{run}: finished, nothing is left to do")
        config, start, notes = _with_code(run, original, config, start, code)
        return Resumption(config, start, (*warnings, *notes))
    _check_has_states(run)
    _check_not_over(run, original, config, start.changed, more_epochs="epochs" in changes)
    if "epochs" in start.changed and config.schedule_depends_on_epochs and not force:
        raise ConfigError(
            "epochs",
            config.epochs,
            f"the same number of epochs, because with {config.schedule_depends_on_epochs} the learning rate depends "
            "on it",
            hint="--init-from starts a new run with this one's weights; --force resumes under the new schedule.",
        )
    config, start, notes = _with_code(run, original, config, start, code)
    state, state_warnings = find_position(run, tensorboard=config.tensorboard)
    warnings += (*notes, *state_warnings)
    if state is None:
        return Resumption(config, start, warnings)
    state, forced = _position_under(run, state, config, force)
    # Warnings that the run has had from its start are in its report.
    warnings += tuple(warning for warning in config.warnings() if warning not in original.warnings())
    return Resumption(config, replace(start, state=state, notes=(*start.notes, *forced)), warnings)


def _with_code(
    run: Path, original: Any, config: Any, start: Start, code: Path | None
) -> tuple[Any, Start, tuple[str, ...]]:
    """The config and the start with the user's file that may be executed, and warnings where it has changed; as they
    are, of a run that executes none. Raises RequestError where no file may be."""
    again = f"stopcli resume {shlex.quote(run_argument(run))}"
    config, notes = with_code(config, code, run=run, again=again, force=start.force)
    if not file_of(config):
        return config, start, ()
    changed = _changed_settings(original, config)
    # The record has the lines that have changed; whoever resumes has just named the file.
    warnings = tuple(note.partition("\n")[0] for note in notes)
    return config, replace(start, changed=changed, notes=(*start.notes, *notes)), warnings


def _check_folder_matches(run: Path, config: RunConfig) -> None:
    """Raise where a folder holds something else than its config.toml describes: somebody has changed the file."""
    file = run / "config.toml"
    hint = f"stopcli run {quoted(file)} runs it, in a new folder."
    command = getattr(Run.read(run).summary, "command", config.command)
    if command != config.command:
        raise RunFolderError(
            f"{file}: describes a run of {config.command}, in the folder of a run of {command}", hint=hint
        )
    environment = read_environment(run)[0]
    is_sweep = (run / "jobs").is_dir() or "executor" in environment
    is_run = (run / "metrics.csv").exists() or "gpus" in environment
    if config.is_sweep and is_run and not is_sweep:
        raise RunFolderError(f"{file}: describes a sweep, in the folder of a single run", hint=hint)
    if is_sweep and not config.is_sweep:
        raise RunFolderError(f"{file}: describes a single run, in the folder of a sweep", hint=hint)


def _check_changes(run: Path, config: RunConfig, changes: Mapping[str, Any]) -> None:
    """Raise where a run of this command cannot have these settings changed."""
    if "dataset" in changes:
        check_can_move(config, changes["dataset"])
    # The others say how far the training goes.
    names = [name for name in changes if name != "dataset"]
    if not names:
        return
    name = names[0]
    what = "number of epochs" if name == "epochs" else "rules"
    if config.is_sweep:
        hint = f"stopcli resume {quoted(run / 'jobs')}/RUN changes them for one run."
        raise ConfigError(name, changes[name], f"no new {what} for a whole sweep", hint=hint)
    if not isinstance(config, TrainingConfig):
        raise ConfigError(name, changes[name], f"no new {what} for a run of {config.command}")
    rate_settings = settings_with(type(config), "stopping") - config.stopping_names
    for name in filter(rate_settings.__contains__, names):
        raise ConfigError(name, changes[name], f"no change: this run's learning rate depends on its {name}")


def _prepare_sweep(
    run: Path,
    original: Any,
    changes: Mapping[str, Any],
    how: Mapping[str, Any],
    code: Path | None,
    *,
    force: bool,
    retry_failed: bool,
) -> Resumption:
    if "max_seeds" in how and not original.auto_seeds:
        raise ConfigError("max_seeds", how["max_seeds"], "a sweep that was started with --seeds auto")
    recorded = {*changes, "max_seeds"}
    settings = {**settings_of(original), **changes, **how}
    if "executor" in how and "jobs" not in how:
        # Chosen for another executor.
        settings.pop("jobs", None)
    config: Any = parse(type(original), settings)
    _check_most_seeds(run, original, config)
    _check_has_pending_jobs(run, config, retry_failed)
    differing: list[str] = []
    for job in plan_jobs(config):
        folder = run / "jobs" / job.name
        if (folder / "config.toml").is_file():
            saved, planned = settings_fingerprint(read_config(folder)), settings_fingerprint(job.config)
            differing += (f"{job.name}: {line}" for line in differences(saved, planned, without=place_settings(config)))
    if differing and not force:
        raise changed_error(differing)
    changed = tuple(name for name in _changed_settings(original, config) if name in recorded)
    start = Start(resumed=True, force=force, retry_failed=retry_failed, notes=tuple(differing), changed=changed)
    config, of_code, notes = _with_code(run, parse(type(original), settings), config, start, code)
    start = replace(of_code, changed=(*changed, *(of_code.changed if of_code is not start else ())))
    return Resumption(config, start, (*_damaged_files(run), *notes))


def _check_most_seeds(run: Path, original: Any, config: Any) -> None:
    """Raise where a sweep has started more seeds than it is to have: their runs would stand in no table."""
    started = len(started_jobs(original, run / "jobs")) // len(original.arms()) if original.auto_seeds else 0
    if config.most_seeds < started:
        raise ConfigError("max_seeds", config.max_seeds, f"at least the {started} that the sweep has started")


def _check_has_pending_jobs(run: Path, config: Any, retry_failed: bool) -> None:
    """Raise where a sweep has no run that could be resumed."""
    jobs = started_jobs(config, run / "jobs")
    if pending_jobs(jobs, run / "jobs", retry_failed=retry_failed) or not is_summed_up(Run.read(run), jobs):
        return
    results = collect(jobs, run / "jobs", {})
    value = recipe_for(config).compared_value(config, results)
    if next_round(config, value, results):
        return
    failed = sum(Run.read(run / "jobs" / job.name).status.state == "failed" for job in jobs)
    if failed and not retry_failed:
        raise RunFolderError(
            f"{run}: nothing is left to do; {failed} of {counted(len(jobs), 'run')} failed",
            hint="--retry-failed resumes those that did not diverge.",
        )
    diverged = f"every other run of the sweep is finished, {failed} diverged"
    undecided = config.auto_seeds and next_round(replace(config, max_seeds=config.max_seeds + 1), value, results)
    raise RunFolderError(
        f"{run}: {diverged if failed else 'every run of the sweep is finished'}",
        hint=f"Not everything is decided: --max-seeds N, above {config.max_seeds}, trains more seeds."
        if undecided
        else "",
    )


def _check_has_states(run: Path) -> None:
    """Raise where the states of a finished run were deleted: it would be trained from its start, over its record."""
    pruned = RunFolder(run).pruned
    if StateStore(run / "checkpoints" / "resume").files() or not (pruned.exists() or Run.read(run).finished):
        return
    when = f" on {datetime.fromtimestamp(pruned.stat().st_mtime, timezone.utc):%Y-%m-%d}" if pruned.exists() else ""
    name = shlex.quote(run_argument(run))
    raise RunFolderError(
        f"{run}: finished, and its saved states were deleted{when}, so it cannot be trained further",
        hint=f"stopcli run {name} --set KEY=VALUE trains it anew, in a new folder; --init-from {name} starts from its "
        "saved model.",
    )


def _check_not_over(
    run: Path, original: TrainingConfig, config: TrainingConfig, changed: tuple[str, ...], *, more_epochs: bool
) -> None:
    """Raise where a run has ended, and these changes of its settings do not let it train further."""
    saved = Run.read(run)
    if saved.results is None or saved.damage:
        # Without a readable summary it has not finished: it resumes from its last state and writes one.
        return
    reason, rule = saved.results.stop.reason, saved.results.stop.rule
    if saved.diverged:
        raise RunFolderError(f"{run}: diverged ({rule}); resuming from there would train nothing")
    if not saved.finished:
        return
    other_rules = bool(config.stopping_names & {*changed})
    if not other_rules and not more_epochs:
        raise RunFolderError(f"{run}: finished ({rule}), nothing is left to do", hint=how_to_continue(reason))
    if not other_rules and reason != "completed":
        raise RunFolderError(
            f"{run}: stopped by {rule}, not by its number of epochs; more of them would not help",
            hint=how_to_continue(reason),
        )
    if more_epochs and reason == "completed" and config.epochs <= original.epochs:
        raise ConfigError("epochs", config.epochs, f"more than the {original.epochs} that the run has trained")


def _position_under(
    run: Path, state: TrainState, config: TrainingConfig, force: bool
) -> tuple[TrainState, tuple[str, ...]]:
    """The position that a run resumes from under a config, and what was forced, a line each. Raises RequestError where
    it would not be the same run any more."""
    now = settings_fingerprint(config)
    forced = differences(state.fingerprint, now, without={*config.stopping_names, *place_settings(config)})
    if forced and not force:
        raise changed_error(forced)
    rules = settings_differences(state.fingerprint, now, config.stopping_names)
    if rules:
        state, stopped_earlier = with_other_rules(run, state, config, force=force)
        forced += stopped_earlier
    completed = state.stopped is not None and state.stopped["reason"] == "completed"
    restores = config.restore_best or state.fingerprint.get("setting restore_best")
    if rules and Run.read(run).finished and completed and state.epoch >= config.epochs and not restores:
        trained = agreeing(config.epochs, "its only epoch", f"all its {config.epochs} epochs")
        raise RunFolderError(
            f"{run}: trained {trained}, and these rules would not have stopped it earlier",
            hint=how_to_continue("completed"),
        )
    started_epochs = state.epoch + (1 if state.partial_sums else 0)
    if config.epochs < started_epochs:
        raise ConfigError("epochs", config.epochs, f"at least the {started_epochs} that the run has started")
    # With more epochs than it had, the run is not completed any more.
    if completed and config.epochs > state.epoch:
        state = replace(state, stopped=None)
    return state, tuple(forced)


def _changed_settings(original: RunConfig, config: RunConfig) -> tuple[str, ...]:
    before, now = settings_of(original), settings_of(config)
    return tuple(name for name in sorted({*before, *now}) if before.get(name) != now.get(name))


def _damaged_files(run: Path) -> tuple[str, ...]:
    """A warning for each damaged file that a resumed run writes again."""
    return tuple(f"{run}/{damage}; it is written again" for damage in Run.read(run).damages)

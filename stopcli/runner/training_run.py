"""One run that trains, from its start to its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.configs.base import RunConfig, to_toml
from stopcli.recipes.base import LoadedConfig, recipe_for
from stopcli.recipes.recorded_code import keep_earlier_copies
from stopcli.report.drawing import Figures
from stopcli.runner.precision import compare_precisions
from stopcli.runner.provenance import changed_data, changed_model, record_environment
from stopcli.runner.report import write_results
from stopcli.runs.ancestry import ancestors_of
from stopcli.runs.files import remove_leftovers, write_whole
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import read_metrics
from stopcli.runs.summary import RunSummary
from stopcli.training.session import SaveCadence, Session, Start
from stopcli.training.state_file import data_fingerprint, settings_fingerprint

if TYPE_CHECKING:
    from stopcli.runs.summary import Before
    from stopcli.training.evaluate import Evaluation
    from stopcli.training.loop import Loop
    from stopcli.training.trainer import Experiment, Outcome


def train_run(
    loaded: LoadedConfig,
    folder: RunFolder,
    session: Session,
    start: Start,
    loop_cache: dict[Any, Any] | None,
    *,
    plots: bool,
) -> RunSummary:
    """Train, save, evaluate, draw and report a run. Arguments, result and errors as of `run_one`."""
    config, stopwatch = loaded.config, session.stopwatch
    with stopwatch.part("build"):
        experiment = recipe_for(config).build(loaded)
    fingerprint = {**settings_fingerprint(config), **data_fingerprint(experiment.parts), **experiment.identity}
    warnings = _begin(loaded, experiment, folder, start, fingerprint)
    beside_start = _measured_start(config, experiment, folder, session)
    loop = compiled_loop(experiment, loop_cache, session)
    warnings += compare_precisions(loaded, experiment, loop, folder, session, start)
    outcome = _trained(config, experiment, loop, folder, session, start, fingerprint)
    evaluation = _evaluated(loaded, experiment, loop, outcome, folder, session)
    if getattr(config, "refit", False):
        from stopcli.runner.refit import evaluation_with_refit

        def compiled(of: Experiment, session: Session) -> Loop:
            return compiled_loop(of, loop_cache, session, "refit")

        with stopwatch.part("refit"):
            evaluation = evaluation_with_refit(
                loaded, experiment, outcome, evaluation, folder, session, fingerprint, compiled
            )
    evaluation = _with_warnings(evaluation, (*loaded.notes, *warnings))
    if beside_start is not None:
        evaluation = replace(evaluation, summary=replace(evaluation.summary, before=beside_start(evaluation)))
    if evaluation.summary.state == "finished":
        evaluation = _finished(loaded, experiment, loop, evaluation, folder, session)
    return _written(loaded, experiment, evaluation, folder, session, plots=plots)


def _begin(
    loaded: LoadedConfig, experiment: Experiment, folder: RunFolder, start: Start, fingerprint: Mapping[str, Any]
) -> tuple[str, ...]:
    """Check that a run can go on from a saved state, or load the weights that it starts from; and mark its folder as
    running. Returns warnings."""
    from stopcli.runner.precision import policies_of

    config = loaded.config
    changed: list[str] = []
    if start.state is not None:
        before = start.state.fingerprint
        changed = changed_data(config, [before["data"]], fingerprint["data"], force=start.force)
        changed += changed_model(before, experiment.identity, force=start.force)
    # A saved state holds all weights: the model that the first ones came from may be gone by now.
    ancestry = warm_start(config, experiment, folder) if start.state is None else None
    if ancestry is not None and getattr(config, "refit", False):
        from stopcli.runner.refit import keep_start

        keep_start(folder, experiment.initial_state(), fingerprint)
    return start_session(loaded, folder, start, policies_of(experiment.model), changed, ancestry)


def _measured_start(
    config: Any, experiment: Experiment, folder: RunFolder, session: Session
) -> Callable[[Evaluation], Before] | None:
    """Measure the model that a run of a table starts from, before it is trained. Returns what compares it with the
    run's; None where the run starts from drawn weights, or no rows test."""
    if not (config.init_from and getattr(config, "table", "")):
        return None
    from stopcli.training.model_files import model_file
    from stopcli.training.start_model import before_and_after, keep_start, measure_start

    if not folder.start_model.exists():
        keep_start(model_file(Path(config.init_from)), folder)
    session.observer.stage("measuring the model that it starts from")
    with session.stopwatch.part("evaluate"):
        start = measure_start(experiment, folder)
    if start is None:
        return None
    return lambda evaluation: before_and_after(start, config.init_from, experiment, evaluation)


def _trained(
    config: Any,
    experiment: Experiment,
    loop: Loop,
    folder: RunFolder,
    session: Session,
    start: Start,
    fingerprint: Mapping[str, Any],
) -> Outcome:
    from stopcli.training.run_log import RunLog
    from stopcli.training.trainer import Trainer

    run_log = RunLog(
        folder,
        loop.columns,
        experiment.steps_per_epoch,
        SaveCadence(config.save_every),
        fingerprint,
        start.state,
        resumed=start.resumed,
        log_steps=experiment.log_steps,
        tensorboard=to_toml(config) if config.tensorboard else None,
    )
    session.observer.stage("training")
    with run_log:
        return Trainer(experiment, loop, folder, run_log, session, start.state).train()


def _evaluated(
    loaded: LoadedConfig, experiment: Experiment, loop: Loop, outcome: Outcome, folder: RunFolder, session: Session
) -> Evaluation:
    from stopcli.training.evaluate import evaluate_run

    session.observer.stage("evaluating")
    evaluation = evaluate_run(loaded.config, experiment, loop.model, outcome, folder, session.stopwatch)
    return replace(evaluation, summary=replace(evaluation.summary, arm=loaded.config.arm))


def _with_warnings(evaluation: Evaluation, warnings: Sequence[str]) -> Evaluation:
    summary = evaluation.summary
    return replace(evaluation, summary=replace(summary, warnings=(*summary.warnings, *warnings)))


def _finished(
    loaded: LoadedConfig,
    experiment: Experiment,
    loop: Loop,
    evaluation: Evaluation,
    folder: RunFolder,
    session: Session,
) -> Evaluation:
    """The results of a finished run with what its recipe measures once it has ended."""
    recipe, stopwatch = recipe_for(loaded.config), session.stopwatch
    if experiment.afterwards is not None:
        with stopwatch.part("evaluate"):
            of_loop = experiment.afterwards(loop, folder)
        evaluation = replace(evaluation, summary=replace(evaluation.summary, **of_loop))
    if experiment.table is not None:
        session.observer.stage("comparing with simpler answers")
    with stopwatch.part("evaluate"):
        evaluation = replace(evaluation, summary=recipe.run_summary(loaded, experiment, evaluation))
        return _with_warnings(evaluation, recipe.run_after(loaded, evaluation, folder))


def _written(
    loaded: LoadedConfig,
    experiment: Experiment,
    evaluation: Evaluation,
    folder: RunFolder,
    session: Session,
    *,
    plots: bool,
) -> RunSummary:
    """Write a run's tables, its figures and its report."""
    config = loaded.config
    recipe = recipe_for(config)
    with session.stopwatch.part("plots"):
        tables = recipe.run_tables(experiment, evaluation)

    def figures() -> Figures:
        steps = read_metrics(folder.steps) if experiment.log_steps else None
        return recipe.run_figures(config, experiment, evaluation, read_metrics(folder.metrics), steps)

    what = f"{config.command} {experiment.dataset}" if config.is_code else config.command
    return write_results(
        folder,
        evaluation.summary,
        loaded.description,
        session.stopwatch,
        title=f"{what}: {config.arm.replace('-', ' ')}, seed {config.seed}",
        tables=list(tables.values()),
        files={f"{name}.csv": table.csv() for name, table in tables.items()},
        figures=figures if plots else None,
    )


def start_session(
    loaded: LoadedConfig,
    folder: RunFolder,
    start: Start,
    policies: str,
    changed: Sequence[str] = (),
    ancestry: dict[str, Any] | None = None,
) -> tuple[str, ...]:
    """Mark a run's folder as running, record what it computes with, and write the files of its data; other arguments
    and result as of `record_environment`.

    Args:
        policies: the dtype policies of its layers, by name.
    """
    from stopcli.training.evaluate import devices

    config = loaded.config
    folder.status.write("running", epoch=start.state.epoch if start.state else 0)
    if start.resumed:
        remove_leftovers(folder.path)
        if loaded.source is not None:
            keep_earlier_copies(folder.path, loaded.source)
    for name, content in loaded.files.items():
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        write_whole(folder.path / name, content)
    return record_environment(config, folder, devices(policies), start, changed, ancestry)


def warm_start(config: RunConfig, experiment: Experiment, folder: RunFolder | None = None) -> dict[str, Any] | None:
    """Load the weights that a config names into the experiment. Returns their ancestry, None where it names none.

    Args:
        folder: of the run, which may have a copy of them.
    """
    if not config.init_from:
        return None
    from stopcli.training.model_files import model_file, start_from

    source = Path(config.init_from)
    own = None if folder is None or not folder.start_model.exists() else folder.start_model
    path = model_file(own or source)
    experiment.check_start(path)
    ancestry = start_from(
        experiment.whole(experiment.model), experiment.optimizer, path, with_optimizer=config.init_optimizer
    )
    return {**ancestry, "ancestors": ancestors_of(source)}


def compiled_loop(
    experiment: Experiment, loop_cache: dict[Any, Any] | None, session: Session, stage: str = "run"
) -> Loop:
    """A compiled loop in the experiment's initial state: the cached one, or a new one.

    Args:
        stage: of the run; the cache has one loop for each.
    """
    key = experiment.loop_key
    if loop_cache is not None and key is not None and loop_cache.get(stage, (None,))[0] == key:
        loop: Loop = loop_cache[stage][1]
        loop.reset(experiment.initial_state(), experiment.seed)
        return loop
    if loop_cache is not None:
        # One at a time: it holds the data on its device.
        loop_cache.pop(stage, None)
    session.observer.stage("compiling")
    with session.stopwatch.part("compile"):
        loop = experiment.make_loop()
        loop.compile()
    if loop_cache is not None and key is not None:
        loop_cache[stage] = (key, loop)
    return loop

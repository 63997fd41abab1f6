"""`stopcli lr-range` from its settings to its finished folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from stopcli.evidence.rate_range import runaway, smoothed
from stopcli.recipes.beginning import record_environment
from stopcli.recipes.images.experiment import inputs_of, loss_of, optimizer_of, xla_pays
from stopcli.recipes.images.load import ImageParts
from stopcli.recipes.lr_range.config import LrRangeConfig
from stopcli.recipes.lr_range.finished import Finished
from stopcli.recipes.lr_range.results import KINDS, RangeResults, results_of
from stopcli.recipes.moved_data import other_data
from stopcli.recipes.recipe import Loaded
from stopcli.recipes.reporting import report_metadata, write_run_report
from stopcli.recipes.train.network import make_network
from stopcli.report.drawing import Figures, draw
from stopcli.report.drawn_text import drawn_name
from stopcli.report.tables import Table
from stopcli.runs.files import remove_leftovers, write_text
from stopcli.runs.folder import RunFolder
from stopcli.schedules.ramp import RampLR
from stopcli.training.conclusion import devices
from stopcli.training.fingerprint import data_fingerprint, settings_fingerprint
from stopcli.training.loop import State, initial_state
from stopcli.training.rising_rate import RangeCurve, run_range
from stopcli.training.session import Session, Start
from stopcli.training.steps_loop import StepsLoop


def run(loaded: Loaded, folder: RunFolder, session: Session, start: Start) -> dict[str, Any]:
    """Train each seed under a rising learning rate, and sum up what the curves say.

    A seed that an earlier session has finished is read from its file.

    Returns:
        The content of summary.json.
    """
    config, stopwatch = loaded.config, session.stopwatch
    fingerprint = {**settings_fingerprint(config), **data_fingerprint(loaded.data.parts)}
    done = Finished.read(folder.path, fingerprint, force=start.force, elsewhere=other_data(config))
    folder.status.write("running")
    if start.again:
        remove_leftovers(folder.path)
    half = config.mixed_precision
    notes = record_environment(config, folder, devices("mixed_float16" if half else "float32"), start)
    loaded = replace(loaded, notes=(*loaded.notes, *notes))
    for words in done.notes:
        folder.log(f"warning: {words}")
    tests = _Tests(loaded)
    measured = 0
    for seed in range(config.seed, config.seed + config.seeds):
        if seed in done.curves:
            continue
        if session.request.interrupted or (session.request.over and measured):
            # A budget lets one seed end, however short it is: else no number of sessions would get anywhere.
            break
        session.observer.stage(f"seed {seed}")
        with stopwatch.part("train"):
            curve = tests.run(seed, session, lambda count: _beat(folder, session, count, tests.updates))
        if curve.ended == "interrupted":
            break
        done.add(seed, curve, smoothed(curve.losses, config.smoothing))
        measured += 1
    curves = {seed: done.curves[seed] for seed in sorted(done.curves)}
    found = results_of(config, curves)
    table = found.table()
    summary = _summary(loaded, folder, session, found, table)
    if summary["state"] == "paused" and measured == 1:
        summary["warnings"].append(session.request.spent_on_one("seed"))
    with stopwatch.part("plots"):
        drawn = draw(lambda: _figures(config, found), folder.path)
        folder.note(drawn.tracebacks)
    summary["warnings"] += drawn.warnings
    title = f"lr-range: {config.describe_model()} on {Path(config.dataset).name}"
    summary["report"] = report_metadata(title, loaded.words, (), drawn.pictures)
    summary["seconds"] = stopwatch.rounded()
    for name, text in {"table.csv": found.csv(), "table.md": table.markdown()}.items():
        write_text(folder.path / name, text)
    write_run_report(folder, summary)
    folder.log(f"{summary['state']}: {summary['bounds']}")
    folder.status.write(summary["state"], summary["reason"], epoch=0)
    return summary


def _beat(folder: RunFolder, session: Session, done: int, updates: int) -> None:
    folder.status.beat(0, {"updates": done})
    session.observer.counted("updates", done, updates)


class _Tests:
    """The range tests of all seeds, which share a compiled loop."""

    def __init__(self, loaded: Loaded) -> None:
        self._config: LrRangeConfig = loaded.config
        self._images: ImageParts = loaded.data
        self._loop: StepsLoop | None = None
        self.updates = self._config.updates(self._images.parts.train.batches(self._config.batch_size))

    def run(self, seed: int, session: Session, tell: Any) -> RangeCurve:
        config = self._config
        if self._loop is None:
            with session.stopwatch.part("compile"):
                self._loop = self._make(seed)
        else:
            self._loop.reset(self._initial(seed), seed)
        return run_range(
            self._loop,
            self.updates,
            session.request,
            lambda losses: runaway(losses, config.smoothing, config.stop_factor),
            tell,
        )

    def _model(self, seed: int) -> tuple[Any, Any]:
        config = self._config
        model = make_network(
            config, self._images, seed, subtract_mean=config.subtract_mean, mixed_precision=config.mixed_precision
        )
        return model, optimizer_of(config, config.start_lr, self._images)

    def _initial(self, seed: int) -> State:
        return initial_state(*self._model(seed))

    def _make(self, seed: int) -> StepsLoop:
        config = self._config
        model, optimizer = self._model(seed)
        loop = StepsLoop(
            model,
            optimizer,
            loss_of(self._images),
            train=self._images.parts.train,
            inputs=inputs_of(config, self._images),
            schedule=RampLR(config.start_lr, config.end_lr, self.updates, config.ramp),
            batch_size=config.batch_size,
            seed=seed,
            log_steps=True,
            jit_compile=xla_pays(),
        )
        loop.compile()
        return loop


def _summary(loaded: Loaded, folder: RunFolder, session: Session, found: RangeResults, table: Table) -> dict[str, Any]:
    config = loaded.config
    finished = len(found.curves) == config.seeds
    state = "finished" if finished else "interrupted" if session.request.interrupted else "paused"
    return {
        "command": config.command,
        "name": config.name,
        "state": state,
        "reason": "" if finished else session.request.words,
        "scale": config.scale,
        "dataset": config.dataset,
        "model": config.model,
        "seed": config.seed,
        "seeds": config.seeds,
        "finished": len(found.curves),
        **found.summary(),
        "table": table.for_summary(),
        "conclusions": [*found.conclusions(), *_next(folder, found)],
        "run_dir": str(folder.path),
        "warnings": [*config.warnings(), *loaded.notes],
    }


def _next(folder: RunFolder, found: RangeResults) -> list[str]:
    return [f"Train by them: stopcli clr --from-range {folder.path}"] if found.bounds else []


def _figures(config: LrRangeConfig, found: RangeResults) -> Figures:
    from stopcli.report.range_figure import RangeLine, range_figure

    lines = [
        RangeLine(f"seed {seed}", curve.rates, curve.losses, smoothed(curve.losses, config.smoothing))
        for seed, curve in found.curves.items()
        if len(curve.rates)
    ]
    if not lines:
        return {}
    bounds = found.bounds
    values = found.values
    marks = {words: geometric_mean(values[kind]) for kind, words in KINDS.items()} if bounds else {}
    scale = " (quick scale)" if config.scale == "quick" else ""
    title = f"{config.describe_model()} on {drawn_name(Path(config.dataset).name)}, {config.optimizer}{scale}"
    span = (bounds["base_lr"], bounds["max_lr"]) if bounds else None
    return {"range": lambda: range_figure(lines, marks, span, title, linear=config.ramp == "linear")}

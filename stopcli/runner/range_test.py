"""A range test from its settings to its finished folder, which has a file for each seed and an index of those done."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stopcli.configs.lr_range import LrRangeConfig
from stopcli.configs.precision import policy_name
from stopcli.errors import RequestError
from stopcli.recipes.base import LoadedConfig, recipe_for
from stopcli.recipes.lr_range import Ended, RangeCurve, RangeResults, results_of, run_range, runaway, smoothed
from stopcli.report.document import Table
from stopcli.report.drawing import Figures, drawn_name
from stopcli.runner.precision import compare_precisions, is_slow, measured_before, slow_precision
from stopcli.runner.provenance import other_data
from stopcli.runner.report import write_results
from stopcli.runner.training_run import start_session
from stopcli.runs.files import write_json, write_text
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import read_metrics
from stopcli.runs.status import StatusProgress
from stopcli.runs.summary import SEEDS_FILE, RangeSummary, TestedSeed, TestedSeeds, read_seeds
from stopcli.training.loop import Loop
from stopcli.training.session import Session, Start
from stopcli.training.state_file import (
    PLACE_SETTINGS,
    changed_error,
    data_fingerprint,
    differences,
    place_settings,
    settings_fingerprint,
)


@dataclass
class CurveStore:
    """The curves of the seeds that are done, by seed; what their numbers depend on; and why seeds that an earlier
    session has done are tested again, a line each."""

    folder: Path
    fingerprint: dict[str, Any]
    curves: dict[int, RangeCurve] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def read(
        cls,
        folder: Path,
        fingerprint: dict[str, Any],
        *,
        force: bool,
        may_differ: Collection[str] = PLACE_SETTINGS,
        data_hint: str = "",
    ) -> CurveStore:
        """What an earlier session has done; seeds whose files are not whole are left out. Raises RequestError with a
        hint on the data where settings, versions or data have changed, but for settings that may differ; with `force`,
        all seeds start over."""
        store = cls(folder, fingerprint)
        index, damage = read_seeds(folder)
        if damage:
            store.notes.append(f"all seeds are tested again: {damage}")
        index = index or TestedSeeds({}, {})
        before = index.fingerprint
        changed = differences(before, fingerprint, without=may_differ) if before else []
        if changed and not force:
            raise changed_error(changed, hint=data_hint if fingerprint["data"] != before.get("data") else "")
        if changed:
            store.notes.append("all seeds are tested again, because of: " + "; ".join(changed))
            return store
        for seed, entry in index.seeds.items():
            try:
                columns = read_metrics(_path(folder, int(seed)))
                curve = RangeCurve(columns["learning_rate"], columns["loss"], cast(Ended, entry.ended))
            except (RequestError, KeyError, ValueError) as error:
                store.notes.append(f"seed {seed} is tested again: {error}")
                continue
            if len(curve.rates) == entry.updates:
                store.curves[int(seed)] = curve
            else:
                store.notes.append(f"seed {seed} is tested again: its file is not whole")
        return store

    def add(self, seed: int, curve: RangeCurve, smoothed: NDArray[np.float64]) -> None:
        """Write a seed's file, with the smoothed losses for those who read it, then the index that names it."""
        # In float32, which is what was computed.
        columns = (column.astype(np.float32).astype(str).tolist() for column in (curve.rates, curve.losses, smoothed))
        rows = tuple((str(i), *row) for i, row in enumerate(zip(*columns, strict=True), start=1))
        table = Table("", ("step", "learning_rate", "loss", "smoothed_loss"), rows)
        write_text(_path(self.folder, seed), table.csv())
        self.curves[seed] = curve
        seeds = {str(seed): TestedSeed(len(curve.rates), curve.ended) for seed, curve in sorted(self.curves.items())}
        write_json(self.folder / SEEDS_FILE, TestedSeeds(self.fingerprint, seeds))


def _path(folder: Path, seed: int) -> Path:
    return folder / f"steps-seed{seed}.csv"


def run_range_test(loaded: LoadedConfig, folder: RunFolder, session: Session, start: Start) -> RangeSummary:
    """Train each seed under a rising learning rate, and sum up what the curves suggest.

    A seed that an earlier session has finished is read from its file.

    Returns:
        Its summary.
    """
    config, stopwatch = loaded.config, session.stopwatch
    fingerprint = {**settings_fingerprint(config), **data_fingerprint(loaded.data.parts)}
    if loaded.source is not None:
        fingerprint["code"] = loaded.source.code_hash
    store = CurveStore.read(
        folder.path,
        fingerprint,
        force=start.force,
        may_differ=place_settings(config),
        data_hint=other_data(config),
    )
    notes = start_session(loaded, folder, start, policy_name(config.precision))
    for note in store.notes:
        folder.log(f"warning: {note}")
    measured, of_precision = _test_seeds(loaded, store, folder, session, start)
    if is_slow(config) and not of_precision:
        # No seed was left.
        of_precision = (measured_before(folder.path, config.precision) or slow_precision(config.precision),)
    results = results_of(config, store.curves)
    summary = _summary(loaded, folder, session, results)
    if summary.state == "paused" and measured == 1:
        notes = (*notes, session.request.spent_on_one("seed"))
    return write_results(
        folder,
        replace(summary, warnings=(*summary.warnings, *notes, *of_precision)),
        loaded.description,
        stopwatch,
        title=f"lr-range: {' on '.join(config.subject)}",
        files={"table.csv": results.csv(), "table.md": results.table().markdown()},
        figures=lambda: _figures(config, results),
    )


def _test_seeds(
    loaded: LoadedConfig, store: CurveStore, folder: RunFolder, session: Session, start: Start
) -> tuple[int, tuple[str, ...]]:
    """Test the seeds that are not in the store, until somebody wants it to stop. Returns how many were tested, and the
    warnings that `compare_precisions` returns."""
    config: LrRangeConfig = loaded.config
    request, measured = session.request, 0
    updates = config.updates(loaded.data.parts.train.batches(config.batch_size))
    # Compiled for the first seed, and reset for each further one, but where it may hold what was drawn for a seed.
    loop: Loop | None = None
    warnings: tuple[str, ...] = ()

    def on_updates(count: int) -> None:
        folder.status.beat(0, StatusProgress(updates=count))
        session.observer.counted("updates", count, updates)

    for seed in range(config.seed, config.seed + config.most_seeds):
        if seed in store.curves:
            continue
        # A budget lets one seed end, however short it is: else no number of sessions would get anywhere.
        if request.interrupted or (request.over and measured):
            break
        session.observer.stage(f"seed {seed}")
        with session.stopwatch.part("train"):
            experiment = recipe_for(config).build(replace(loaded, config=replace(config, seed=seed)))
            if loop is None or experiment.loop_key is None:
                is_first = loop is None
                with session.stopwatch.part("compile"):
                    loop = experiment.make_loop()
                    loop.compile()
                if is_first:
                    warnings = compare_precisions(loaded, experiment, loop, folder, session, start)
            else:
                loop.reset(experiment.initial_state(), seed)
            curve = run_range(
                loop, updates, request, lambda losses: runaway(losses, config.smoothing, config.stop_factor), on_updates
            )
        if curve.ended == "interrupted":
            break
        store.add(seed, curve, smoothed(curve.losses, config.smoothing))
        measured += 1
    return measured, warnings


def _summary(loaded: LoadedConfig, folder: RunFolder, session: Session, results: RangeResults) -> RangeSummary:
    config = loaded.config
    finished = len(results.curves) == config.most_seeds
    return RangeSummary(
        command=config.command,
        name=config.name,
        state="finished" if finished else "interrupted" if session.request.interrupted else "paused",
        reason="" if finished else session.request.reason,
        scale=config.scale,
        dataset=config.data_name,
        model=config.model,
        seed=config.seed,
        seeds=config.most_seeds,
        finished=len(results.curves),
        bounds=results.bounds,
        suggestions=results.means(),
        table=results.table().for_summary(),
        conclusions=results.conclusions(),
        run_dir=str(folder.path),
        warnings=(*config.warnings(), *loaded.notes),
    )


def _figures(config: LrRangeConfig, results: RangeResults) -> Figures:
    from stopcli.report.learning_rates import RangeLine, range_figure

    lines = [
        RangeLine(curve.rates, curve.losses, smoothed(curve.losses, config.smoothing))
        for curve in results.curves.values()
        if len(curve.rates)
    ]
    if not lines:
        return {}
    scale = " (quick scale)" if config.scale == "quick" else ""
    title = f"{' on '.join(map(drawn_name, config.subject))}, {config.describe_optimizer()}{scale}"
    bounds = results.bounds
    span = (bounds.base_lr, bounds.max_lr) if bounds else None
    return {"range": lambda: range_figure(lines, results.marks, span, title, linear=config.ramp == "linear")}

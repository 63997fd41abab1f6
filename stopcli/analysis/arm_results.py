"""Arms of a sweep by the metric that counts: a row for each, its difference to the reference, and what follows."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stopcli.analysis.arms import RunArm, difference
from stopcli.analysis.decisions import ComparedValue
from stopcli.analysis.sweep import (
    answer_against,
    difference_text,
    incomparable,
    mean_cell,
    means_and_sds,
    sentences_against,
)
from stopcli.quantities import format_duration, numbered
from stopcli.report.document import Table
from stopcli.report.run_results import shown_rows
from stopcli.runs.headline import ROWS_IN_WORDS, Headline, Rows
from stopcli.stats.differences import NONE, Difference, too_few, writer_of_differences
from stopcli.stats.intervals import FEWEST, MeanInterval, mean_interval
from stopcli.sweeps.plan import JobResult


@dataclass(frozen=True)
class ArmMeasure:
    """The metric that counts, of some rows."""

    headline: Headline
    rows: Rows

    @property
    def column(self) -> str:
        """Its name above a column."""
        return f"{ROWS_IN_WORDS[self.rows]} {self.headline.short}"

    @property
    def label(self) -> str:
        """Its name in a sentence."""
        return f"{ROWS_IN_WORDS[self.rows]} {self.headline.label}"

    def error_of(self, model: str = "final") -> str:
        """What a run calls it, as an error where it is a proportion, of its `final` or its `saved` model, or its
        `refit`."""
        return f"{model}_{self.rows}_{self.headline.error_name}"


def measure_of_arms(headline: Headline, results: Sequence[JobResult]) -> ArmMeasure:
    """The metric that counts, of the test rows, or where there are none, of those that validate, else that train."""
    summaries = [result.summary for result in results if result.state == "finished" and result.summary]
    return ArmMeasure(headline, shown_rows(summaries, headline))


def compared_by_headline(config: Any, results: Sequence[JobResult]) -> ComparedValue:
    """What arms are compared by whose runs are measured by the metric that counts: that of the final model.

    Args:
        config: the sweep's.
    """
    measure = measure_of_arms(config.headline, results)
    headline, final = measure.headline, "restored" if config.restore_best else "final"
    label, show = f"{measure.label} of the {final} model", writer_of_differences(headline)
    return ComparedValue(measure.error_of(), label, headline, headline.direction, show, headline.as_error)


def arms_table(
    arms: Sequence[RunArm],
    base: RunArm,
    measure: ArmMeasure,
    noun: str,
    final: str = "final",
    *,
    intervals: bool = False,
) -> Table:
    """A row for each arm, with mean and standard deviation over its seeds, and its paired differences to the reference.

    Args:
        base: the reference.
        noun: what an arm is.
        final: what the model that training ended with is called.
        intervals: whether the means have their 95 % intervals too.
    """
    against = f", against {base.label}" if len(arms) > 1 else ", difference"
    models = {"final": final, "saved": "saved"}
    if any(arm.values(measure.error_of("refit")) for arm in arms):
        models["refit"] = "refit"
    columns = [cell for name in models.values() for cell in (f"{name} {measure.column}", name + against)]
    rows = tuple(_row(arm, base, measure, [*models], intervals=intervals) for arm in arms)
    return Table(
        "Results", (noun, "runs", *columns, "saved epoch" if "refit" in models else "its epoch", "training"), rows
    )


def _row(arm: RunArm, base: RunArm, measure: ArmMeasure, models: Sequence[str], *, intervals: bool) -> tuple[str, ...]:
    headline = measure.headline
    if not arm.runs:
        return (arm.label, f"0 of {arm.planned}", *[NONE] * (2 * len(models) + 2))
    epoch = arm.mean("saved_epoch")
    of_models = [
        cell
        for model in models
        for cell in (
            mean_cell(_tested(arm, measure, model), headline, interval=intervals),
            difference_text(_difference(arm, base, measure, model), headline),
        )
    ]
    return (
        arm.label,
        f"{len(arm.runs)} of {arm.planned}",
        *of_models,
        NONE if epoch is None else f"{epoch:.4g}",
        format_duration(arm.mean("train_seconds") or 0.0),
    )


def _tested(arm: RunArm, measure: ArmMeasure, model: str) -> MeanInterval | None:
    """The metric that counts, of an arm's `final` or `saved` models, or its `refit`s."""
    values = [measure.headline.as_error(error) for error in arm.values(measure.error_of(model))]
    return mean_interval(values) if values else None


def _difference(arm: RunArm, base: RunArm, measure: ArmMeasure, model: str = "final") -> Difference | None:
    """The same less the reference's."""
    if arm is base:
        return None
    # An accuracy is higher by as much as the error is lower.
    higher, lower = (base, arm) if measure.headline.kind == "proportion" else (arm, base)
    return difference(higher, lower, measure.error_of(model))


def arm_values(arm: RunArm, base: RunArm, measure: ArmMeasure, noun: str) -> dict[str, object]:
    """A row of table.csv, in full precision: values of the final model and of the saved one; the rest as for
    `arms_table`."""
    headline = measure.headline
    values: dict[str, object] = {noun: arm.name, "planned": arm.planned, "finished": len(arm.runs)}
    models = {"": "final", "best_": "saved"}
    if any(of.values(measure.error_of("refit")) for of in (arm, base)):
        models["refit_"] = "refit"
    for prefix, model in models.items():
        tested, change = _tested(arm, measure, model), _difference(arm, base, measure, model)
        values |= {f"{prefix}{headline.name}_{key}": getattr(tested, key, None) for key in ("mean", "sd")}
        values[f"{prefix}difference"] = change.mean if change else None
        values |= {f"{prefix}difference_{key}": getattr(change, key, None) for key in ("low", "high", "p")}
        values[f"{prefix}share_higher"] = change.share_above if change else None
    against = base.name if arm is not base and arm.runs and base.runs else None
    return {**values, **means_and_sds(arm, best_epoch="saved_epoch", seconds="train_seconds"), "against": against}


def arm_conclusions(
    arms: Sequence[RunArm], base: RunArm, measure: ArmMeasure, noun: str, model: str = "final model"
) -> tuple[str, ...]:
    """What follows from the finished runs, and where nothing does.

    Args:
        model: that is compared, in words; the rest as for `arms_table`.
    """
    if len(arms) == 1:
        return (f"There is one {noun}, and nothing to compare it with.",)
    if reason := incomparable(arms, base, "differences"):
        return (reason,)
    headline = measure.headline
    differences = [(arm, _difference(arm, base, measure)) for arm in arms if arm.runs and arm is not base]
    n = max((difference.n for _, difference in differences if difference is not None), default=0)
    if n < FEWEST:
        return (f"{too_few(n)}{_best_of_few([base, *(arm for arm, _ in differences)], model, measure)}",)
    compared = [(arm, by) for arm, by in differences if by is not None and by.n >= FEWEST]
    sentences = sentences_against(base, differences, f"{measure.label} of the {model}", headline.direction, headline)
    return (answer_against(base, compared, headline.direction), *sentences)


def _best_of_few(arms: Sequence[RunArm], model: str, measure: ArmMeasure) -> str:
    """Which arm is best over the seeds that all have; empty where they have none in common."""
    values = {arm.label: arm.by_seed(measure.error_of()) for arm in arms}
    # A run whose value is not finite has none.
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in values.values())))
    if not seeds:
        return ""
    headline = measure.headline
    means = {
        label: headline.as_error(statistics.fmean(by_seed[seed] for seed in seeds)) for label, by_seed in values.items()
    }
    pick, superlative = (min, "lowest") if headline.lower_is_better else (max, "highest")
    best = pick(means, key=lambda label: means[label])
    seeds_text = "these runs" if all(len(arm.runs) == len(seeds) for arm in arms) else numbered("seed", seeds)
    return (
        f" In {seeds_text} the {model} of {best} has the {superlative} {measure.label}, "
        f"{headline.show_with_unit(means[best])}; --seeds 5 or more would show whether that is more than chance."
    )


def classes_by_arm(
    arms: Sequence[RunArm], results: Sequence[JobResult], model: str, rows: str = "test images"
) -> Table | None:
    """F1 by class for each arm, the mean over its finished runs, from their classes.csv; None where there is none.

    Args:
        model: that was measured, in words.
        rows: on which.
    """
    by_arm: dict[str, list[dict[str, float]]] = {}
    for result in results:
        scores = _scores(result)
        if result.state == "finished" and scores:
            by_arm.setdefault(result.job.arm, []).append(scores)
    arms_with_scores = [arm for arm in arms if arm.name in by_arm]
    if not arms_with_scores:
        return None
    classes = list(by_arm[arms_with_scores[0].name][0])
    cells: list[tuple[str | float, ...]] = [
        (name, *(statistics.fmean(run[name] for run in by_arm[arm.name]) for arm in arms_with_scores))
        for name in classes
    ]
    columns = ("class", *(arm.label for arm in arms_with_scores))
    return Table.of_shares(f"F1 by class ({model}, {rows})", columns, cells, sums=int(classes[-1] == "mean"))


def _scores(result: JobResult) -> dict[str, float]:
    """F1 by class of a run; none where it left no such table, or somebody has changed it."""
    try:
        with (result.run.path / "classes.csv").open(encoding="utf-8", newline="") as file:
            return {row["class"]: float(row["F1"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError):
        # Points of a plane have none; and a table that cannot be read is no reason to lose the others' results.
        return {}

"""The recipe of `stopcli clr`: policies of the learning rate against each other and against a fixed rate."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stopcli.analysis.arms import RunArm, difference
from stopcli.analysis.sweep import (
    SweepResults,
    answer_against,
    difference_text,
    incomparable,
    job_row,
    mean_cell,
    means_and_sds,
    reference_of,
    sentences_against,
    shared_seeds,
    sweep_arms,
    with_seeds,
)
from stopcli.configs.clr import ClrConfig
from stopcli.quantities import counted, format_duration, numbered
from stopcli.recipes.base import SeedRecipe, val_rows
from stopcli.recipes.images import Classifier
from stopcli.report.document import Table, csv_of
from stopcli.report.drawing import Figures, drawn_name
from stopcli.report.run_results import shown_rows
from stopcli.runs.headline import ROWS_IN_WORDS, Headline, Rows
from stopcli.runs.metrics import read_metrics
from stopcli.stats.differences import NONE, Difference, too_few
from stopcli.stats.intervals import FEWEST, MeanInterval, mean_interval
from stopcli.sweeps.plan import JobResult

if TYPE_CHECKING:
    from stopcli.report.curves import RunGroup


class PolicyComparison(SeedRecipe):
    """What runs under several policies of the learning rate say together, whatever their model."""

    def sweep_results(self, config: ClrConfig, results: Sequence[JobResult]) -> SweepResults:
        """A row for each policy, with mean and standard deviation over its seeds, and its paired differences to the
        reference; F1 by class of each. All values are of the test rows; where there are none, of those that
        validate, or that train."""
        arms = sweep_arms(config, results)
        base = reference_of(config, arms)
        final, measure = "restored" if config.restore_best else "final", _measure_of(config, results)
        headline = measure.headline
        against = f", against {base.label}" if len(arms) > 1 else ", difference"
        tested = measure.column
        columns = ("policy", "runs", f"{final} {tested}", final + against, f"saved {tested}", f"saved{against}")
        rows = tuple(_row(arm, base, measure) for arm in arms)
        table = Table("Results", (*columns, "its epoch", "training"), rows)
        values = [_values(arm, base, measure) for arm in arms]
        by_class = _by_class(config, arms, results)
        return SweepResults(
            f"clr: {config.describe_model()}, {', '.join(arm.label for arm in arms)}, {counted(config.seeds, 'seed')}",
            (table, *([by_class] if by_class else [])),
            {
                "table.csv": csv_of(values),
                "jobs.csv": csv_of([job_row(result, headline) for result in results]),
                **({"classes.csv": by_class.csv()} if by_class else {}),
            },
            _conclusions(config, arms, base, measure),
            {"arms": values},
        )

    def sweep_figures(self, config: ClrConfig, results: Sequence[JobResult]) -> Figures:
        """The learning rate of every update by policy, and loss and the metric that counts by epoch, with the cycles
        shaded."""
        from stopcli.report.arm_curves import policy_curves, policy_rates
        from stopcli.report.curves import RunGroup

        arms = [arm for arm in sweep_arms(config, results) if arm.runs]
        scale = " (quick scale)" if config.scale == "quick" else ""
        title = f"{' on '.join(map(drawn_name, config.subject))}{scale}"
        summaries = [result.summary for result in results if result.state == "finished" and result.summary]
        steps = next(filter(None, (summary.steps_per_epoch for summary in summaries)))
        cycle = sum(config.cycle_updates(steps)) if config.cyclical else None
        cyclical = [arm.label for arm in arms if arm.config.cyclical]
        curves = [
            RunGroup(with_seeds(arm, arms), arm.index, [result.run.metrics for result in arm.runs]) for arm in arms
        ]
        return {
            "learning_rate": lambda: policy_rates([_rate(arm) for arm in arms], cycle, cyclical, title),
            "curves": lambda: policy_curves(
                curves, val_rows(config), None if cycle is None else cycle / steps, title, config.headline
            ),
        }


class Clr(PolicyComparison, Classifier):
    """Policies of the learning rate against each other and against a fixed rate."""


@dataclass(frozen=True)
class _Measure:
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
        """What a run calls it, as an error where it is a proportion, of its `final` or its `saved` model."""
        return f"{model}_{self.rows}_{self.headline.error_name}"


def _measure_of(config: ClrConfig, results: Sequence[JobResult]) -> _Measure:
    summaries = [result.summary for result in results if result.state == "finished" and result.summary]
    return _Measure(config.headline, shown_rows(summaries, config.headline))


def _row(arm: RunArm, base: RunArm, measure: _Measure) -> tuple[str, ...]:
    headline = measure.headline
    if not arm.runs:
        return (arm.label, f"0 of {arm.planned}", *[NONE] * 6)
    epoch = arm.mean("saved_epoch")
    of_models = [
        cell
        for model in ("final", "saved")
        for cell in (
            mean_cell(_tested(arm, measure, model), headline),
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


def _tested(arm: RunArm, measure: _Measure, model: str) -> MeanInterval | None:
    """The metric that counts, of an arm's `final` or `saved` models."""
    values = [measure.headline.as_error(error) for error in arm.values(measure.error_of(model))]
    return mean_interval(values) if values else None


def _difference(arm: RunArm, base: RunArm, measure: _Measure, model: str = "final") -> Difference | None:
    """The same less the reference's."""
    if arm is base:
        return None
    # An accuracy is higher by as much as the error is lower.
    higher, lower = (base, arm) if measure.headline.kind == "proportion" else (arm, base)
    return difference(higher, lower, measure.error_of(model))


def _values(arm: RunArm, base: RunArm, measure: _Measure) -> dict[str, object]:
    """A row of table.csv, in full precision: values of the final model and of the saved one."""
    headline = measure.headline
    values: dict[str, object] = {"policy": arm.name, "planned": arm.planned, "finished": len(arm.runs)}
    for prefix, model in (("", "final"), ("best_", "saved")):
        tested, change = _tested(arm, measure, model), _difference(arm, base, measure, model)
        values |= {f"{prefix}{headline.name}_{key}": getattr(tested, key, None) for key in ("mean", "sd")}
        values[f"{prefix}difference"] = change.mean if change else None
        values |= {f"{prefix}difference_{key}": getattr(change, key, None) for key in ("low", "high", "p")}
        values[f"{prefix}share_higher"] = change.share_above if change else None
    against = base.name if arm is not base and arm.runs and base.runs else None
    return {**values, **means_and_sds(arm, best_epoch="saved_epoch", seconds="train_seconds"), "against": against}


def _conclusions(config: ClrConfig, arms: Sequence[RunArm], base: RunArm, measure: _Measure) -> tuple[str, ...]:
    """What follows from the finished runs, and where nothing does."""
    if len(arms) == 1:
        return ("There is one policy, and nothing to compare it with.",)
    if reason := incomparable(arms, base, "differences"):
        return (reason,)
    model = "restored model" if config.restore_best else "final model"
    headline = measure.headline
    differences = [(arm, _difference(arm, base, measure)) for arm in arms if arm.runs and arm is not base]
    n = max((difference.n for _, difference in differences if difference is not None), default=0)
    if n < FEWEST:
        return (f"{too_few(n)}{_best_of_few([base, *(arm for arm, _ in differences)], model, measure)}",)
    compared = [(arm, by) for arm, by in differences if by is not None and by.n >= FEWEST]
    sentences = sentences_against(base, differences, f"{measure.label} of the {model}", headline.direction, headline)
    return (answer_against(base, compared, headline.direction), *sentences)


def _best_of_few(arms: Sequence[RunArm], model: str, measure: _Measure) -> str:
    """Which arm is best over the seeds that all have; empty where they have none in common."""
    seeds = shared_seeds(arms)
    if not seeds:
        return ""
    headline = measure.headline
    means = {
        arm.label: headline.as_error(statistics.fmean(arm.by_seed(measure.error_of())[seed] for seed in seeds))
        for arm in arms
    }
    pick, superlative = (min, "lowest") if headline.lower_is_better else (max, "highest")
    best = pick(means, key=lambda label: means[label])
    seeds_text = "these runs" if all(len(arm.runs) == len(seeds) for arm in arms) else numbered("seed", seeds)
    return (
        f" In {seeds_text} the {model} of {best} has the {superlative} {measure.label}, "
        f"{headline.show_with_unit(means[best])}; --seeds 5 or more would show whether that is more than chance."
    )


def _by_class(config: ClrConfig, arms: Sequence[RunArm], results: Sequence[JobResult]) -> Table | None:
    """F1 by class for each policy, the mean over its finished runs, from their classes.csv; None where there is
    none."""
    by_arm: dict[str, list[dict[str, float]]] = {}
    for result in results:
        scores = _scores(result)
        if result.state == "finished" and scores:
            by_arm.setdefault(result.job.arm, []).append(scores)
    arms_with_scores = [arm for arm in arms if arm.name in by_arm]
    if not arms_with_scores:
        return None
    classes = list(by_arm[arms_with_scores[0].name][0])
    rows: list[tuple[str | float, ...]] = [
        (name, *(statistics.fmean(run[name] for run in by_arm[arm.name]) for arm in arms_with_scores))
        for name in classes
    ]
    model = "saved model" if config.checkpoint else "final model"
    columns = ("class", *(arm.label for arm in arms_with_scores))
    return Table.of_shares(f"F1 by class ({model}, test images)", columns, rows, sums=int(classes[-1] == "mean"))


def _scores(result: JobResult) -> dict[str, float]:
    """F1 by class of a run; none where it left no such table, or somebody has changed it."""
    try:
        with (result.run.path / "classes.csv").open(encoding="utf-8", newline="") as file:
            return {row["class"]: float(row["F1"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError):
        # Points of a plane have none; and a table that cannot be read is no reason to lose the others' results.
        return {}


def _rate(arm: RunArm) -> RunGroup:
    """Of the arm's longest run: the others have the same, as far as they went."""
    from stopcli.report.curves import RunGroup

    longest = max(arm.runs, key=lambda result: result.cost["updates"])
    return RunGroup(arm.label, arm.index, [read_metrics(longest.run.path / "steps.csv")])

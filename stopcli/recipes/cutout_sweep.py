"""The recipe of `stopcli cutout-sweep`: error against cost for each number of cutout copies."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.analysis.arms import RunArm, difference, time_ratio
from stopcli.analysis.decisions import ComparedValue
from stopcli.analysis.sweep import (
    SweepResults,
    incomparable,
    job_row,
    mean_cell,
    means_and_sds,
    reference_of,
    seeds_in,
    sentences_against,
    shared_seeds,
    sweep_arms,
    with_seeds,
)
from stopcli.configs.base import published_arms
from stopcli.configs.cutout_sweep import CutoutSweepConfig, copies_of
from stopcli.quantities import counted, format_duration, numbered
from stopcli.recipes.base import val_rows
from stopcli.recipes.images import CifarResnet
from stopcli.report.document import Table, csv_of
from stopcli.report.drawing import Figures, drawn_name
from stopcli.report.frontier import pareto_front
from stopcli.runs.headline import ACCURACY
from stopcli.stats.differences import NONE, Ratio, signed, too_few
from stopcli.stats.intervals import FEWEST
from stopcli.sweeps.plan import JobResult

if TYPE_CHECKING:
    from stopcli.report.arm_curves import CostPoint
    from stopcli.report.curves import RunGroup


# A run's error at the end, on the rows that validate.
ERROR = "final_val_error"
# Where the published figure has its horizontal line.
PUBLISHED_LEVEL = 0.06


class CutoutSweep(CifarResnet):
    """Numbers of cutout copies against simple augmentation."""

    def sweep_results(self, config: CutoutSweepConfig, results: Sequence[JobResult]) -> SweepResults:
        """A row for each arm, with mean and standard deviation over its seeds; what follows from them."""
        arms = sweep_arms(config, results)
        reference = reference_of(config, arms)
        front = front_of(arms, reference)
        values = [_values(arm, reference, front) for arm in arms]
        # With simple augmentation as the reference, as published, it goes without saying.
        to = f" to {reference.label}" if copies_of(reference.config) else ""
        # The error at the end chooses M, on rows that validate; that of the best epoch is of those that chose nothing.
        errors = ("error at the end", "best epoch's")
        if val_rows(config) != "test":
            errors = (f"{val_rows(config)} error at the end", "best epoch's test error")
        columns = (
            *("arm", "runs", *errors, "training", "validation"),
            *(f"cost ratio{to}", "published hours", f"published ratio{to}", "Pareto"),
        )
        rows = tuple(_row(arm, time_ratio(arm, reference), of_arm) for arm, of_arm in zip(arms, values, strict=True))
        m = ", ".join(map(str, config.m))
        return SweepResults(
            f"cutout-sweep: ResNet-{config.depth}, M = {m}, {counted(seeds_in(results), 'seed')}",
            (Table("Results", columns, rows),),
            {
                "table.csv": csv_of(values),
                "jobs.csv": csv_of([job_row(result, m=copies_of(result.job.config)) for result in results]),
            },
            (*recommend(arms, reference), *filter(None, [front.sentence()])),
            {"arms": values},
        )

    def compared_value(self, config: CutoutSweepConfig, results: Sequence[JobResult]) -> ComparedValue | None:
        if len(config.arms()) == 1:
            return None
        return ComparedValue(ERROR, f"{val_rows(config)} error at the end", ACCURACY, "min", signed)

    def sweep_figures(self, config: CutoutSweepConfig, results: Sequence[JobResult]) -> Figures:
        """The published figure (validation error by epoch, a line for each M), and error against cost."""
        from stopcli.report.arm_curves import arm_curves, error_against_cost

        scale = ", quick scale" if config.scale == "quick" else ""
        title = f"ResNet-{config.depth} on {drawn_name(Path(config.dataset).name)}, cutout {config.cutout_size}{scale}"
        if config.equal != "epochs":
            title += f"; equal {config.equal}"
        arms = sweep_arms(config, results)
        reference = reference_of(config, arms)
        front = front_of(arms, reference)
        finished = [arm for arm in arms if arm.runs]
        by_copies = sorted(finished, key=lambda arm: copies_of(arm.config))
        curves = [_curves(config, arm, with_seeds(arm, arms)) for arm in by_copies]
        points = [_point(arm, reference, front) for arm in finished if costs_of(arm, reference)]
        rows = val_rows(config)
        abscissa = "epoch" if config.equal == "epochs" else "images trained on, copies counted"
        unit = f"{reference.label} of the same seed = 1" if reference.runs else "seconds"
        over = f" over {numbered('seed', front.seeds)}" if front.unequal and front.seeds else ""
        return {
            "validation_error": lambda: arm_curves(
                curves, f"{rows} {ACCURACY.error_axis}", abscissa, PUBLISHED_LEVEL, title, "images", "error"
            ),
            "cost": lambda: error_against_cost(
                points, f"training time, {unit}", f"{rows} error at the end", title, over
            ),
        }


def published_hours(arm: RunArm) -> float | None:
    """Reported for 100 epochs of ResNet-44 with as many copies; None where there is no report of them."""
    m = copies_of(arm.config)
    published = published_arms("cutout").get(f"m{m}" if m else "simple")
    return published.values["training_hours"] if published else None


@dataclass(frozen=True)
class Front:
    """The arms than which no other is both at least as cheap and at least as good, by their means over the same seeds.

    Attributes:
        seeds: that all arms have finished of which any run has, ascending; empty where there are none.
        costs: mean training time of each of these arms over these seeds, by name, in seconds or, where the reference is
            one of them, in multiples of its time of the same seed.
        errors: their mean errors.
        names: of the arms on the front, the cheapest first; empty for fewer than two arms, which leave nothing to
            choose.
        unequal: whether some of the arms have finished more seeds than these.
    """

    seeds: tuple[int, ...]
    costs: dict[str, float]
    errors: dict[str, float]
    names: tuple[str, ...]
    unequal: bool

    def holds(self, arm: RunArm) -> bool | None:
        """Whether an arm is on the front; None where there is none that it could be on."""
        return arm.name in self.names if self.names and arm.name in self.costs else None

    def sentence(self) -> str:
        """What it is over, in a sentence; empty where that goes without saying."""
        if not self.unequal:
            return ""
        if not self.seeds:
            return "There is no Pareto front, because no seed has finished in every arm that has runs."
        return f"The Pareto front is over {numbered('seed', self.seeds)}, which every arm with runs has finished."


def front_of(arms: Sequence[RunArm], reference: RunArm) -> Front:
    """The Pareto front of the arms of which a run has finished, over the seeds that all of them have."""
    finished = [arm for arm in arms if arm.runs]
    seeds, costs, errors = shared_seeds(finished), dict[str, float](), dict[str, float]()
    for arm in finished if seeds else ():
        cost, error = costs_of(arm, reference), arm.by_seed(ERROR)
        costs[arm.name] = statistics.fmean(cost[seed] for seed in seeds)
        errors[arm.name] = statistics.fmean(error[seed] for seed in seeds)
    front = pareto_front(list(costs.values()), list(errors.values())) if len(costs) > 1 else []
    unequal = any(arm.seeds != seeds for arm in finished)
    return Front(tuple(seeds), costs, errors, tuple(list(costs)[i] for i in front), unequal)


def costs_of(arm: RunArm, reference: RunArm) -> dict[int, float]:
    """Training time of an arm's finished runs by seed: as multiples of the reference's of the same seed, as far as it
    has finished that, or in seconds where it has finished nothing."""
    seconds, base = arm.by_seed("train_seconds"), reference.by_seed("train_seconds")
    return {seed: seconds[seed] / base[seed] for seed in seconds if seed in base} if base else seconds


def _values(arm: RunArm, reference: RunArm, front: Front) -> dict[str, Any]:
    """A row of table.csv, in full precision."""
    hours, reference_hours = published_hours(arm), published_hours(reference)
    ratio = time_ratio(arm, reference)
    means = means_and_sds(
        arm,
        error=ERROR,
        best_error="saved_test_error",
        seconds="train_seconds",
        validation_seconds="validation_seconds",
        images="rows",
    )
    return {
        "arm": arm.name,
        "m": copies_of(arm.config),
        "planned": arm.planned,
        "finished": len(arm.runs),
        **means,
        "cost_ratio": ratio.mean if ratio else None,
        "published_hours": hours,
        "published_ratio": hours / reference_hours if hours and reference_hours else None,
        "pareto": front.holds(arm),
        "cost_ratio_sd": ratio.sd if ratio else None,
        "cost_ratio_n": ratio.n if ratio else 0,
        "cost_ratio_to": reference.name,
    }


def _row(arm: RunArm, ratio: Ratio | None, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The same for people."""
    seconds = (values["seconds_mean"], values["validation_seconds_mean"])
    published = (values["published_hours"], values["published_ratio"])
    return (
        arm.label,
        f"{len(arm.runs)} of {arm.planned}",
        mean_cell(arm.interval(ERROR)),
        mean_cell(arm.interval("saved_test_error")),
        *(NONE if value is None else format_duration(value) for value in seconds),
        NONE if ratio is None else str(ratio),
        *(NONE if value is None else f"{value:.2f}" for value in published),
        {True: "yes", False: "", None: NONE}[values["pareto"]],
    )


def recommend(arms: Sequence[RunArm], reference: RunArm) -> tuple[str, ...]:
    """Sentences that follow from the finished runs, and say where nothing follows.

    An arm counts as better than another where their paired difference over seeds is distinguishable from 0, by its
    bootstrap interval and a t-test. Of the arms that are better than the reference, the cheapest is recommended that no
    other is better than.

    Args:
        reference: the arm that the others are compared with.
    """
    others = [arm for arm in arms if arm.runs and arm is not reference]
    if reason := incomparable(arms, reference, "differences and no cost ratios"):
        return (reason,)
    costs = _costs(reference, others)
    differences = [(arm, difference(arm, reference, ERROR)) for arm in others]
    n = max((difference.n for _, difference in differences if difference is not None), default=0)
    if n < FEWEST:
        return (_few_runs_tell_little(arms, reference, n), *costs)
    sentences = sentences_against(reference, differences, "error", "min")
    better = [arm for arm, difference in differences if difference is not None and difference.is_better("min")]
    if not better:
        least = min(difference.n for _, difference in differences if difference is not None)
        seeds = f"n = {n}" if least == n else f"n = {least} to {n}"
        return (f"No M is distinguishable from {reference.label} as an improvement at {seeds}.", *sentences, *costs)
    # Every better arm has seeds in common with the reference.
    ratios = {arm.name: ratio for arm in better if (ratio := time_ratio(arm, reference)) is not None}
    chosen = next(
        arm
        for arm in sorted(better, key=lambda arm: ratios[arm.name].mean)
        if not any(_beats(rival, arm) for rival in better if rival is not arm)
    )
    n = next(difference.n for arm, difference in differences if arm is chosen and difference is not None)
    recommendation = (
        f"Recommended: {chosen.label}. It is the cheapest arm that is better than {reference.label} and that no other "
        f"distinguishably beats at n = {n}; it costs {ratios[chosen.name]} times the training of {reference.label}."
    )
    return (recommendation, *sentences, *costs)


def _beats(rival: RunArm, arm: RunArm) -> bool:
    errors = difference(rival, arm, ERROR)
    return errors is not None and errors.is_better("min")


def _few_runs_tell_little(arms: Sequence[RunArm], reference: RunArm, n: int) -> str:
    """What is lowest in them, over the seeds that all arms with runs have."""
    front = front_of(arms, reference)
    if not front.seeds:
        return too_few(n)
    # Of several that are the same, the cheapest; the others are named too.
    by_error = sorted(front.errors, key=lambda name: (front.errors[name], front.costs[name]))
    best = next(arm for arm in arms if arm.name == by_error[0])
    runs = numbered("seed", front.seeds) if front.unequal else "these runs"
    sentence = f"{too_few(n)} In {runs} the lowest error at the end is that of {best.label}, "
    sentence += f"{front.errors[best.name]:.3f}"
    if equal := [
        arm.label for arm in arms if arm.name in by_error[1:] and front.errors[arm.name] == front.errors[best.name]
    ]:
        sentence += f", and as low that of {', '.join(equal)}, at more training"
    if best is not reference:
        sentence += f", against {front.errors[reference.name]:.3f} of {reference.label}"
        sentence += f" at {front.costs[best.name]:.2f} times its training"
    return f"{sentence}; --seeds 5 or more would show whether that is more than chance."


def _costs(reference: RunArm, others: Sequence[RunArm]) -> tuple[str, ...]:
    """How near the cost comes to growing in proportion to M, where the reference sees each image once."""
    if copies_of(reference.config) != 0:
        return ()
    shares = []
    for arm in others:
        ratio = time_ratio(arm, reference)
        if ratio is not None:
            images = (arm.mean("rows") or 0.0) / (reference.mean("rows") or 1.0)
            share = f"{ratio.mean / images:.0%}"
            shares.append(f"{arm.label} takes {ratio} times the time for {images:g} times the images ({share})")
    return (f"Cost of training against {reference.label}: {'; '.join(shares)}.",) if shares else ()


def _point(arm: RunArm, reference: RunArm, front: Front) -> CostPoint:
    from stopcli.report.arm_curves import CostPoint

    costs, errors = costs_of(arm, reference), arm.by_seed(ERROR)
    seeds = front.seeds if arm.name in front.costs else tuple(costs)
    return CostPoint(
        arm.label,
        arm.index,
        list(costs.values()),
        [errors[seed] for seed in costs],
        (statistics.fmean(costs[seed] for seed in seeds), statistics.fmean(errors[seed] for seed in seeds)),
        arm.name in front.names,
    )


def _curves(config: CutoutSweepConfig, arm: RunArm, label: str) -> RunGroup:
    from stopcli.report.curves import RunGroup

    runs = []
    for result in arm.runs:
        # What an epoch counts as on the horizontal axis.
        images = 1.0 if config.equal == "epochs" else result.cost["rows"] / result.cost["epochs"]
        columns = result.run.metrics
        runs.append({"images": columns["epoch"] * images, "error": ACCURACY.as_error(columns[ACCURACY.column("val")])})
    return RunGroup(label, arm.index, runs)

"""What the runs of `stopcli clr` say together: accuracy of each policy, and how the policies differ."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence

from stopcli.counts import counted, numbered
from stopcli.durations import format_duration
from stopcli.evidence.differences import Difference, difference_cell, too_few
from stopcli.evidence.interval import FEWEST
from stopcli.recipes.arms import (
    Arm,
    arms_of,
    difference,
    job_row,
    mean_and_sd,
    moments,
    reference_of,
    shared_seeds,
    without_reference,
)
from stopcli.recipes.clr.config import ClrConfig
from stopcli.recipes.images.memory import check_fits
from stopcli.recipes.recipe import SweepResults
from stopcli.report.tables import Table, csv_of
from stopcli.sweeps.collect import JobResult

__all__ = ["check_fits", "sweep_results"]

# The errors of a run that are compared: of the model that training ends with, and of the saved one.
FINAL, SAVED = "test_error", "best_error"


def sweep_results(config: ClrConfig, results: Sequence[JobResult]) -> SweepResults:
    """A row for each policy, with mean and standard deviation over its seeds, and its paired differences to the
    reference; F1 by class of each. All accuracies are of the test rows."""
    arms = arms_of(results, Arm)
    base = reference_of(config, arms)
    final = "restored" if config.restore_best else "final"
    against = f", against {base.label}" if len(arms) > 1 else ", difference"
    columns = ("policy", "runs", f"{final} test acc.", final + against, "saved test acc.", f"saved{against}")
    table = Table("Results", (*columns, "its epoch", "training"), tuple(_row(arm, base) for arm in arms))
    values = [_values(arm, base) for arm in arms]
    by_class = _by_class(config, arms, results)
    return SweepResults(
        f"clr: {config.describe_model()}, {', '.join(arm.label for arm in arms)}, {counted(config.seeds, 'seed')}",
        (table, *([by_class] if by_class else [])),
        {
            "table.csv": csv_of(values),
            "jobs.csv": csv_of([job_row(result) for result in results]),
            **({"classes.csv": by_class.csv()} if by_class else {}),
        },
        _conclusions(config, arms, base),
        {"arms": values},
    )


def _row(arm: Arm, base: Arm) -> tuple[str, ...]:
    if not arm.runs:
        return (arm.label, f"0 of {arm.planned}", *["–"] * 6)
    return (
        arm.label,
        f"{len(arm.runs)} of {arm.planned}",
        mean_and_sd(_accuracies(arm, FINAL)),
        difference_cell(_gain(arm, base, FINAL)),
        mean_and_sd(_accuracies(arm, SAVED)),
        difference_cell(_gain(arm, base, SAVED)),
        f"{arm.mean('best_epoch'):.4g}" if arm.values("best_epoch") else "–",
        format_duration(arm.mean("seconds")),
    )


def _accuracies(arm: Arm, error: str) -> list[float]:
    return [1 - value for value in arm.values(error)]


def _gain(arm: Arm, base: Arm, error: str = FINAL) -> Difference | None:
    """By how much an arm's accuracy is higher than the reference's: its error is so much lower."""
    return difference(base, arm, error) if arm is not base else None


def _values(arm: Arm, base: Arm) -> dict[str, object]:
    """A row of table.csv, in full precision: accuracies of the test rows, of the final model and of the saved one."""
    values: dict[str, object] = {"policy": arm.name, "planned": arm.planned, "finished": len(arm.runs)}
    for prefix, error in (("", FINAL), ("best_", SAVED)):
        found, pair = _accuracies(arm, error), _gain(arm, base, error)
        values |= {
            f"{prefix}accuracy_mean": statistics.fmean(found) if found else None,
            f"{prefix}accuracy_sd": statistics.stdev(found) if len(found) > 1 else None,
            f"{prefix}difference": pair.mean if pair else None,
            f"{prefix}difference_low": pair.low if pair else None,
            f"{prefix}difference_high": pair.high if pair else None,
            f"{prefix}difference_p": pair.p if pair else None,
            f"{prefix}share_higher": pair.share_above if pair else None,
        }
    compared = arm is not base and arm.runs and base.runs
    return {**values, **moments(arm, ("best_epoch", "seconds")), "against": base.name if compared else None}


def _conclusions(config: ClrConfig, arms: Sequence[Arm], base: Arm) -> tuple[str, ...]:
    """What follows from the finished runs, and where nothing does."""
    if len(arms) == 1:
        return ("There is one policy, and nothing to compare it with.",)
    model = "restored model" if config.restore_best else "final model"
    others = [arm for arm in arms if arm.runs and arm is not base]
    if not others:
        return ("Too few runs have finished to compare anything.",)
    if not base.runs:
        return (without_reference(base, "differences"),)
    pairs = {arm.name: _gain(arm, base) for arm in others}
    n = max((pair.n for pair in pairs.values() if pair is not None), default=0)
    if n < FEWEST:
        return (f"{too_few(n)}{_best_of_few([base, *others], model)}",)
    return tuple(_compared(arm, base, pairs[arm.name], model) for arm in others)


def _best_of_few(arms: Sequence[Arm], model: str) -> str:
    """What is highest over the seeds that all of some arms have; empty where they have none in common."""
    seeds = shared_seeds(arms)
    if not seeds:
        return ""
    accuracies = {arm.label: 1 - statistics.fmean(arm.by_seed(FINAL)[seed] for seed in seeds) for arm in arms}
    best = max(accuracies, key=lambda label: accuracies[label])
    of = "these runs" if all(len(arm.runs) == len(seeds) for arm in arms) else numbered("seed", seeds)
    return (
        f" In {of} the {model} of {best} has the highest test accuracy, {accuracies[best]:.3f}; "
        "--seeds 5 or more would show whether that is more than chance."
    )


def _compared(arm: Arm, base: Arm, pair: Difference | None, model: str) -> str:
    if pair is None or pair.p is None:
        return f"{arm.label} has too few finished runs to be judged."
    return pair.sentence(arm.label, base.label, f"test accuracy of the {model}", "max")


def _by_class(config: ClrConfig, arms: Sequence[Arm], results: Sequence[JobResult]) -> Table | None:
    """F1 by class for each policy, the mean over its finished runs, from their classes.csv; None where there is
    none."""
    found: dict[str, list[dict[str, float]]] = {}
    for result in results:
        scores = _scores(result)
        if result.state == "finished" and scores:
            found.setdefault(result.job.arm, []).append(scores)
    shown = [arm for arm in arms if arm.name in found]
    if not shown:
        return None
    classes = list(found[shown[0].name][0])
    rows: list[tuple[str | float, ...]] = [
        (name, *(statistics.fmean(each[name] for each in found[arm.name]) for arm in shown)) for name in classes
    ]
    model = "saved model" if config.checkpoint else "final model"
    columns = ("class", *(arm.label for arm in shown))
    return Table.of_shares(f"F1 by class ({model}, test images)", columns, rows, sums=int(classes[-1] == "mean"))


def _scores(result: JobResult) -> dict[str, float]:
    """F1 by class of a run; none where it left no such table, or somebody has changed it."""
    try:
        with (result.path / "classes.csv").open(encoding="utf-8", newline="") as file:
            return {row["class"]: float(row["F1"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError):
        # Points of a plane have none; and a table that cannot be read is no reason to lose the others' results.
        return {}

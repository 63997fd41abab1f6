"""What the runs of `stopcli clr` say together: accuracy of each policy, and how the policies differ."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Sequence

from stopcli.durations import format_duration
from stopcli.errors import RequestError
from stopcli.evidence.interval import FEWEST
from stopcli.evidence.paired import PairedDifference
from stopcli.recipes.arms import Arm, csv_of, difference, job_row, mean_and_sd, moments
from stopcli.recipes.clr.arms import policies_of, reference_of
from stopcli.recipes.clr.config import ClrConfig
from stopcli.recipes.images.memory import check_fits
from stopcli.recipes.recipe import SweepResults
from stopcli.report.tables import Table
from stopcli.sweeps.collect import JobResult

__all__ = ["check_fits", "sweep_results"]


def sweep_results(config: ClrConfig, results: Sequence[JobResult]) -> SweepResults:
    """A row for each policy, with mean and standard deviation over its seeds, and its paired difference to the
    reference; F1 by class of each."""
    arms = policies_of(results)
    base = reference_of(config, arms)
    columns = ("policy", "runs", "final accuracy", "best accuracy", "at epoch", f"against {_name(base)}", "training")
    table = Table("Results", columns, tuple(_row(arm, base) for arm in arms))
    values = [_values(arm, base) for arm in arms]
    by_class = _by_class(arms, results)
    seeds = f"{config.seeds} seed{'s' if config.seeds > 1 else ''}"
    return SweepResults(
        f"clr: {config.describe_model()}, {', '.join(arm.label for arm in arms)}, {seeds}",
        (table, *([by_class] if by_class else [])),
        {
            "table.csv": csv_of(values),
            "jobs.csv": csv_of([job_row(result) for result in results]),
            **({"classes.csv": by_class.csv()} if by_class else {}),
        },
        _conclusions(arms, base),
        {"arms": values},
    )


def _name(base: Arm | None) -> str:
    return "–" if base is None else base.label


def _row(arm: Arm, base: Arm | None) -> tuple[str, ...]:
    if not arm.runs:
        return (arm.label, f"0 of {arm.planned}", *["–"] * 5)
    return (
        arm.label,
        f"{len(arm.runs)} of {arm.planned}",
        mean_and_sd(_accuracies(arm, "error")),
        mean_and_sd(_accuracies(arm, "best_error")),
        f"{arm.mean('best_epoch'):.4g}" if arm.values("best_epoch") else "–",
        _difference_cell(arm, base),
        format_duration(arm.mean("seconds")),
    )


def _accuracies(arm: Arm, error: str) -> list[float]:
    return [1 - value for value in arm.values(error)]


def _gain(arm: Arm, base: Arm | None) -> PairedDifference | None:
    """By how much an arm's final accuracy is higher than the reference's: its error is so much lower."""
    return difference(base, arm) if base is not None and arm is not base and arm.runs else None


def _difference_cell(arm: Arm, base: Arm | None) -> str:
    pair = _gain(arm, base)
    if pair is None:
        return "–"
    if pair.low is None or pair.high is None:
        return f"{pair.mean:+.3f} (n = {pair.n})"
    return f"{pair.mean:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}]"


def _values(arm: Arm, base: Arm | None) -> dict[str, object]:
    """A row of table.csv, in full precision."""
    pair = _gain(arm, base)
    finals, bests = _accuracies(arm, "error"), _accuracies(arm, "best_error")
    return {
        "policy": arm.name,
        "planned": arm.planned,
        "finished": len(arm.runs),
        "accuracy_mean": statistics.fmean(finals) if finals else None,
        "accuracy_sd": statistics.stdev(finals) if len(finals) > 1 else None,
        "best_accuracy_mean": statistics.fmean(bests) if bests else None,
        "best_accuracy_sd": statistics.stdev(bests) if len(bests) > 1 else None,
        **moments(arm, ("best_epoch", "seconds")),
        "against": base.name if base is not None and pair is not None else None,
        "difference": pair.mean if pair else None,
        "difference_low": pair.low if pair else None,
        "difference_high": pair.high if pair else None,
        "difference_p": pair.p if pair else None,
        "share_higher": pair.share_above if pair else None,
    }


def _conclusions(arms: Sequence[Arm], base: Arm | None) -> tuple[str, ...]:
    """What follows from the finished runs, and where nothing does."""
    others = [arm for arm in arms if arm.runs and arm is not base]
    if base is None or not others:
        return ("Too few runs have finished to compare anything.",)
    pairs = {arm.name: _gain(arm, base) for arm in others}
    n = max((pair.n for pair in pairs.values() if pair is not None), default=0)
    if n < FEWEST:
        best = max((base, *others), key=lambda arm: statistics.fmean(_accuracies(arm, "error")))
        accuracy = statistics.fmean(_accuracies(best, "error"))
        return (
            f"Not distinguishable at n = {n}: fewer than {FEWEST} seeds give no interval. In these runs {best.label} "
            f"ends with the highest accuracy, {accuracy:.3f}; --seeds 5 or more would show whether that is more than "
            "chance.",
        )
    return tuple(_compared(arm, base, pairs[arm.name]) for arm in others)


def _compared(arm: Arm, base: Arm, pair: PairedDifference | None) -> str:
    if pair is None or pair.low is None or pair.p is None:
        return f"{arm.label} has too few finished runs to be judged."
    interval = f"95 % interval {pair.low:+.4f} to {pair.high:+.4f}"
    verdict = "" if pair.distinguishable else f"; not distinguishable at n = {pair.n}"
    return (
        f"{arm.label} against {base.label}: final accuracy {pair.mean:+.4f} ({interval}; p = {pair.p:.2g}), "
        f"higher in {pair.share_above:.0%} of {pair.n} seeds{verdict}."
    )


def _by_class(arms: Sequence[Arm], results: Sequence[JobResult]) -> Table | None:
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
    rows = tuple(
        (name, *(f"{statistics.fmean(each[name] for each in found[arm.name]):.3f}" for arm in shown))
        for name in classes
    )
    return Table("F1 by class (saved model, test images)", ("class", *(arm.label for arm in shown)), rows)


def _scores(result: JobResult) -> dict[str, float]:
    path = result.path / "classes.csv"
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["class"]: float(row["F1"]) for row in csv.DictReader(file)}
    except (KeyError, ValueError) as error:
        raise RequestError(f"{path}: not a table of results by class ({error})") from None

"""What the finished runs of each arm of a sweep came to, and how two arms differ over the seeds that they share."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from stopcli.counts import counted, numbered
from stopcli.evidence.differences import Difference, Ratio, paired_difference, ratio_of
from stopcli.report.tables import Table
from stopcli.runs.recorded import training_seconds
from stopcli.sweeps.collect import JobResult, read_progress


@dataclass(frozen=True)
class ArmRun:
    """A finished run of an arm.

    Attributes:
        error: of the final model on the rows that validate, 1 − accuracy.
        test_error: of the final model, on the test rows.
        best_error: of the saved model (best epoch), on the test rows; None where none was saved.
        best_epoch: of that model; None where none was saved.
        seconds: of training, without validation.
        validation_seconds: of validation.
        images: trained on, copies counted.
    """

    seed: int
    error: float
    test_error: float
    best_error: float | None
    best_epoch: int | None
    seconds: float
    validation_seconds: float
    images: float


@dataclass(frozen=True)
class Arm:
    """An arm and its finished runs, by seed.

    Attributes:
        place: among the arms of the plan, from 0, which its colour goes by: it is the same whatever has finished.
        config: of one of its runs.
        planned: runs that the sweep has of it.
    """

    name: str
    place: int
    config: Any
    planned: int
    runs: tuple[ArmRun, ...]

    @property
    def label(self) -> str:
        """What it is called in tables and figures."""
        return self.name.replace("-", " ")

    @property
    def seeds(self) -> set[int]:
        """Those that have finished."""
        return {run.seed for run in self.runs}

    def mean(self, value: str) -> float:
        """The mean over the runs of one of their values."""
        return statistics.fmean(self.values(value))

    def values(self, value: str) -> list[float]:
        """One value of each run that has it."""
        return list(self.by_seed(value).values())

    def by_seed(self, value: str) -> dict[int, float]:
        """The same by seed."""
        found = {run.seed: getattr(run, value) for run in self.runs}
        return {seed: each for seed, each in found.items() if each is not None}


AnyArm = TypeVar("AnyArm", bound=Arm)


def arms_of(results: Sequence[JobResult], kind: type[AnyArm]) -> list[AnyArm]:
    """The arms in the order of the plan, also those of which no run has finished.

    Args:
        kind: the class that they are made of.
    """
    names = list(dict.fromkeys(result.job.arm for result in results))
    return [
        _arm(name, place, [result for result in results if result.job.arm == name], kind)
        for place, name in enumerate(names)
    ]


def _arm(name: str, place: int, results: Sequence[JobResult], kind: type[AnyArm]) -> AnyArm:
    runs = tuple(_run(result.summary) for result in results if result.state == "finished" and result.summary)
    return kind(name, place, results[0].job.config, len(results), runs)


def _run(summary: Mapping[str, Any]) -> ArmRun:
    final, best = summary["final"], summary["best"] or {}
    validated = final.get("val", final["test"])
    saved = best.get("test", {}).get("accuracy")
    per_epoch = summary["steps"] / summary["steps_per_epoch"]
    return ArmRun(
        summary["seed"],
        1 - validated["accuracy"],
        1 - final["test"]["accuracy"],
        None if saved is None else 1 - saved,
        best.get("epoch"),
        training_seconds(summary) or 0.0,
        summary["validation_seconds"],
        per_epoch * summary["rows"]["train"] * summary["copies"],
    )


def reference_of(config: Any, arms: Sequence[AnyArm]) -> AnyArm:
    """The arm that the others are compared with: the one that the settings say, whether any of it has finished or
    not."""
    return next(arm for arm in arms if arm.name == config.reference_arm)


def not_finished(config: Any, results: Sequence[JobResult]) -> str:
    """Which runs of a sweep have not finished, by arm and seed, in a sentence; empty where all have."""
    arms: dict[str, dict[str, list[int]]] = {}
    for result in results:
        if result.state != "finished":
            states = arms.setdefault(config.arm_label(result.job.arm), {})
            states.setdefault(result.state, []).append(result.job.config.seed)
    told = []
    for label, states in arms.items():
        parts = [f"{numbered('seed', sorted(seeds))} {state}" for state, seeds in states.items()]
        told.append(f"{label} ({', '.join(parts)})")
    return f"Not finished: {'; '.join(told)}." if told else ""


def runs_table(results: Sequence[JobResult]) -> Table:
    """How far each run of a sweep is, where there are no results yet."""
    rows = []
    for result in results:
        line = read_progress(result.job, result.path)
        rows.append((result.job.name, result.state, f"{line.epoch}/{line.epochs}" if result.path.exists() else "–"))
    return Table("Results", ("run", "state", "epoch"), tuple(rows))


def shared_seeds(arms: Sequence[Arm]) -> list[int]:
    """The seeds that every arm has finished of which any run has, ascending: over these alone arms are equals."""
    found = [arm.seeds for arm in arms if arm.runs]
    return sorted(set.intersection(*found)) if found else []


def with_seeds(arm: Arm, arms: Sequence[Arm]) -> str:
    """An arm's label with the seeds that its mean is over: which, where they are not the same for all arms with runs,
    else how many, where there are several."""
    several = len(arm.seeds) > 1
    if any(other.seeds != arm.seeds for other in arms if other.runs):
        return f"{arm.label} ({'mean of ' if several else ''}{numbered('seed', sorted(arm.seeds))})"
    return f"{arm.label} (mean of {counted(len(arm.seeds), 'seed')})" if several else arm.label


def without_reference(reference: Arm, what: str) -> str:
    """A sentence that says what cannot be told before a run of the reference has finished."""
    return f"No run of {reference.label}, which the others are compared with, has finished: there are no {what}."


def difference(arm: Arm, other: Arm, value: str = "error") -> Difference | None:
    """A value of an arm's runs less that of another's, over the seeds that both have finished; None where there is
    none."""
    ours, theirs = arm.by_seed(value), other.by_seed(value)
    seeds = sorted(ours.keys() & theirs.keys())
    return paired_difference([ours[s] for s in seeds], [theirs[s] for s in seeds]) if seeds else None


def time_ratio(arm: Arm, reference: Arm) -> Ratio | None:
    """How many times the reference's training time an arm's is, over the seeds that both have finished; None where
    there is none."""
    return ratio_of(arm.by_seed("seconds"), reference.by_seed("seconds"))


def mean_and_sd(values: Sequence[float]) -> str:
    """In words; a dash for no values."""
    if not values:
        return "–"
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{spread}"


def moments(arm: Arm, names: Sequence[str]) -> dict[str, float | None]:
    """Mean and standard deviation of values of an arm's runs, in full precision: NAME_mean and NAME_sd."""
    values: dict[str, float | None] = {}
    for name in names:
        found = arm.values(name)
        values[f"{name}_mean"] = statistics.fmean(found) if found else None
        values[f"{name}_sd"] = statistics.stdev(found) if len(found) > 1 else None
    return values


def job_row(result: JobResult) -> dict[str, object]:
    """A row of jobs.csv."""
    summary = result.summary or {}
    final, best = summary.get("final") or {}, summary.get("best") or {}
    return {
        "job": result.job.name,
        "arm": result.job.arm,
        "seed": result.job.config.seed,
        "state": result.state,
        "reason": result.reason,
        "epochs": summary.get("epochs"),
        "test_accuracy": (final.get("test") or {}).get("accuracy"),
        "best_epoch": best.get("epoch"),
        "best_test_accuracy": (best.get("test") or {}).get("accuracy"),
        "train_seconds": training_seconds(summary),
        "validation_seconds": summary.get("validation_seconds"),
        "samples_per_second": summary.get("samples_per_second"),
    }

"""What the finished runs of each arm of a sweep came to, and how two arms differ over the seeds that they share."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from stopcli.evidence.paired import PairedDifference, paired_difference
from stopcli.sweeps.collect import JobResult


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
        config: of one of its runs.
        planned: runs that the sweep has of it.
    """

    name: str
    config: Any
    planned: int
    runs: tuple[ArmRun, ...]

    @property
    def label(self) -> str:
        """What it is called in tables and figures."""
        return self.name.replace("-", " ")

    def mean(self, value: str) -> float:
        """The mean over the runs of one of their values."""
        return statistics.fmean(self.values(value))

    def values(self, value: str) -> list[float]:
        """One value of each run that has it."""
        found = [getattr(run, value) for run in self.runs]
        return [each for each in found if each is not None]


AnyArm = TypeVar("AnyArm", bound=Arm)


def arms_of(results: Sequence[JobResult], kind: type[AnyArm]) -> list[AnyArm]:
    """The arms in the order of the plan, also those of which no run has finished.

    Args:
        kind: the class that they are made of.
    """
    names = list(dict.fromkeys(result.job.arm for result in results))
    return [_arm(name, [result for result in results if result.job.arm == name], kind) for name in names]


def _arm(name: str, results: Sequence[JobResult], kind: type[AnyArm]) -> AnyArm:
    runs = tuple(_run(result.summary) for result in results if result.state == "finished" and result.summary)
    return kind(name, results[0].job.config, len(results), runs)


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
        summary["train_seconds"] - summary["validation_seconds"],
        summary["validation_seconds"],
        per_epoch * summary["rows"]["train"] * summary["copies"],
    )


def difference(arm: Arm, other: Arm, value: str = "error") -> PairedDifference | None:
    """A value of an arm's runs less that of another's, over the seeds that both have finished; None where there is
    none."""
    ours, theirs = (
        {run.seed: getattr(run, value) for run in each.runs if getattr(run, value) is not None} for each in (arm, other)
    )
    seeds = sorted(ours.keys() & theirs.keys())
    return paired_difference([ours[s] for s in seeds], [theirs[s] for s in seeds]) if seeds else None


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
        "train_seconds": summary.get("train_seconds"),
        "validation_seconds": summary.get("validation_seconds"),
        "samples_per_second": summary.get("samples_per_second"),
    }

"""What the runs of each arm of a cutout sweep came to: error, cost, and the difference to the baseline."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stopcli.evidence.paired import PairedDifference, paired_difference
from stopcli.recipes.cutout_sweep.config import copies_of
from stopcli.sweeps.collect import JobResult

# Hours for 100 epochs of ResNet-44 by M, 0 for simple augmentation alone ("Deep Learning on Medium", cutout article).
PUBLISHED_HOURS = {0: 1.22, 2: 1.47, 4: 2.31, 8: 3.86, 16: 6.89, 32: 13.14}


@dataclass(frozen=True)
class ArmRun:
    """A finished run of an arm.

    Attributes:
        error: of the final model on the rows that validate, 1 − accuracy.
        best_error: of the saved model (best epoch), on the test rows; None where none was saved.
        seconds: of training, without validation.
        validation_seconds: of validation.
        images: trained on, copies counted.
    """

    seed: int
    error: float
    best_error: float | None
    seconds: float
    validation_seconds: float
    images: float


@dataclass(frozen=True)
class Arm:
    """An arm and its finished runs, by seed.

    Attributes:
        m: copies of every image; 0 for the baseline.
        planned: runs that the sweep has of it.
    """

    name: str
    m: int
    planned: int
    runs: tuple[ArmRun, ...]

    @property
    def label(self) -> str:
        return f"M = {self.m}" if self.m else self.name.replace("-", " ")

    def mean(self, value: str) -> float:
        """The mean over the runs of one of their values."""
        return statistics.fmean(self.values(value))

    def values(self, value: str) -> list[float]:
        """One value of each run that has it."""
        found = [getattr(run, value) for run in self.runs]
        return [each for each in found if each is not None]


def arms_of(results: Sequence[JobResult]) -> list[Arm]:
    """The arms in the order of the plan, also those of which no run has finished."""
    names = list(dict.fromkeys(result.job.arm for result in results))
    return [_arm(name, [result for result in results if result.job.arm == name]) for name in names]


def _arm(name: str, results: Sequence[JobResult]) -> Arm:
    runs = tuple(_run(result.summary) for result in results if result.state == "finished" and result.summary)
    return Arm(name, copies_of(results[0].job.config), len(results), runs)


def _run(summary: Mapping[str, Any]) -> ArmRun:
    final, best = summary["final"], summary["best"]
    validated = final.get("val", final["test"])
    saved = (best or {}).get("test", {}).get("accuracy")
    per_epoch = summary["steps"] / summary["steps_per_epoch"]
    return ArmRun(
        summary["seed"],
        1 - validated["accuracy"],
        None if saved is None else 1 - saved,
        summary["train_seconds"] - summary["validation_seconds"],
        summary["validation_seconds"],
        per_epoch * summary["rows"]["train"] * summary["copies"],
    )


def reference_of(arms: Sequence[Arm]) -> Arm | None:
    """What the others are compared with: the baseline, or where there is none, the fewest copies."""
    finished = [arm for arm in arms if arm.runs]
    return min(finished, key=lambda arm: arm.m, default=None)


def difference(arm: Arm, other: Arm) -> PairedDifference | None:
    """An arm's error less another's, over the seeds that both have finished; None where there is none."""
    ours, theirs = ({run.seed: run.error for run in each.runs} for each in (arm, other))
    seeds = sorted(ours.keys() & theirs.keys())
    return paired_difference([ours[s] for s in seeds], [theirs[s] for s in seeds]) if seeds else None


def pareto_front(arms: Sequence[Arm]) -> list[Arm]:
    """The arms than which no other is both at least as cheap and at least as good, by mean, the cheapest first."""
    finished = [arm for arm in arms if arm.runs]
    front: list[Arm] = []
    for arm in sorted(finished, key=lambda arm: (arm.mean("seconds"), arm.mean("error"))):
        if not front or arm.mean("error") < front[-1].mean("error"):
            front.append(arm)
    return front

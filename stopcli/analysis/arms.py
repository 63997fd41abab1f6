"""What the runs of an arm came to over their seeds, and how two arms differ: of a sweep, a comparison, a replay."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from stopcli.analysis.results import RunResult, measured_result
from stopcli.counts import counted, numbered
from stopcli.evidence.differences import Difference, Ratio, difference_by_seed, ratio_of
from stopcli.evidence.interval import FEWEST, MeanInterval, mean_interval
from stopcli.runs.recorded import RecordedRun
from stopcli.stopping.direction import Direction
from stopcli.sweeps.collect import JobResult


class HasValues(Protocol):
    """Whatever an arm has one of for each seed."""

    @property
    def seed(self) -> int: ...

    def value(self, name: str) -> float | None:
        """One of its values; None where it has none of that name."""


AnyRun = TypeVar("AnyRun", bound=HasValues)


@dataclass(frozen=True)
class Arm(Generic[AnyRun]):
    """Runs that differ by their seed only.

    Attributes:
        label: in tables and figures.
        runs: that count, one a seed.
        left_out: that did not finish, where others did.
        name: in a sweep's plan.
        index: among the arms, from 0, which its colour goes by: it is the same whatever has finished.
        planned: runs that its sweep has of it.
        config: of one of its runs, where it is a sweep's.
    """

    label: str
    runs: tuple[AnyRun, ...]
    left_out: tuple[AnyRun, ...] = ()
    name: str = ""
    index: int = 0
    planned: int = 0
    config: Any = None

    @property
    def seeds(self) -> list[int]:
        return sorted({run.seed for run in self.runs})

    def values(self, name: str) -> list[float]:
        """One value of each run that has it."""
        return [value for run in self.runs if (value := run.value(name)) is not None]

    def by_seed(self, name: str) -> dict[int, float]:
        """The same by seed."""
        return {run.seed: value for run in self.runs if (value := run.value(name)) is not None}

    def mean(self, name: str) -> float | None:
        """The mean of a value over the runs that have it; None where none has."""
        values = self.values(name)
        return statistics.fmean(values) if values else None

    def interval(self, name: str) -> MeanInterval | None:
        """The mean with its standard deviation and interval; None where no run has the value."""
        values = self.values(name)
        return mean_interval(values) if values else None


RunArm = Arm[RunResult]


def sweep_arms(config: Any, results: Sequence[JobResult]) -> list[RunArm]:
    """The arms of a sweep in the order of its plan, also those of which no run has finished.

    Args:
        config: the sweep's.
    """
    by_arm: dict[str, list[JobResult]] = {}
    for result in results:
        by_arm.setdefault(result.job.arm, []).append(result)
    return [
        Arm(
            config.arm_label(name),
            tuple(_job_result(job) for job in jobs if job.state == "finished" and job.summary),
            name=name,
            index=index,
            planned=len(jobs),
            config=jobs[0].job.config,
        )
        for index, (name, jobs) in enumerate(by_arm.items())
    ]


def _job_result(job: JobResult) -> RunResult:
    config = job.job.config
    run = RecordedRun(job.path, None, config.command, {"seed": config.seed}, job.summary or {}, job.state)
    return measured_result(run)


def reference_of(config: Any, arms: Sequence[Arm[AnyRun]]) -> Arm[AnyRun]:
    """The arm that the others are compared with: the one that a sweep's settings name, whether any of it has finished
    or not."""
    return next(arm for arm in arms if arm.name == config.reference_arm)


def difference(arm: Arm[Any], other: Arm[Any], name: str) -> Difference | None:
    """A value of an arm's runs less that of another's, over the seeds that both have; None where there is none."""
    return difference_by_seed(arm.by_seed(name), other.by_seed(name))


def time_ratio(arm: Arm[Any], reference: Arm[Any]) -> Ratio | None:
    """How many times the reference's training time an arm's is, over the seeds that both have; None where there is
    none."""
    return ratio_of(arm.by_seed("train_seconds"), reference.by_seed("train_seconds"))


def shared_seeds(arms: Sequence[Arm[Any]]) -> list[int]:
    """The seeds that every arm has of which any run counts, ascending: over these arms are equals."""
    seeds = [set(arm.seeds) for arm in arms if arm.runs]
    return sorted(set.intersection(*seeds)) if seeds else []


def with_seeds(arm: Arm[Any], arms: Sequence[Arm[Any]]) -> str:
    """An arm's label with the seeds that its mean is over: which, where they are not the same for all arms with runs,
    else how many, where there are several."""
    several = len(arm.seeds) > 1
    if any(other.seeds != arm.seeds for other in arms if other.runs):
        return f"{arm.label} ({'mean of ' if several else ''}{numbered('seed', arm.seeds)})"
    return f"{arm.label} (mean of {counted(len(arm.seeds), 'seed')})" if several else arm.label


def incomparable(arms: Sequence[Arm[Any]], reference: Arm[Any], missing: str) -> str:
    """Why no arm can be compared with the reference yet, in a sentence; empty where one can.

    Args:
        missing: what there is none of without the reference, such as `differences`.
    """
    if not any(arm.runs for arm in arms if arm is not reference):
        return "Too few runs have finished to compare anything."
    if not reference.runs:
        return f"No run of {reference.label}, which the others are compared with, has finished: there are no {missing}."
    return ""


def sentences_against(
    reference: Arm[Any], differences: Sequence[tuple[Arm[Any], Difference | None]], what: str, better: Direction
) -> list[str]:
    """How each arm differs from the reference, as far as its runs can tell.

    Args:
        what, better: as for `Difference.sentence`.
    """
    return [
        f"{arm.label} has too few finished runs to be judged."
        if difference is None or difference.n < FEWEST
        else difference.sentence(arm.label, reference.label, what, better)
        for arm, difference in differences
    ]

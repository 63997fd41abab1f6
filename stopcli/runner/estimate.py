"""How long a sweep will take, measured on a few steps of each of its arms before anything is trained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stopcli.quantities import format_duration
from stopcli.recipes.base import LoadedConfig, recipe_of
from stopcli.report.document import Table
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job, in_rounds, plan_jobs
from stopcli.training.loop import Loop
from stopcli.training.session import Observer
from stopcli.training.steps_loop import EVALUATION_COST

# Calls of the loop that are timed, after one that is not: each of them longer, up to a quarter second.
_CALLS = 4


@dataclass(frozen=True)
class ArmEstimate:
    """What runs of an arm will take.

    Attributes:
        images: in a batch, copies counted.
        updates: of a run.
        start_seconds: from a run's start to its first step.
        train_seconds, validation_seconds: of training, and of validating during training.
    """

    epochs: int
    images: int
    updates: int
    start_seconds: float
    train_seconds: float
    validation_seconds: float

    @property
    def seconds(self) -> float:
        return self.start_seconds + self.train_seconds + self.validation_seconds


@dataclass(frozen=True)
class SweepEstimate:
    """The jobs of a sweep, and what each of its arms will take."""

    jobs: Sequence[Job[Any]]
    arms: Mapping[str, ArmEstimate]
    layout: Layout

    @property
    def seconds(self) -> float:
        """Until the last job has ended, each worker taking the next one when it is free."""
        busy_until = [0.0] * max(1, self.layout.workers)
        for job in in_rounds(self.jobs):
            busy_until[busy_until.index(min(busy_until))] += self.arms[job.arm].seconds
        return max(busy_until)

    def table(self) -> Table:
        """A row for each job."""
        rows = []
        for job in self.jobs:
            arm = self.arms[job.arm]
            counts = (f"{arm.updates:,}", f"{arm.images:,}", f"{arm.updates * arm.images:,}")
            times = (format_duration(arm.train_seconds), format_duration(arm.validation_seconds))
            rows.append((job.name, str(arm.epochs), *counts, *times))
        columns = ("run", "epochs", "updates", "images per batch", "images in all", "training", "validation")
        return Table("Plan", columns, tuple(rows))

    def summary(self) -> dict[str, Any]:
        """The same for JSON."""
        jobs = []
        for job in self.jobs:
            arm = self.arms[job.arm]
            jobs.append(
                {
                    "name": job.name,
                    "arm": job.arm,
                    "seed": job.config.seed,
                    "epochs": arm.epochs,
                    "updates": arm.updates,
                    "images_a_batch": arm.images,
                    "train_seconds": round(arm.train_seconds, 1),
                    "validation_seconds": round(arm.validation_seconds, 1),
                }
            )
        return {"executor": self.layout.describe(), "seconds": round(self.seconds, 1), "jobs": jobs}


def estimate(loaded: LoadedConfig, layout: Layout, process_seconds: float, observer: Observer) -> SweepEstimate:
    """Measure each arm of a sweep on a few steps, in this process and with its number of threads.

    Args:
        loaded: the sweep's settings and images.
        process_seconds: that the start of a process takes.
    """
    jobs = plan_jobs(loaded.config)
    configs = {job.arm: job.config for job in reversed(jobs)}
    arms = {}
    for i, arm in enumerate(dict.fromkeys(job.arm for job in jobs)):
        observer.counted("arms measured", i, len(configs))
        arms[arm] = _measure(replace(loaded, config=configs[arm]), process_seconds)
    return SweepEstimate(jobs, arms, layout)


def _measure(loaded: LoadedConfig, process_seconds: float) -> ArmEstimate:
    config = loaded.config
    start_time = time.perf_counter()
    experiment = recipe_of(config.command).build(loaded)
    loop = experiment.make_loop()
    loop.compile()
    start_seconds = process_seconds + time.perf_counter() - start_time
    step_seconds = _step_seconds(loop)
    batch = config.batch_size * config.copies
    evaluated = sum(examples.count for examples in experiment.parts.evaluated().values())
    updates = experiment.steps_per_epoch * config.epochs
    validation_seconds = evaluated * step_seconds / batch * EVALUATION_COST * config.epochs
    return ArmEstimate(config.epochs, batch, updates, start_seconds, updates * step_seconds, validation_seconds)


def _step_seconds(loop: Loop) -> float:
    """Seconds of a training step, over some calls of a loop that is at its start."""
    calls: list[tuple[int, float]] = []
    while len(calls) <= _CALLS:
        before, start_time = loop.partial.steps if loop.partial else 0, time.perf_counter()
        loop.advance(1, 1)
        seconds = time.perf_counter() - start_time
        if loop.partial is None or loop.partial.steps == before:
            # The epoch was too short for more.
            break
        calls.append((loop.partial.steps - before, seconds))
    # The first call sets up what later ones find there; an epoch of one call has no other.
    timed = calls[1:] or calls
    return sum(seconds for _, seconds in timed) / sum(steps for steps, _ in timed)

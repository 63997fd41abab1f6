"""How long a sweep will take, measured on a few steps of each of its arms before anything is begun."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from stopcli.quantities import format_duration
from stopcli.recipes.base import Loaded, ModuleRecipe
from stopcli.report.document import Table
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job, in_rounds
from stopcli.training.loop import Loop
from stopcli.training.session import Observer
from stopcli.training.steps_loop import EVALUATION_COST

# Calls of the loop that are timed, after one that is not: each of them longer, up to a quarter second.
_CALLS = 4


@dataclass(frozen=True)
class ArmEstimate:
    """What runs of an arm will take.

    Attributes:
        images: a batch holds, copies counted.
        updates: of a run.
        start_seconds: from a run's begin to its first step.
        train_seconds, validation_seconds: of training, and of validating meanwhile.
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


def estimate(
    loaded: Loaded, jobs: Sequence[Job[Any]], process_seconds: float, observer: Observer
) -> dict[str, ArmEstimate]:
    """Measure each arm of a sweep on a few steps, in this process and with its number of threads.

    Args:
        loaded: the sweep's settings and images.
        process_seconds: that the start of a process takes.
    """
    first = {job.arm: job for job in reversed(jobs)}
    arms = list(dict.fromkeys(job.arm for job in jobs))
    found = {}
    for i, arm in enumerate(arms):
        observer.counted("arms measured", i, len(arms))
        found[arm] = _measure(replace(loaded, config=first[arm].config), process_seconds)
    return found


def _measure(loaded: Loaded, process_seconds: float) -> ArmEstimate:
    config = loaded.config
    begun = time.perf_counter()
    experiment = ModuleRecipe(config.command).build(loaded)
    loop = experiment.make_loop()
    loop.compile()
    start = time.perf_counter() - begun
    a_step = _seconds_a_step(loop)
    parts, batch = experiment.parts, config.batch_size * config.copies
    validated = sum(rows.count for rows in parts.evaluated().values())
    updates = experiment.steps_per_epoch * config.epochs
    validating = validated * a_step / batch * EVALUATION_COST * config.epochs
    return ArmEstimate(config.epochs, batch, updates, process_seconds + start, updates * a_step, validating)


def _seconds_a_step(loop: Loop) -> float:
    """Seconds of a training step, over some calls of a loop that is at its beginning."""
    calls: list[tuple[int, float]] = []
    while len(calls) <= _CALLS:
        before, begun = loop.partial.steps if loop.partial else 0, time.perf_counter()
        loop.advance(1, 1)
        seconds = time.perf_counter() - begun
        if loop.partial is None or loop.partial.steps == before:
            # The epoch was too short for more.
            break
        calls.append((loop.partial.steps - before, seconds))
    # The first call sets up what later ones find there; an epoch of one call has no other.
    timed = calls[1:] or calls
    return sum(seconds for _, seconds in timed) / sum(steps for steps, _ in timed)


def total_seconds(jobs: Sequence[Job[Any]], arms: dict[str, ArmEstimate], layout: Layout) -> float:
    """Until the last job has ended, each worker taking the next one when it is free."""
    free = [0.0] * max(1, layout.workers)
    for job in in_rounds(jobs):
        free[free.index(min(free))] += arms[job.arm].seconds
    return max(free)


def plan_table(jobs: Sequence[Job[Any]], arms: dict[str, ArmEstimate]) -> Table:
    """The plan, a row for each job."""
    rows = tuple(
        (
            job.name,
            str(arms[job.arm].epochs),
            f"{arms[job.arm].updates:,}",
            f"{arms[job.arm].images:,}",
            f"{arms[job.arm].updates * arms[job.arm].images:,}",
            format_duration(arms[job.arm].train_seconds),
            format_duration(arms[job.arm].validation_seconds),
        )
        for job in jobs
    )
    return Table(
        "Plan", ("run", "epochs", "updates", "images a batch", "images in all", "training", "validation"), rows
    )


def plan_summary(jobs: Sequence[Job[Any]], arms: dict[str, ArmEstimate], layout: Layout) -> dict[str, Any]:
    """The plan for those who go on elsewhere."""
    return {
        "executor": layout.describe(),
        "seconds": round(total_seconds(jobs, arms, layout), 1),
        "jobs": [
            {
                "name": job.name,
                "arm": job.arm,
                "seed": job.config.seed,
                "epochs": arms[job.arm].epochs,
                "updates": arms[job.arm].updates,
                "images_a_batch": arms[job.arm].images,
                "train_seconds": round(arms[job.arm].train_seconds, 1),
                "validation_seconds": round(arms[job.arm].validation_seconds, 1),
            }
            for job in jobs
        ],
    }

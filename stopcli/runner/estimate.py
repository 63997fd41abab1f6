"""How long a sweep will take, measured on a few steps of each of its arms before anything is trained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from stopcli.configs.cutout_sweep import CutoutSweepConfig
from stopcli.quantities import counted, format_duration
from stopcli.recipes.base import LoadedConfig, recipe_for
from stopcli.report.document import Table
from stopcli.stats.differences import NONE
from stopcli.stats.intervals import FEWEST
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job, in_rounds, plan_jobs
from stopcli.training.session import Observer

if TYPE_CHECKING:
    from stopcli.training.loop import Loop

# Calls of the loop that are timed, after one that is not: each of them longer, up to a quarter second.
_CALLS = 4
# More seeds than this are not counted.
MOST_SEEDS = 100


@dataclass(frozen=True)
class ArmEstimate:
    """What runs of an arm will take.

    Attributes:
        images: rows in a batch, copies counted.
        updates: of a run.
        start_seconds: from a run's start to its first step.
        train_seconds, validation_seconds: of training, and of validating during training.
        has_short_numbers: whether a layer of its network computes in 16 bits.
    """

    epochs: int
    images: int
    updates: int
    start_seconds: float
    train_seconds: float
    validation_seconds: float
    has_short_numbers: bool = False

    @property
    def seconds(self) -> float:
        return self.start_seconds + self.train_seconds + self.validation_seconds


@dataclass(frozen=True)
class Fit:
    """Arms with as many seeds of each as fit into a time budget.

    Attributes:
        seeds: 0 where not even one fits.
        seconds: that they take; of one seed where none fits.
    """

    arms: tuple[str, ...]
    seeds: int
    seconds: float


@dataclass(frozen=True)
class SweepEstimate:
    """The jobs of a sweep, and what each of its arms will take.

    Attributes:
        config: of the sweep.
    """

    config: Any
    jobs: Sequence[Job[Any]]
    arms: Mapping[str, ArmEstimate]
    layout: Layout

    @property
    def seconds(self) -> float:
        """Until the last job has ended."""
        return self.seconds_of(tuple(self.arms), self.config.most_seeds)

    def seconds_of(self, arms: Sequence[str], seeds: int) -> float:
        """How long some arms take with so many seeds, each worker taking the next job when it is free."""
        of_a_seed = in_rounds([job for job in self.jobs if job.config.seed == self.config.seed and job.arm in arms])
        busy_until = [0.0] * max(1, self.layout.workers)
        for job in of_a_seed * seeds:
            busy_until[busy_until.index(min(busy_until))] += self.arms[job.arm].seconds
        return max(busy_until)

    def fits(self, budget_seconds: float) -> list[Fit]:
        """What fits into a time budget: the reference with the cheapest other arm, with the two cheapest, and so on to
        all arms; of a sweep whose arms cannot be left out by a setting, all arms only."""
        reference = self.config.reference_arm
        others = sorted(self.arms.keys() - {reference}, key=lambda arm: self.arms[arm].seconds)
        least = min(1, len(others)) if isinstance(self.config, CutoutSweepConfig) else len(others)
        return [self._fit((reference, *others[:count]), budget_seconds) for count in range(least, len(others) + 1)]

    def _fit(self, arms: tuple[str, ...], budget_seconds: float) -> Fit:
        seeds = 0
        while seeds < MOST_SEEDS and self.seconds_of(arms, seeds + 1) <= budget_seconds:
            seeds += 1
        return Fit(arms, seeds, self.seconds_of(arms, max(seeds, 1)))

    def choice(self, fits: Sequence[Fit]) -> Fit | None:
        """Of what fits, the most arms with the seeds that an interval needs, else the most seeds of two arms; None
        where nothing fits."""
        enough = [fit for fit in fits if fit.seeds >= FEWEST]
        fit = enough[-1] if enough else fits[0]
        return fit if fit.seeds else None

    def config_of(self, fit: Fit) -> Any:
        """The settings of a sweep of just these arms and seeds."""
        # Where the first round fits, the time budget ends the others.
        auto = self.config.auto_seeds and fit.seeds >= self.config.first_round
        settings: dict[str, Any] = {"seeds": "auto" if auto else fit.seeds}
        if isinstance(self.config, CutoutSweepConfig):
            settings["m"] = tuple(m for m in self.config.m if f"m{m}" in fit.arms)
        return replace(self.config, **settings)

    def labels(self, arms: Sequence[str]) -> str:
        """Arms as tables name them, in the order of the plan."""
        return ", ".join(self.config.arm_label(arm) for arm in self.arms if arm in arms)

    def answer(self, fits: Sequence[Fit], budget_seconds: float) -> str:
        """Which arms and how many seeds fit into a time budget, in a sentence or two."""
        budget, fit = format_duration(budget_seconds), self.choice(fits)
        if fit is None:
            least = fits[0]
            return (
                f"Nothing fits into {budget}: one seed of {self.labels(least.arms)} takes about "
                f"{format_duration(least.seconds)}. A smaller model, fewer epochs or a smaller --limit take less."
            )
        seeds = f"{counted(fit.seeds, 'seed')} each{' or more' if fit.seeds == MOST_SEEDS else ''}"
        sentence = f"{self.labels(fit.arms)} with {seeds} fit into {budget} (about {format_duration(fit.seconds)})."
        if fit.seeds < FEWEST:
            return f"{sentence} No arms fit with {FEWEST} seeds, and fewer give no interval."
        if len(fit.arms) < len(self.arms):
            return f"{sentence} With more arms, fewer than {FEWEST} seeds would fit, and these give no interval."
        return sentence

    def budget_table(self, fits: Sequence[Fit], budget_seconds: float) -> Table:
        """A row for each choice of arms: how many seeds of them fit."""
        rows = [
            (self.labels(fit.arms), str(fit.seeds) if fit.seeds else "none", format_duration(fit.seconds))
            for fit in fits
        ]
        return Table(f"What fits into {format_duration(budget_seconds)}", ("arms", "seeds", "about"), tuple(rows))

    def table(self) -> Table:
        """A row for each arm: what one of its runs takes, and how many times the reference's training."""
        base = self.arms[self.config.reference_arm].train_seconds
        rows = []
        for name, arm in self.arms.items():
            counts = (f"{arm.updates:,}", f"{arm.images:,}", f"{arm.updates * arm.images:,}")
            times = (arm.train_seconds, arm.validation_seconds, arm.seconds)
            cells = (
                str(arm.epochs),
                *counts,
                *map(format_duration, times),
                f"{arm.train_seconds / base:.2f}" if base else NONE,
            )
            runs = f"{'at most ' if self.config.auto_seeds else ''}{self.config.most_seeds}"
            rows.append((self.config.arm_label(name), runs, *cells))
        columns = ("arm", "runs", "epochs", "updates", "rows per batch", "rows in all")
        return Table("Plan", (*columns, "training", "validation", "a run", "cost ratio"), tuple(rows))

    def summary(self, budget_seconds: float | None = None) -> dict[str, Any]:
        """The same for JSON, with what fits into a time budget where there is one."""
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
        arms = [{"arm": name, "seconds": round(arm.seconds, 1)} for name, arm in self.arms.items()]
        plan = {"executor": self.layout.describe(), "seconds": round(self.seconds, 1), "jobs": jobs, "arms": arms}
        if budget_seconds is None:
            return plan
        fits = self.fits(budget_seconds)
        choice = self.choice(fits)
        budget = {"seconds": budget_seconds, "fits": list(map(asdict, fits)), "choice": choice and asdict(choice)}
        return {**plan, "budget": budget}


def estimate(loaded: LoadedConfig, layout: Layout, process_seconds: float, observer: Observer) -> SweepEstimate:
    """Measure each arm of a sweep on a few steps, in this process and with its number of threads.

    Args:
        loaded: the sweep's settings and images.
        process_seconds: that the start of a process takes.
    """
    if layout.executor == "in-process":
        # It has started.
        process_seconds = 0.0
    jobs = plan_jobs(loaded.config)
    configs = {job.arm: job.config for job in reversed(jobs)}
    arms = {}
    for i, arm in enumerate(dict.fromkeys(job.arm for job in jobs)):
        observer.counted("arms measured", i, len(configs))
        arms[arm] = measure_arm(replace(loaded, config=configs[arm]), process_seconds)
    return SweepEstimate(loaded.config, jobs, arms, layout)


def measure_arm(loaded: LoadedConfig, process_seconds: float) -> ArmEstimate:
    """What a run takes, measured on a few steps; arguments as of `estimate`, with the settings of a run."""
    from stopcli.models.twin import has_short_numbers
    from stopcli.training.steps_loop import EVALUATION_COST

    config = loaded.config
    start_time = time.perf_counter()
    experiment = recipe_for(config).build(loaded)
    loop = experiment.make_loop()
    loop.compile()
    start_seconds = process_seconds + time.perf_counter() - start_time
    step_seconds = step_seconds_of(loop, config.epochs)
    batch = min(config.batch_size, experiment.parts.train.count) * experiment.inputs.copies
    evaluated = sum(examples.count for examples in experiment.parts.evaluated().values())
    updates = experiment.steps_per_epoch * config.epochs
    validation_seconds = evaluated * step_seconds / batch * EVALUATION_COST * config.epochs
    if config.short_epochs:
        # Calls that train whole epochs were timed with it.
        validation_seconds = 0.0
    return ArmEstimate(
        config.epochs,
        batch,
        updates,
        start_seconds,
        updates * step_seconds,
        validation_seconds,
        has_short_numbers(experiment.model),
    )


def step_seconds_of(loop: Loop, most: int) -> float:
    """Seconds of a training step, over some calls of a loop that is at its start.

    Args:
        most: epochs at most; a call may train many of them, each with what is measured after it.
    """
    calls = timed_calls(loop, most, _CALLS)
    return sum(seconds for _, seconds in calls) / sum(steps for steps, _ in calls)


def timed_calls(loop: Loop, most: int, count: int) -> list[tuple[int, float]]:
    """Steps and seconds of some calls of a loop that is at its start, after one that is not counted; of fewer where it
    has `most` epochs before."""
    calls: list[tuple[int, float]] = []
    epoch, position = 1, 0
    while len(calls) <= count and epoch <= most:
        start_time = time.perf_counter()
        block = loop.advance(epoch, most + 1 - epoch)
        seconds = time.perf_counter() - start_time
        epoch += 0 if block is None else len(block.metrics)
        before, position = position, (epoch - 1) * loop.steps_per_epoch + (loop.partial.steps if loop.partial else 0)
        if position == before:
            # Rows were measured, and nothing was trained.
            break
        calls.append((position - before, seconds))
    # The first call sets up what later ones find there; a training of one call has no other.
    return calls[1:] or calls

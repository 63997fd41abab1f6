"""The arms of a cutout sweep: their M, and which are worth their cost."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from stopcli.analysis.arms import RunArm
from stopcli.analysis.sweep import shared_seeds
from stopcli.configs.published import published_arms
from stopcli.quantities import numbered
from stopcli.recipes.cutout_sweep.config import copies_of
from stopcli.stats import pareto

# A run's error at the end, on the rows that validate.
ERROR = "final_val_error"


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
    front = pareto.pareto_front(list(costs.values()), list(errors.values())) if len(costs) > 1 else []
    unequal = any(arm.seeds != seeds for arm in finished)
    return Front(tuple(seeds), costs, errors, tuple(list(costs)[i] for i in front), unequal)


def costs_of(arm: RunArm, reference: RunArm) -> dict[int, float]:
    """Training time of an arm's finished runs by seed: as multiples of the reference's of the same seed, as far as it
    has finished that, or in seconds where it has finished nothing."""
    seconds, base = arm.by_seed("train_seconds"), reference.by_seed("train_seconds")
    return {seed: seconds[seed] / base[seed] for seed in seconds if seed in base} if base else seconds

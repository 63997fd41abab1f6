"""What a sweep consists of: named jobs, each a run's config. A plan is a pure function of the sweep's settings."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Generic

from stopcli.config import AnyConfig, SweepSettings


@dataclass(frozen=True)
class Job(Generic[AnyConfig]):
    """One run of a sweep.

    Attributes:
        name: its folder's name under the sweep's `jobs/`, unique in the sweep.
        arm: what distinguishes it from the sweep's other runs of the same seed.
        config: the run's settings, for one seed.
        cost: how much there is to compute, in any unit that is the same for all jobs of the sweep.
        is_reference: whether it is of the arm that the others are compared with.
    """

    name: str
    arm: str
    config: AnyConfig
    cost: float = 1.0
    is_reference: bool = False


def plan_jobs(config: Any) -> tuple[Job[Any], ...]:
    """A job for each arm of a sweep and each of its seeds: seed, seed + 1, …"""
    seeds = range(config.seed, config.seed + config.seeds)
    reference = config.reference_arm
    return tuple(
        Job(f"{arm}-seed{seed}", arm, _one_run(of, seed), of.cost, arm == reference)
        for arm, of in config.arms().items()
        for seed in seeds
    )


def _one_run(config: AnyConfig, seed: int) -> AnyConfig:
    # How the sweep is run is no business of the run's: the same config, whoever runs it.
    how: dict[str, Any] = (
        {field.name: field.default for field in fields(SweepSettings)} if isinstance(config, SweepSettings) else {}
    )
    return replace(config, seed=seed, seeds=1, **how)

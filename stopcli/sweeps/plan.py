"""What a sweep consists of: named jobs, each a run's config."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic

from stopcli.config import AnyConfig


@dataclass(frozen=True)
class Job(Generic[AnyConfig]):
    """One run of a sweep.

    Attributes:
        name: its folder's name under the sweep's `jobs/`, unique in the sweep.
        config: the run's settings, for one seed.
    """

    name: str
    config: AnyConfig


def seed_jobs(config: AnyConfig, arm: str) -> tuple[Job[AnyConfig], ...]:
    """A job for each of the config's seeds: seed, seed + 1, …

    Args:
        arm: what the runs have in common, the first part of their names.
    """
    seeds = range(config.seed, config.seed + config.seeds)
    return tuple(Job(f"{arm}-seed{seed}", replace(config, seed=seed, seeds=1)) for seed in seeds)

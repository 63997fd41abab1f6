"""The arms of a comparison of learning-rate policies, and what they are compared with."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.recipes.arms import Arm, arms_of
from stopcli.recipes.clr.config import ClrConfig
from stopcli.sweeps.collect import JobResult


def policies_of(results: Sequence[JobResult]) -> list[Arm]:
    """The arms in the order of the plan: the policies, then those that they are compared with."""
    return arms_of(results, Arm)


def reference_of(config: ClrConfig, arms: Sequence[Arm]) -> Arm | None:
    """What the others are compared with: the first of `vs` of which a run has finished, else the first arm."""
    finished = {arm.name: arm for arm in arms if arm.runs}
    return next((finished[name] for name in (*config.vs, *config.policy) if name in finished), None)

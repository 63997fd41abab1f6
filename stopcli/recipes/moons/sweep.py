"""What the seeds of `stopcli moons` say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stopcli.recipes.recipe import Loaded
from stopcli.recipes.seed_results import sweep_results
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job

__all__ = ["check_fits", "sweep_results"]


def check_fits(loaded: Loaded, jobs: Sequence[Job[Any]], layout: Layout) -> None:
    """The runs share their rows, and little else is in memory."""

"""What the seeds of `stopcli moons` say together."""

from __future__ import annotations

from stopcli.recipes.recipe import Loaded
from stopcli.recipes.seed_results import sweep_results
from stopcli.sweeps.layout import Layout

__all__ = ["check_fits", "sweep_results"]


def check_fits(loaded: Loaded, layout: Layout) -> None:
    """The runs share their rows, and little else is in memory."""

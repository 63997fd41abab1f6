"""What the seeds of a training say together, and whether their batches fit."""

from __future__ import annotations

from stopcli.recipes.images.memory import check_fits
from stopcli.recipes.seed_results import sweep_results

__all__ = ["check_fits", "sweep_results"]

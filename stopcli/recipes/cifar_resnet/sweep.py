"""What the seeds of `stopcli cifar-resnet` say together, and whether their batches fit."""

from __future__ import annotations

from stopcli.recipes.arms import sweep_results
from stopcli.recipes.images.memory import check_fits

__all__ = ["check_fits", "sweep_results"]

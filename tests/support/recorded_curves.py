"""Runs of made-up validation curves: what stopping rules are chosen on, of seeds that differ as those of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from written_runs import write_run

Floats = NDArray[np.float64]
EPOCHS = 400


def valleys(runs: int, seed: int = 0) -> list[Floats]:
    """Losses that fall to a lowest value somewhere between epochs 80 and 200, and rise from there, with noise.

    Returns:
        One a run, shape [400].
    """
    draws, t = np.random.default_rng(seed), np.arange(1.0, EPOCHS + 1)

    def valley() -> Floats:
        lowest, noise = draws.uniform(80, 200), draws.uniform(0.001, 0.004)
        fall = 0.3 + 0.5 * np.exp(-t / draws.uniform(20, 40))
        rise = np.maximum(t - lowest, 0) * draws.uniform(5e-4, 2e-3)
        return np.asarray(fall + rise + draws.normal(0, noise, EPOCHS), np.float64)

    return [valley() for _ in range(runs)]


def walks(runs: int, seed: int = 0, epochs: int = 2000) -> list[Floats]:
    """Losses that walk at random, so that where they have been says nothing of where they go.

    Returns:
        One a run, shape [epochs], above 0.
    """
    draws = np.random.default_rng(seed)
    return [np.exp(np.cumsum(draws.normal(0, 0.02, epochs))) for _ in range(runs)]


def write_curves(folder: Path | str, curves: Sequence[Floats], first_seed: int = 0, **settings: Any) -> list[Path]:
    """A folder for each validation loss.

    Args:
        settings: of all of them.
    """
    paths = []
    for number, loss in enumerate(curves):
        t = np.arange(1.0, len(loss) + 1)
        columns = {"epoch": t, "step": t, "loss": np.exp(-t / 50), "val_loss": loss}
        seed = first_seed + number
        path = Path(folder) / f"seed-{seed}"
        paths.append(write_run(path, seed=seed, columns=columns, **{"epochs": len(loss), **settings}))
    return paths


def steps(lowest: int, depth: float, epochs: int = 100) -> Floats:
    """A loss of 1 that falls at once to 0.5 and rises, but for one epoch in which it is lower by a share of that.

    A patience of less than the wait for it selects the first epoch, and regrets that share.
    """
    loss = 0.5 + np.arange(epochs) / 1000
    loss[lowest - 1] = 0.5 / (1 + depth)
    return loss

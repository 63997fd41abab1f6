"""What is marked on a run's curves, from its summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stopcli.recipes.trained import TrainedConfig

if TYPE_CHECKING:
    from stopcli.report.figures import Marks


def run_marks(config: TrainedConfig, summary: Mapping[str, Any]) -> Marks:
    """The stop, the best epoch, the saved one, and the value that a rule compares with."""
    # Where tables alone are made, matplotlib need not be there.
    from stopcli.report.figures import Marks

    stop, best = summary["stop"], summary["best"]
    words = {
        "completed": "end of training",
        "non_finite": "a metric is no number",
        "interrupted": "interrupted",
        "time_budget": "paused",
    }
    return Marks(
        stop["epoch"],
        f"epoch {stop['epoch']}: {words.get(stop['reason'], 'stopped by ' + stop['reason'])}",
        stop["best_epoch"],
        f"epoch {stop['best_epoch']}: best {config.monitor}",
        best["epoch"] if best else 0,
        f"epoch {best['epoch']}: saved, best {config.checkpoint_monitor}" if best else "",
        wait=stop["wait"] if stop["reason"] in ("patience", "baseline") else 0,
        level=_level(config),
    )


def _level(config: TrainedConfig) -> tuple[str, float, str] | None:
    for name in ("threshold", "baseline"):
        value = getattr(config, name)
        if value is not None:
            return config.monitor, value, f"{name} {value:g} on {config.monitor}"
    return None


def watched_name(config: TrainedConfig) -> str:
    """What the `val_` metrics were measured on."""
    return "test" if config.validation == "test" else "validation"

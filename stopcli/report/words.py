"""A run's result in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def why_stopped(summary: Mapping[str, Any]) -> str:
    """A sentence or two: at which epoch training stopped and why, and which epoch the final model is of."""
    stop = summary["stop"]
    at = f"epoch {stop['epoch']} of {summary['max_epochs']}"
    best = _best_so_far(stop, summary["monitor"])
    since = stop["epoch"] - stop["wait"]
    sentences = {
        "completed": f"Ran all {summary['max_epochs']} epochs; no rule stopped it{best}.",
        "patience": f"Stopped at {at}: no improvement since epoch {since} ({stop['rule']}){best}.",
        "baseline": f"Stopped at {at}: {stop['wait']} epochs and the baseline was never beaten ({stop['rule']}){best}.",
        "threshold": f"Stopped at {at}: the threshold was reached ({stop['rule']}).",
        **{
            rule: f"Stopped at {at}: {asked} ({stop['rule']}){best}."
            for rule, asked in {
                "generalization_loss": "the validation loss lay too far above its lowest",
                "progress_quotient": "the validation loss rose faster than training went on",
                "strips_up": "the validation loss rose from strip to strip",
            }.items()
        },
        "non_finite": f"Broke off at {at}: {stop['rule']}. Every epoch until then is kept.",
        "time_budget": f"Paused after {at} ({stop['rule']}); everything is saved{best}.",
        "interrupted": f"Interrupted after {at} by {stop['rule']}; everything until then is saved{best}.",
    }
    told = sentences[stop["reason"]]
    if summary["final"]["epoch"] != summary["epochs"]:
        told += f" The final model is restored: that of epoch {summary['final']['epoch']}."
    return told


def _best_so_far(stop: Mapping[str, Any], monitor: str) -> str:
    if stop["best_value"] is None:
        return ""
    return f"; the best {monitor}, {stop['best_value']:.4f}, was at epoch {stop['best_epoch']}"

"""A run's result in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def why_stopped(summary: Mapping[str, Any]) -> str:
    """One sentence: at which epoch training stopped and why."""
    stop = summary["stop"]
    at = f"epoch {stop['epoch']} of {summary['max_epochs']}"
    best = _best_so_far(stop)
    sentences = {
        "completed": f"Ran all {summary['max_epochs']} epochs; no rule stopped it{best}.",
        "patience": f"Stopped at {at}: {stop['wait']} epochs without an improvement ({stop['rule']}){best}.",
        "baseline": f"Stopped at {at}: {stop['wait']} epochs and the baseline was never beaten ({stop['rule']}){best}.",
        "threshold": f"Stopped at {at}: the threshold was reached ({stop['rule']}).",
        "non_finite": f"Broke off at {at}: {stop['rule']}. Every epoch until then is kept.",
        "interrupted": f"Interrupted at {at} by {stop['rule']}; everything until then is saved{best}.",
    }
    return sentences[stop["reason"]]


def _best_so_far(stop: Mapping[str, Any]) -> str:
    if stop["best_value"] is None:
        return ""
    return f"; the best value, {stop['best_value']:.4f}, was at epoch {stop['best_epoch']}"

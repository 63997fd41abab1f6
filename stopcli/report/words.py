"""A run's result in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stopcli.counts import agreeing, counted
from stopcli.report.selection import selection_of, selection_words


def why_stopped(summary: Mapping[str, Any]) -> str:
    """A sentence or two: at which epoch training stopped and why, and which epoch the final model is of."""
    stop, epochs = summary["stop"], summary["max_epochs"]
    at = f"epoch {stop['epoch']} of {summary['max_epochs']}"
    best = _best_so_far(stop, summary["monitor"])
    since = stop["epoch"] - stop["wait"]
    waited = counted(stop["wait"], "epoch")
    sentences = {
        "completed": f"{agreeing(epochs, 'Ran its only epoch', f'Ran all {epochs} epochs')}; no rule stopped it{best}.",
        "patience": f"Stopped at {at}: no improvement since epoch {since} ({stop['rule']}){best}.",
        "baseline": f"Stopped at {at}: {waited} and the baseline was never beaten ({stop['rule']}){best}.",
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
    # Another version may have other rules.
    told = sentences.get(stop["reason"], f"Stopped at {at}: {stop['rule']}{best}.")
    if summary["final"]["epoch"] != summary["epochs"]:
        told += f" The final model is restored: that of epoch {summary['final']['epoch']}."
    return told


def words_of(summary: Mapping[str, Any]) -> list[str]:
    """What is said of a summary.json beside its table: of a run why it stopped, of any what follows, of a run what
    choosing on the test rows would have claimed."""
    conclusions = summary.get("conclusions", ())
    if "stop" not in summary:
        return list(conclusions)
    found = selection_of(summary)
    return [why_stopped(summary), *conclusions, *([selection_words(found, summary["rows"]["test"])] if found else [])]


def interval_words(summary: Mapping[str, Any]) -> str:
    """What the brackets behind a run's test accuracies are; empty where none was measured."""
    intervals = summary.get("test_interval") or {}
    measured = {words: intervals.get(which) for which, words in (("final", "final model"), ("best", "saved model"))}
    counts = [f"{of['right']:,} of {of['rows']:,} ({words})" for words, of in measured.items() if of]
    if not counts:
        return ""
    return (
        f"Test rows that were right: {', '.join(counts)}. In brackets the 95 % interval (Wilson) that so many rows "
        "leave; it speaks of other rows like these, not of other seeds."
    )


def _best_so_far(stop: Mapping[str, Any], monitor: str) -> str:
    if stop["best_value"] is None:
        return ""
    return f"; the best {monitor}, {stop['best_value']:.4f}, was at epoch {stop['best_epoch']}"

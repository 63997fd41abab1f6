"""What a run's refit came to, in words: how it was trained, whether it is better than the saved model, which to use."""

from __future__ import annotations

from stopcli.quantities import counted
from stopcli.report.model_difference import difference_on_test_rows
from stopcli.report.run_results import bounds_of
from stopcli.runs.headline import Headline
from stopcli.runs.summary import Refit, RunSummary

SAVED_FILE, REFIT_FILE = "checkpoints/best.keras", "checkpoints/refit.keras"
_STATES = {"paused": "was paused", "interrupted": "was interrupted", "failed": "failed"}


def refit_outcome(summary: RunSummary) -> str:
    """How a refit was trained, and what it came to, for the lines that say what came of a run; empty for none."""
    refit = summary.refit
    if refit is None:
        return ""
    text = f"{counted(refit.updates, 'update')} on {counted(refit.rows, 'row')}"
    if refit.state != "finished":
        return f"{text}: {_STATES.get(refit.state, refit.state)} ({refit.reason})"
    return f"{text}{_tested(summary, '; test ')}"


def refit_sentences(summary: RunSummary) -> list[str]:
    """What follows from a refit; none where there is none."""
    refit, best = summary.refit, summary.best
    if refit is None or best is None:
        return []
    if refit.state == "failed":
        return [f"The refit failed: {refit.reason}. {SAVED_FILE} has nothing to do with that."]
    if refit.state != "finished":
        return [f"The refit {_STATES[refit.state]} ({refit.reason}); resumed, it goes on where it was."]
    how = (
        f"Refit: a fresh model, trained on the rows that validate too ({counted(refit.rows, 'row')}) for "
        f"{counted(refit.updates, 'update')}, as many as the saved model of epoch {best.epoch} had"
    )
    measured = _tested(summary, ", has a test ")
    return [f"{how}{measured}.", _comparison(refit, summary.headline, is_tested=bool(measured))]


def _tested(summary: RunSummary, before: str) -> str:
    """Its value on the test rows with the interval; empty where none test."""
    headline, values = summary.headline, summary.model("refit")
    value = None if values is None else values.get("test", headline.name)
    if value is None:
        return ""
    bounds = bounds_of(summary, "test", "refit")
    interval = f" (95 % interval {' to '.join(headline.show(bound, value) for bound in bounds)})" if bounds else ""
    of = " of" if "has" in before else ""
    return f"{before}{headline.label}{of} {headline.show_with_unit(value)}{interval}"


def _comparison(refit: Refit, headline: Headline, *, is_tested: bool) -> str:
    """How it compares with the saved model, and which of the two files to use."""
    either = (
        f"either file will do: {REFIT_FILE} has been trained on more rows, the epoch of {SAVED_FILE} was chosen on "
        "rows that it had not been trained on. Several seeds (--seeds 20) tell more"
    )
    if not is_tested:
        return (
            f"No rows test, so nothing says which is better: {REFIT_FILE} has been trained on all rows, the epoch of "
            f"{SAVED_FILE} was chosen on rows that it had not been trained on."
        )
    if refit.difference is None:
        return f"It cannot be compared with the saved model row by row; {either}."
    difference, verdict = difference_on_test_rows(refit.difference, headline), refit.difference.verdict
    advice = {"better": f"use {REFIT_FILE}", "worse": f"use {SAVED_FILE}"}.get(verdict, either)
    return f"Refit less saved: {difference}, {verdict}: {advice}."

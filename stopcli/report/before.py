"""What the model that a run started from comes to on its test rows, in words, beside what the run came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stopcli.quantities import counted
from stopcli.report.model_difference import difference_on_test_rows
from stopcli.runs.headline import Headline
from stopcli.runs.run import run_argument
from stopcli.runs.summary import Before, RunSummary
from stopcli.runs.typed_json import to_json


def before_outcome(before: Before, headline: Headline) -> str:
    """Which model it is, and what it came to, for the lines that say what came of a run."""
    value, name = before.test.get(headline.name), run_argument(Path(before.run))
    if value is None:
        return f"{name}, whose model it started from"
    return f"{name}, whose model it started from; test {headline.label} {_measured(before, headline)}"


def _measured(before: Before, headline: Headline) -> str:
    value = before.test[headline.name]
    assert value is not None
    bounds = bounds_before(before)
    interval = f" (95 % interval {' to '.join(headline.show(bound, value) for bound in bounds)})" if bounds else ""
    return f"{headline.show_with_unit(value)}{interval}"


def bounds_before(before: Before) -> tuple[float, float] | None:
    """The 95 % interval of its metric that counts; None where there is none."""
    interval = to_json(before.test_interval)
    if not isinstance(interval, Mapping):
        return None
    low, high = interval.get("low"), interval.get("high")
    return (low, high) if isinstance(low, float) and isinstance(high, float) else None


def before_sentences(summary: RunSummary) -> list[str]:
    """How a run's models differ from the one that it started from; none where it started from drawn weights, or ended
    before its models were measured."""
    before = summary.before
    if before is None or summary.final.test is None:
        return []
    differences: dict[str, Any] = {"Final model": before.final}
    if summary.best is not None:
        of_best = {"Saved model": before.best}
        # Of the same epoch they are the same model.
        differences = of_best if summary.best.epoch == summary.final.epoch else of_best | differences
    sentences = [
        f"{name} less the one before: {difference_on_test_rows(difference, summary.headline)}: {difference.verdict}."
        for name, difference in differences.items()
        if difference is not None
    ]
    if sentences:
        return sentences
    return ["The models before and after cannot be compared row by row: too few rows test, or the metric has no rows."]


def sentence_of_seeds(summaries: Sequence[RunSummary]) -> str:
    """How the models of several runs compare with the one that all of them started from; empty where there is none."""
    compared = [(summary.before, summary.headline) for summary in summaries if summary.before is not None]
    if not compared:
        return ""
    before, headline = compared[0]
    if before.test.get(headline.name) is None:
        return ""
    verdicts = Counter(difference.verdict for one, _ in compared if (difference := one.best or one.final) is not None)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    by_row = f"; row by row, of {counted(len(compared), 'run')}: {counts}" if counts else ""
    return (
        f"Before, the model of {run_argument(Path(before.run))} that they started from has a test {headline.label} of "
        f"{_measured(before, headline)} on the same rows{by_row}."
    )

"""What a network on a table comes to beside simpler answers: sentences and a table, from a run's summary."""

from __future__ import annotations

import math

from stopcli.quantities import counted
from stopcli.report.document import Table
from stopcli.report.run_results import bounds_of
from stopcli.runs.headline import Headline
from stopcli.runs.summary import BaselineValues, ModelDifference, ModelName, ModelValues, RunSummary
from stopcli.stats.differences import NONE

TITLE = "Beside simpler answers"
# What a network that is worse than a baseline, or no better, is good for.
_IF_WORSE = {True: ": use the linear model", False: ": it predicts nothing that the training targets alone do not say"}
_IF_SAME = {True: "", False: ": nothing shows that the columns help it to predict"}


def baseline_sentences(summary: RunSummary) -> list[str]:
    """Whether the model that a run leaves is better than a linear model on the same test rows, and whether than a
    constant; none where nothing stands beside it."""
    order = sorted(summary.baselines, key=lambda baseline: not baseline.is_linear)
    sentences = [sentence for baseline in order if (sentence := _sentence(summary, baseline))]
    subject = f"On the {counted(summary.test_rows, 'test row')} the {_model_of(summary)[1]} is "
    for i, sentence in enumerate(sentences[1:], start=1):
        if sentences[i - 1].startswith(subject) and sentence.startswith(subject):
            sentences[i] = f"It is {sentence.removeprefix(subject)}"
    return [" ".join(sentences)] if sentences else []


def _model_of(summary: RunSummary) -> tuple[ModelValues, str]:
    """The model that a run leaves, and what it is called."""
    return (summary.final, "final model") if summary.best is None else (summary.best, "saved model")


def _sentence(summary: RunSummary, baseline: BaselineValues) -> str:
    model, name = _model_of(summary)
    headline = summary.headline
    value, other = model.get("test", headline.name), baseline.test.get(headline.name)
    difference = baseline.final if summary.best is None else baseline.best
    if value is None or other is None or not math.isfinite(value):
        return ""
    against = _with_article(baseline)
    shown = headline.show(value), f"{headline.show(other, value)} {headline.unit}".rstrip()
    values = f"test {headline.label} {shown[0]} against {shown[1]}"
    tested = counted(summary.test_rows, "test row")
    if difference is None:
        return (
            f"Whether the {name} is better than {against} ({values}) cannot be told on {tested}: they are too few, or "
            "the metric has no value for each."
        )
    rows = f"On the {tested} the {name}"
    values += f", difference {_with_bounds(difference, headline, value)}"
    if difference.verdict == "not distinguishable":
        return f"{rows} is not distinguishable from {against} ({values}){_IF_SAME[baseline.is_linear]}."
    ending = _IF_WORSE[baseline.is_linear] if difference.verdict == "worse" else ""
    return f"{rows} is {difference.verdict} than {against} ({values}){ending}."


def _with_article(baseline: BaselineValues) -> str:
    """As a sentence has it: `ridge regression`, `the mean of the training targets`."""
    if baseline.is_linear:
        return baseline.name
    return f"the {baseline.name}" + ("" if "class" in baseline.name else " of the training targets")


def _with_bounds(difference: ModelDifference, headline: Headline, like: float) -> str:
    """A difference with its interval, `−0.49 [−2.10, +1.11]`, with as many decimals as one of its values has."""
    mean, low, high = (_change(value, headline, like) for value in (difference.mean, difference.low, difference.high))
    return f"{mean} [{low}, {high}]"


def _change(difference: float, headline: Headline, like: float) -> str:
    shown = headline.show(abs(difference), like)
    if not difference:
        return shown
    if not any(digit in "123456789" for digit in shown):
        # Rounded to nothing, which it is not.
        return headline.show_difference(difference)
    return f"{'−' if difference < 0 else '+'}{shown}"


def baselines_table(summary: RunSummary) -> Table:
    """A row for each of the run's models and each simpler answer, with how the models differ from it."""
    headline, best = summary.headline, summary.best
    first = best or summary.final
    name: ModelName = "final" if best is None else "saved"
    models: list[tuple[ModelName, str]] = [(name, f"{name} model, epoch {first.epoch}")]
    models += [] if best is None else [("final", f"final model, epoch {summary.final.epoch}")]
    like = first.get("test", headline.name)
    columns = ["answer", f"test {headline.axis}", "difference", f"{name} model is"]
    columns += [] if best is None else ["final model's difference", "final model is"]
    rows: list[tuple[str, ...]] = []
    exact: list[tuple[str, ...]] = []
    width = len(columns)
    for of, label in models:
        model = summary.model(of)
        value = None if model is None else model.get("test", headline.name)
        bounds = bounds_of(summary, "test", of)
        rows.append((label, _value_cell(value, bounds, headline, like), *[NONE] * (width - 2)))
        exact.append((label, "" if value is None else str(value), *[""] * (width - 2)))
    for baseline in summary.baselines:
        value = baseline.test.get(headline.name)
        bounds = None if baseline.low is None or baseline.high is None else (baseline.low, baseline.high)
        differences = [baseline.final] if best is None else [baseline.best, baseline.final]
        cells = [cell for difference in differences for cell in _difference_cells(difference, headline, like)]
        rows.append((baseline.name, _value_cell(value, bounds, headline, like), *cells))
        numbers = [
            cell
            for difference in differences
            for cell in (("", "") if difference is None else (str(difference.mean), difference.verdict))
        ]
        exact.append((baseline.name, "" if value is None else str(value), *numbers))
    return Table(TITLE, tuple(columns), tuple(rows), exact=tuple(exact))


def baseline_notes(summary: RunSummary) -> list[str]:
    """How the table is to be read, and how its answers were fitted."""
    if not summary.baselines:
        return []
    model = _model_of(summary)[1]
    fitted = [f" {baseline.name.capitalize()}: {baseline.fitted}." for baseline in summary.baselines if baseline.fitted]
    return [
        f"{TITLE}, a difference is the {model}'s value less theirs, on the same rows, with its 95 % interval."
        + "".join(fitted)
    ]


def _value_cell(value: float | None, bounds: tuple[float, float] | None, headline: Headline, like: float | None) -> str:
    if value is None:
        return NONE
    like = value if like is None else like
    text = headline.show(value, like)
    return text if bounds is None else f"{text} [{headline.show(bounds[0], like)}, {headline.show(bounds[1], like)}]"


def _difference_cells(difference: ModelDifference | None, headline: Headline, like: float | None) -> tuple[str, str]:
    if difference is None or like is None:
        return NONE, NONE
    return _with_bounds(difference, headline, like), difference.verdict

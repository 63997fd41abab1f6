"""What runs came to, as the columns and the cells of a table: epochs, and the metric that counts with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from stopcli.report.before import bounds_before
from stopcli.report.document import Table
from stopcli.runs.headline import ACCURACY, ROWS_IN_WORDS, Headline, Rows
from stopcli.runs.summary import ModelName, RunSummary
from stopcli.runs.typed_json import to_json
from stopcli.stats.differences import NONE
from stopcli.stats.intervals import Proportion, proportion_of

Bounds = tuple[float, float]
_STOPPED = "stopped at"
# Above the column of how many updates the refit had.
UPDATES = "refit updates"
# Beside the intervals in a summary's test_interval: why there is none.
MISSING = "missing"


@dataclass(frozen=True)
class ResultColumn:
    """A column of a table of runs: an epoch, or the metric that counts of one of their models.

    Attributes:
        name: above the column.
        model: whose value it is; of an epoch, the one that the model is of.
        headline: the metric; None for an epoch.
        rows: that it was measured on.
    """

    name: str
    model: ModelName = "final"
    headline: Headline | None = None
    rows: Rows = "test"

    @property
    def key(self) -> str:
        """Its name in CSV: `stopped_at`, `val_rmse`, `saved_val_rmse`."""
        if self.headline is None:
            return self.name.replace(" ", "_")
        return f"{'' if self.model == 'final' else f'{self.model}_'}{self.rows}_{self.headline.name}"

    def value(self, summary: RunSummary) -> float | None:
        """None where it was not measured."""
        model = summary.model(self.model)
        if self.name == _STOPPED:
            return summary.epochs
        if self.name == UPDATES:
            return summary.refit.updates if summary.refit else None
        if model is None or self.headline is None:
            return None if model is None else model.epoch
        return model.get(self.rows, self.headline.name)

    def cell(self, value: float | None, bounds: Bounds | None = None, like: float | None = None) -> str:
        """A value as text.

        Args:
            bounds: of its 95 % interval.
            like: a value of the metric that it has as many decimals as.
        """
        if value is None:
            return NONE
        if self.headline is None:
            return f"{value:g}" if value == int(value) else f"{value:.1f}"
        show = partial(self.headline.show, like=value if like is None else like)
        return show(value) + (f" [{show(bounds[0])}, {show(bounds[1])}]" if bounds else "")

    def cell_of(self, summary: RunSummary) -> str:
        """A run's value, with its interval where it has one."""
        bounds = None if self.headline is None else bounds_of(summary, self.rows, self.model)
        return self.cell(self.value(summary), bounds)


def result_columns(runs: Sequence[RunSummary], headline: Headline = ACCURACY) -> tuple[ResultColumn, ...]:
    """What a table shows of runs: of models that stopcli measured all columns, of others those with a value.

    Args:
        headline: the metric that counts in all of them.
    """
    rows = shown_rows(runs, headline)
    known = all(run.trained_here for run in runs)
    unit = f" ({headline.unit})" if headline.unit else ""
    columns = [ResultColumn(_STOPPED), ResultColumn("final epoch" if known else "last epoch")]
    first: tuple[Rows, ...] = ("train",) if rows == "train" else ("train", rows)
    columns += [ResultColumn(f"{ROWS_IN_WORDS[part]} {headline.axis}", "final", headline, part) for part in first]
    columns.append(ResultColumn("saved epoch" if known else "best epoch", "saved"))
    short = {**ROWS_IN_WORDS, "val": "val."}
    columns += [ResultColumn(f"its {short[part]} {headline.short}{unit}", "saved", headline, part) for part in first]
    if any(run.refit for run in runs):
        columns.append(ResultColumn(UPDATES, "refit"))
        # Its rows that validated are rows that it was trained on.
        columns += [
            ResultColumn(f"refit {short[part]} {headline.short}{unit}", "refit", headline, part)
            for part in first
            if part == "test"
        ]
    if known:
        return tuple(columns)
    # Of such a run the last epoch is where it stopped.
    return tuple(
        column
        for column in columns
        if column.name != "last epoch" and any(column.value(run) is not None for run in runs)
    )


def shown_rows(runs: Sequence[RunSummary], headline: Headline) -> Rows:
    """The rows whose values say what runs came to: the test rows, else those that validate, else those that train; the
    first of these that any of the runs has a value on."""
    values = [value.rows for run in runs for model in run.models if (value := model.best_known(headline))]
    candidates: tuple[Rows, ...] = ("test", "val", "train")
    return next((rows for rows in candidates if rows in values), "test")


def bounds_of(summary: RunSummary, rows: Rows, name: ModelName) -> Bounds | None:
    """The 95 % interval of a model's value: as it was measured, else Wilson's of a proportion; None where there is
    none."""
    model = summary.model(name)
    if model is None or rows != "test" or model.get("test", summary.headline.name) is None:
        return None
    measured = measured_interval(summary, name)
    low, high = measured.get("low"), measured.get("high")
    if isinstance(low, float) and isinstance(high, float):
        return low, high
    counted_on = counted_right(summary, name)
    return None if counted_on is None else (counted_on.low, counted_on.high)


def measured_interval(summary: RunSummary, name: ModelName) -> Mapping[str, Any]:
    """What a summary holds of the interval of a model's value on the test rows; empty where it holds none."""
    measured = to_json(summary.test_interval.get("best" if name == "saved" else name))
    return measured if isinstance(measured, dict) else {}


def counted_right(summary: RunSummary, name: ModelName) -> Proportion | None:
    """How many test rows a model is right on, with Wilson's interval; None where they are not counted like that."""
    model = summary.model(name)
    if model is None or "method" in measured_interval(summary, name) or MISSING in summary.test_interval:
        return None
    return proportion_of(model.get("test", summary.headline.name), summary.test_rows, summary.headline)


def run_table(summary: RunSummary, arm: str) -> Table:
    """A run in a row: the model that training ended with, and the saved one, as loaded from its file; above it, where
    it started from another run's model, what that came to."""
    columns = result_columns([summary], summary.headline)
    rows = [(arm, *(column.cell_of(summary) for column in columns))]
    if summary.before is not None:
        tested = next((column for column in columns if column.headline and column.rows == "test"), None)
        value, bounds = summary.before.test.get(summary.headline.name), bounds_before(summary.before)
        rows.insert(0, ("before", *(column.cell(value, bounds) if column is tested else NONE for column in columns)))
    return Table("Results", ("arm", *(column.name for column in columns)), tuple(rows))

"""Tables of results as plain rows of text, which the terminal, Markdown and CSV show each in its own way."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stopcli.evidence.interval import FEWEST, mean_interval
from stopcli.evidence.proportion import proportion_of
from stopcli.report.inline import markdown_cell


@dataclass(frozen=True)
class Table:
    """A title, the columns' names, and rows of text.

    Attributes:
        sums: how many of the last rows sum the others up, such as their mean; they stay below where rows are sorted.
        exact: the rows with all digits, for CSV; empty where that makes no difference.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sums: int = 0
    exact: tuple[tuple[str, ...], ...] = ()

    @property
    def body(self) -> tuple[tuple[str, ...], ...]:
        """The rows that sum nothing up."""
        return self.rows[: len(self.rows) - self.sums]

    @property
    def foot(self) -> tuple[tuple[str, ...], ...]:
        """The rows that sum the others up."""
        return self.rows[len(self.rows) - self.sums :]

    @classmethod
    def of_shares(
        cls, title: str, columns: tuple[str, ...], rows: Sequence[Sequence[str | int | float]], sums: int = 0
    ) -> Table:
        """A table of names, counts and shares. Shares (float) are shown to three digits, and whole in CSV."""
        shown = tuple(tuple(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row) for row in rows)
        return cls(title, columns, shown, sums, tuple(tuple(map(str, row)) for row in rows))

    @classmethod
    def of_summary(cls, summary: Mapping[str, Any]) -> Table:
        """The results of a sweep or of a range test, as its summary.json holds them (`for_summary`)."""
        return cls.from_told({"title": "Results", **summary["table"]})

    @classmethod
    def from_told(cls, told: Mapping[str, Any]) -> Table:
        """The table that a summary.json holds (`for_summary`)."""
        rows = tuple(tuple(row) for row in told["rows"])
        return cls(told["title"], tuple(told["columns"]), rows, told.get("sums", 0))

    def for_summary(self) -> dict[str, Any]:
        """What a summary.json holds of it."""
        rows = [list(row) for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": rows, "sums": self.sums}

    def markdown(self) -> str:
        lines = [_markdown_row(self.columns), "|" + "---|" * len(self.columns), *map(_markdown_row, self.rows)]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([self.columns, *(self.exact or self.rows)])
        return out.getvalue()


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_cell(cell) for cell in cells) + " |"


def csv_of(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows with the same names as a CSV; None is an empty cell."""
    cells = tuple(tuple("" if value is None else str(value) for value in row.values()) for row in rows)
    return Table("", tuple(rows[0]), cells).csv()


COLUMNS = (
    "stopped at",
    "final epoch",
    "train accuracy",
    "test accuracy",
    "saved epoch",
    "its train acc.",
    "its test acc.",
)
_EPOCHS = ("stopped at", "final epoch", "saved epoch")
_TEST = ("test accuracy", "its test acc.")


def model_values(summary: Mapping[str, Any]) -> dict[str, float]:
    """What a table says of a run, by column, without what is not known or does not exist."""
    final, best = summary["final"], summary["best"]
    values = {
        "stopped at": summary["epochs"],
        "final epoch": final["epoch"],
        "train accuracy": final["train"].get("accuracy"),
        "test accuracy": final["test"].get("accuracy"),
    }
    if best is not None:
        values["saved epoch"] = best["epoch"]
        # A run that was left before its end may not have measured its models.
        values["its train acc."] = best.get("train", {}).get("accuracy")
        values["its test acc."] = best.get("test", {}).get("accuracy")
    return {name: value for name, value in values.items() if value is not None}


def run_table(summary: Mapping[str, Any], arm: str) -> Table:
    """A run in a row: the model that training ended with, and the best one as loaded from its file.

    Behind the test accuracies stand their binomial 95 % intervals.
    """
    cells = _cells(model_values(summary), summary["rows"]["test"])
    return Table("Results", ("arm", *COLUMNS), ((arm, *cells),))


def results_table(summary: Mapping[str, Any]) -> Table:
    """The results of whatever left a summary.json: the table that it holds, or that of a run, named by its arm."""
    if "table" in summary:
        return Table.of_summary(summary)
    return run_table(summary, str(summary.get("arm", summary["command"])).replace("-", " "))


def seed_table(summaries: Sequence[Mapping[str, Any]], arm: str) -> Table:
    """A row for each seed, then mean, standard deviation and, from three on, the mean's bootstrap 95 % interval over
    those that finished."""
    rows = [(arm, str(summary["seed"]), summary["state"], *_cells(model_values(summary))) for summary in summaries]
    values = seed_values([summary for summary in summaries if summary["state"] == "finished"])
    if len(values["stopped at"]) > 1:
        n = f"n = {len(values['stopped at'])}"
        rows.append((arm, "mean", n, *_cells({name: statistics.fmean(v) for name, v in values.items() if v})))
        rows.append((arm, "sd", n, *_cells({name: statistics.stdev(v) for name, v in values.items() if len(v) > 1})))
    if len(values["stopped at"]) >= FEWEST:
        rows.append((arm, "95 %", n, *_interval_cells(values)))
    return Table("Results", ("arm", "seed", "state", *COLUMNS), tuple(rows), sums=len(rows) - len(summaries))


def seed_csv(summaries: Sequence[Mapping[str, Any]]) -> str:
    """A row for each seed in full precision, for those who go on elsewhere; means are theirs to make."""
    rows = []
    for summary in summaries:
        values = model_values(summary)
        cells = [repr(values[column]) if column in values else "" for column in COLUMNS]
        rows.append((str(summary["seed"]), summary["state"], summary["stop"]["reason"], *cells))
    names = [column.replace("its ", "saved ").replace("acc.", "accuracy").replace(" ", "_") for column in COLUMNS]
    return Table("Results", ("seed", "state", "reason", *names), tuple(rows)).csv()


def seed_values(summaries: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """The columns' values over seeds. Seeds that saved no best model are missing from the saved epoch's values."""
    values = [model_values(summary) for summary in summaries]
    return {column: [v[column] for v in values if column in v] for column in COLUMNS}


def _cells(values: Mapping[str, float], test_rows: int = 0) -> list[str]:
    """The columns' values as text.

    Args:
        test_rows: that the test accuracies were measured on, for their intervals; 0 for none of them.
    """
    return [_cell(column, values[column], test_rows) if column in values else "–" for column in COLUMNS]


def _cell(column: str, value: float, test_rows: int = 0) -> str:
    if column in _EPOCHS:
        return f"{value:g}" if value == int(value) else f"{value:.1f}"
    interval = proportion_of(value, test_rows) if column in _TEST else None
    return f"{value:.3f}" + (f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else "")


def _interval_cells(values: Mapping[str, Sequence[float]]) -> list[str]:
    cells = []
    for column in COLUMNS:
        found = mean_interval(values[column]) if values[column] else None
        bounds = None if found is None or found.low is None or found.high is None else (found.low, found.high)
        cells.append(" to ".join(_cell(column, bound) for bound in bounds) if bounds else "–")
    return cells

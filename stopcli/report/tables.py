"""Tables of results as plain rows of text, which the terminal, Markdown and CSV show each in its own way."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """A title, the columns' names, and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        lines = ["| " + " | ".join(self.columns) + " |", "|" + "---|" * len(self.columns)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in self.rows]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([self.columns, *self.rows])
        return out.getvalue()


COLUMNS = (
    "stopped at",
    "train accuracy",
    "test accuracy",
    "best epoch",
    "train accuracy of best",
    "test accuracy of best",
)  # fmt: skip


def model_values(summary: Mapping[str, Any]) -> dict[str, float]:
    """What a table says of a run, by column. The best epoch's values are missing where no model was saved."""
    final, best = summary["final"], summary["best"]
    values = {
        "stopped at": summary["epochs"],
        "train accuracy": final["train"]["accuracy"],
        "test accuracy": final["test"]["accuracy"],
    }
    if best is not None:
        values["best epoch"] = best["epoch"]
        values["train accuracy of best"] = best["train"]["accuracy"]
        values["test accuracy of best"] = best["test"]["accuracy"]
    return values


def run_table(summary: Mapping[str, Any], arm: str) -> Table:
    """A run in a row: the model that training ended with, and the best one as loaded from its file."""
    return Table("Results", ("arm", *COLUMNS), ((arm, *_cells(model_values(summary))),))


def seed_table(summaries: Sequence[Mapping[str, Any]], arm: str) -> Table:
    """A row for each seed, then mean and standard deviation over them."""
    rows = [(arm, str(summary["seed"]), *_cells(model_values(summary))) for summary in summaries]
    if len(summaries) > 1:
        values = seed_values(summaries)
        rows.append((arm, "mean", *_cells({name: statistics.fmean(v) for name, v in values.items() if v})))
        rows.append((arm, "sd", *_cells({name: statistics.stdev(v) for name, v in values.items() if len(v) > 1})))
    return Table("Results", ("arm", "seed", *COLUMNS), tuple(rows))


def seed_values(summaries: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """The columns' values over seeds. Seeds that saved no best model are missing from the best's values."""
    values = [model_values(summary) for summary in summaries]
    return {column: [v[column] for v in values if column in v] for column in COLUMNS}


def _cells(values: Mapping[str, float]) -> list[str]:
    cells = []
    for column in COLUMNS:
        if column not in values:
            cells.append("–")
        elif column in ("stopped at", "best epoch"):
            cells.append(f"{values[column]:g}" if values[column] == int(values[column]) else f"{values[column]:.1f}")
        else:
            cells.append(f"{values[column]:.3f}")
    return cells

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


COLUMNS = ("model", "epoch", "train accuracy", "test accuracy", "train loss", "test loss")


def run_table(summary: Mapping[str, Any], arm: str) -> Table:
    """A run's models: the one training ended with, and the best one that was saved."""
    final, best = summary["final"], summary["best"]
    rows = [_model_row(f"{arm}: {_final_words(summary)}", final)]
    if best is not None:
        rows.append(_model_row(f"{arm}: best by {best['monitor']}, loaded from its file", best))
    return Table("Results", COLUMNS, tuple(rows))


def _final_words(summary: Mapping[str, Any]) -> str:
    if summary["final"]["epoch"] != summary["epochs"]:
        return f"restored from the best epoch (stopped at {summary['epochs']})"
    words = {"completed": "all epochs", "interrupted": "interrupted", "non_finite": "broken off"}
    return words.get(summary["stop"]["reason"], "stopped")


def _model_row(name: str, model: Mapping[str, Any]) -> tuple[str, ...]:
    train, test = model["train"], model["test"]
    return (
        name,
        str(model["epoch"]),
        f"{train['accuracy']:.3f}",
        f"{test['accuracy']:.3f}",
        f"{train['loss']:.4f}",
        f"{test['loss']:.4f}",
    )


SEED_COLUMNS = ("seed", "stopped at", "reason", "train accuracy", "test accuracy", "best epoch", "test accuracy of best")


def seed_table(summaries: Sequence[Mapping[str, Any]], arm: str) -> Table:
    """A row for each seed, then mean and standard deviation over them."""
    rows = []
    for summary in summaries:
        final, best = summary["final"], summary["best"]
        rows.append(
            (
                str(summary["seed"]),
                str(summary["epochs"]),
                summary["stop"]["reason"],
                f"{final['train']['accuracy']:.3f}",
                f"{final['test']['accuracy']:.3f}",
                str(best["epoch"]) if best else "–",
                f"{best['test']['accuracy']:.3f}" if best else "–",
            )
        )
    return Table(f"{arm}, {len(rows)} seeds", SEED_COLUMNS, (*rows, *_seed_means(summaries)))


def seed_values(summaries: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """What is averaged over seeds, by name. Seeds that kept no best model are left out of the best's values."""
    with_best = [summary for summary in summaries if summary["best"]]
    return {
        "stopped at": [s["epochs"] for s in summaries],
        "train accuracy": [s["final"]["train"]["accuracy"] for s in summaries],
        "test accuracy": [s["final"]["test"]["accuracy"] for s in summaries],
        "best epoch": [s["best"]["epoch"] for s in with_best],
        "test accuracy of best": [s["best"]["test"]["accuracy"] for s in with_best],
    }


def _seed_means(summaries: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    values = seed_values(summaries)

    def row(label: str, figure: Any) -> tuple[str, ...]:
        cells = []
        for column in SEED_COLUMNS[1:]:
            numbers = values.get(column, [])
            form = "{:.1f}" if column in ("stopped at", "best epoch") else "{:.3f}"
            cells.append(form.format(figure(numbers)) if len(numbers) > 1 else "")
        return (label, *cells)

    return [row("mean", statistics.fmean), row("sd", statistics.stdev)] if len(summaries) > 1 else []

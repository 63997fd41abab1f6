"""`stopcli predict`: what the model of a table's run predicts for the rows of another table."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stopcli.cli.console import Output, print_result
from stopcli.cli.options import CodePath, Quiet, RunsDir, Verbose, complete_runs, in_panel
from stopcli.cli.streams import failure_of_stdout
from stopcli.data.table_endings import is_table_file
from stopcli.errors import RequestError
from stopcli.paths import parse_path
from stopcli.quantities import agreeing, counted
from stopcli.report.document import Table
from stopcli.runs.files import dump_json
from stopcli.runs.folder import runs_root
from stopcli.runs.run import resolve_run

if TYPE_CHECKING:
    import pandas

    from stopcli.runner.predict import Measurement, RowsToPredict
    from stopcli.runner.prediction_file import Write
    from stopcli.runner.table_model import TableModel

# Rows that a terminal is shown.
_SHOWN = 10
_rows = in_panel("Which rows")

TableRun = Annotated[
    Path,
    typer.Argument(
        help="A run of `stopcli fit TABLE --target COLUMN`: its folder, its name or the beginning of it, or `last`.",
        metavar="RUN",
        parser=parse_path,
        autocompletion=complete_runs,
    ),
]
TablePath = Annotated[
    Path,
    typer.Argument(
        help="A table with the columns that the model takes: .csv, .tsv, .parquet or .npz. It may lack the target.",
        metavar="TABLE",
        parser=parse_path,
    ),
]
To = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        parser=parse_path,
        help="Write the predictions to a new file, .csv or .parquet. Without it they go to stdout as CSV; a terminal "
        "is shown the first 10.",
    ),
]
PartOption = Annotated[
    Literal["all", "train", "validation", "test", "new"],
    _rows(
        "--part",
        help="Only rows that trained, validated or tested the model; or those that are new to it and to the runs that "
        "it started from. Rows are known by their values, also in another order or file.",
    ),
]
ModelOption = Annotated[
    Literal["best", "final", "refit"] | None,
    typer.Option(
        "--model",
        help="Which of the run's models predicts: that of the best epoch, the final one, or that of --refit.",
        show_default="best, else final",
    ),
]
PredictionJson = Annotated[
    bool,
    typer.Option(
        "--json", help="Print only counts, metric and file as JSON on stdout; the predictions are those of --to."
    ),
]


def predict(
    run: TableRun,
    table: TablePath,
    to: To = None,
    part: PartOption = "all",
    model: ModelOption = None,
    code: CodePath = None,
    runs_dir: RunsDir = None,
    json: PredictionJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Predict the rows of a table by the model of a run, and measure it where the table has the target.

    The table may have further columns, and need not have the target.
    """
    from stopcli.cli.live import RunView
    from stopcli.runner.predict import predict as predict_rows
    from stopcli.runner.predict import read_rows
    from stopcli.runner.prediction_file import check_prediction_file
    from stopcli.runner.table_model import open_table_model
    from stopcli.training.tf_setup import start_tensorflow

    output = Output(json, quiet, verbose)
    if is_table_file(run) and not is_table_file(table):
        hint = f"stopcli predict {quote(str(table))} {quote(str(run))}"
        raise RequestError(f"received the table {run} first, expected a run, then a table", hint=hint)
    if to is not None:
        check_prediction_file(to)
    table_model = open_table_model(resolve_run(run, runs_root(runs_dir)), code, model)
    with RunView(output, "predict") as view:
        rows = read_rows(table_model, table, part, view)
    _say_notes(table_model, rows, output)
    destination = _Destination(output, to, rows.count)
    with RunView(output, "predict") as view:
        view.stage("starting TensorFlow")
        start_tensorflow()
        view.stage(f"loading {table_model.file.name}")
        loaded = table_model.load()
        with destination.open() as write:
            measured = predict_rows(table_model, loaded, rows, write, view)
    destination.show()
    _show_result(table_model, rows, measured, part, to, output)


class _Destination:
    """Where predictions go: to a new file, to stdout as CSV, a terminal the first of them, or with --json nowhere."""

    def __init__(self, output: Output, to: Path | None, rows: int) -> None:
        self._output, self._to, self._rows = output, to, rows
        self._first: pandas.DataFrame | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Write]:
        """What receives the predictions in the block, chunk by chunk."""
        from stopcli.runner.prediction_file import csv_writer, prediction_file

        if self._to is not None:
            with prediction_file(self._to) as write:
                yield write
        elif self._output.json:
            yield lambda chunk: None
        elif sys.stdout.isatty():
            yield self._keep
        else:
            yield _until_closed(csv_writer(sys.stdout.write))

    def _keep(self, chunk: pandas.DataFrame) -> None:
        if self._first is None:
            self._first = chunk.head(_SHOWN)

    def show(self) -> None:
        """Show a terminal the first predictions."""
        if self._first is None:
            return
        cells = [tuple(map(_cell, row)) for row in self._first.itertuples(index=False)]
        self._output.result(Table("Predictions", tuple(map(str, self._first.columns)), tuple(cells)), ())
        if self._rows > len(cells):
            self._output.say(f"The first {len(cells)} of {counted(self._rows, 'row')}; --to FILE writes all.")


def _until_closed(write: Write) -> Write:
    def append(chunk: pandas.DataFrame) -> None:
        write(chunk)
        if failure_of_stdout():
            # Nobody reads the rest, such as behind `| head`. Why is said where the program ends.
            raise typer.Exit(1)

    return append


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def _say_notes(model: TableModel, rows: RowsToPredict, output: Output) -> None:
    for note in (*model.notes, *rows.notes):
        output.warn(note)
    for name, (count, first) in rows.unknown.items():
        verb = agreeing(count, "has a word", "have words")
        output.warn(
            f"{counted(count, 'row')} {verb} of {name} that training has not seen, taken as a missing one; the first "
            f"is {first}"
        )
    if rows.unused:
        output.detail(f"Columns that the model does not take: {', '.join(rows.unused)}.")


def _show_result(
    model: TableModel, rows: RowsToPredict, measured: Measurement, part: str, to: Path | None, output: Output
) -> None:
    if output.json:
        print(dump_json(_document(model, rows, measured, part, to)))
        return
    # A pipe has only the predictions.
    say: Callable[[str], None] = print_result if to is not None else output.say
    epoch = f", epoch {model.epoch}" if model.epoch else ""
    where = f" → {to}" if to is not None else ""
    of = "" if part == "all" else f" of the part {part}"
    say(f"{counted(rows.count, 'row')}{of} predicted by {model.file.name}{epoch}{where}")
    if measured.value is not None:
        headline = model.headline
        missing = rows.count - measured.rows
        but = (
            f"; {counted(missing, 'row')} {agreeing(missing, 'has', 'have')} no {model.record.target}"
            if missing
            else ""
        )
        say(f"{headline.label} {headline.show_with_unit(measured.value)} on {counted(measured.rows, 'row')}{but}")
        if rows.trained and part != "train":
            output.warn(
                f"{rows.trained:,} of these rows trained the model or one that it started from, so it does better on "
                "them than on others; --part test or --part new measures it on others"
            )


def _document(
    model: TableModel, rows: RowsToPredict, measured: Measurement, part: str, to: Path | None
) -> dict[str, Any]:
    """What --json prints."""
    return {
        "run": str(model.run),
        "model": str(model.file),
        "epoch": model.epoch or None,
        "trained": rows.trained,
        "table": str(rows.table.path),
        "part": part,
        "rows": rows.count,
        "known": dict(rows.known),
        "metric": {"name": model.headline.name, "value": measured.value, "rows": measured.rows},
        "unknown_words": {name: {"rows": count, "first": first} for name, (count, first) in rows.unknown.items()},
        "notes": [*model.notes, *rows.notes],
        "file": None if to is None else str(to),
    }

"""The report of a run, a sweep or a range test from its folder alone: when it ends, and whenever it is asked for again.

Needs no TensorFlow, and matplotlib only for the curves of a run that has not summed itself up.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.errors import RunFolderError
from stopcli.recipes.unfinished import curves_so_far, unfinished_report
from stopcli.report.alt_texts import alt_text
from stopcli.report.document import Document, Picture, Warn
from stopcli.report.html import to_html
from stopcli.report.results import Made, range_report, run_report, sweep_report
from stopcli.report.tables import Table, results_table
from stopcli.report.writing import write_report
from stopcli.runs.files import read_json, write_text
from stopcli.runs.folder import check_is_run
from stopcli.runs.listing import RunLine, read_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADER = "# Runs again with"


def for_report(
    title: str, words: Sequence[str], tables: Sequence[Table], pictures: Sequence[Picture]
) -> dict[str, Any]:
    """What a summary.json holds for the report alone.

    Args:
        words: what was run, a line each.
        tables: beside that of the results.
    """
    return {
        "title": title,
        "words": list(words),
        "tables": [table.for_summary() for table in tables],
        "figures": [picture.name for picture in pictures],
    }


def leave_report(folder: Path) -> None:
    """Write the report of what has just been summed up, while its process still holds the folder."""
    write_report(folder, _summed_up(folder, read_json(folder / "summary.json")))


def report_again(folder: Path, to: Path | None = None) -> list[Path]:
    """Write the report of a run or a sweep as it stands, into its folder. Returns the files that were written.

    Args:
        to: a new HTML file to write instead; the folder then stays as it is.

    Raises:
        RunFolderError: the folder is no run's, or `to` exists.
        RequestError: the run's files are damaged.
    """
    check_is_run(folder)
    if to is not None:
        _check_new(to)
    document, figures = _read(folder)
    if to is None:
        _draw(figures, folder)
        return write_report(folder, document)
    with tempfile.TemporaryDirectory() as drawn:
        _draw(figures, Path(drawn))
        text = to_html(document, Path(drawn) if figures else folder)
    write_text(to, text)
    return [to]


def _check_new(file: Path) -> None:
    if file.exists():
        raise RunFolderError(
            f"{file} exists already, and stopcli overwrites no file that it may not have made",
            hint="Name a new file with --to.",
        )
    if not file.parent.is_dir():
        raise RunFolderError(f"{file}: there is no folder {file.parent}")


def _draw(figures: Mapping[str, Figure], folder: Path) -> None:
    if figures:
        from stopcli.report.saving import save_figures

        save_figures(figures, folder / "plots")


def _read(folder: Path) -> tuple[Document, Mapping[str, Figure]]:
    """The report of a folder, and its figures that have to be drawn first."""
    (line,) = read_runs(folder.parent, only=folder)
    summary = read_json(folder / "summary.json")
    if summary:
        document = _summed_up(folder, summary)
        return (document if line.state == summary["state"] else _outdated(document, line)), {}
    figures, damage = curves_so_far(folder)
    return unfinished_report(folder, line, _made(folder, ()), list(figures), damage), figures


def _summed_up(folder: Path, summary: Mapping[str, Any]) -> Document:
    told = summary.get("report") or _older(folder, summary)
    made = _made(folder, told["words"])
    further = [Table.from_told(table) for table in told["tables"]]
    # Names, not paths: a figure lies in `plots/`, whatever somebody has written into summary.json.
    pictures = [Picture(f"plots/{name}", alt_text(name)) for name in (Path(each).name for each in told["figures"])]
    tables = [results_table(summary), *further]
    if "jobs" in summary:
        return sweep_report(told["title"], summary, tables, made, pictures)
    if "stop" in summary:
        return run_report(told["title"], summary, tables, made, pictures)
    return range_report(told["title"], summary, tables, made, pictures)


def _made(folder: Path, words: Sequence[str]) -> Made:
    text = (folder / "config.toml").read_text(encoding="utf-8", errors="replace")
    if text.startswith(_HEADER):
        text = text.partition("\n")[2]
    return Made(text, read_json(folder / "environment.json"), words)


def _older(folder: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a run whose stopcli did not write it down yet, as far as its files tell."""
    tables = []
    if (folder / "classes.csv").is_file():
        with (folder / "classes.csv").open(encoding="utf-8", newline="") as file:
            columns, *rows = csv.reader(file)
        tables.append({"title": "By class", "columns": columns, "rows": rows})
    return {
        "title": f"{summary['command']}: {folder.resolve().name}",
        "words": [],
        "tables": tables,
        "figures": sorted(path.stem for path in (folder / "plots").glob("*.png")),
    }


def _outdated(document: Document, line: RunLine) -> Document:
    """A report of a run that was gone on with since it was last summed up."""
    reason = f" ({line.reason})" if line.reason else ""
    told = f"since this was summed up, it was gone on with, and its state is now: {line.state}{reason}."
    if line.state != "running":
        told += " In this folder, `stopcli resume .` goes on with it."
    return Document(document.title, (Warn(told), *document.lead), document.sections)

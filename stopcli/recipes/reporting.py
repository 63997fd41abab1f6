"""The report of a run, a sweep or a range test from its folder alone: when it ends, and whenever it is asked for again.

Needs no TensorFlow, and matplotlib only for the curves of a run that has not summed itself up.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stopcli.errors import RunFolderError
from stopcli.paths import check_path
from stopcli.recipes.unfinished import curves_so_far, recorded_epochs, unfinished_report
from stopcli.report.alt_texts import alt_text
from stopcli.report.document import Document, Picture, Warn
from stopcli.report.drawing import Drawn, draw
from stopcli.report.html import to_html
from stopcli.report.results import Provenance, range_report, run_report, sweep_report
from stopcli.report.tables import Table, results_table
from stopcli.report.writing import write_or_warn, write_report
from stopcli.runs.files import read_checked, read_json, write_json, write_text
from stopcli.runs.folder import RunFolder, check_is_run
from stopcli.runs.listing import RunLine, read_runs
from stopcli.runs.shapes import missing_in_summary

_HEADER = "# Runs again with"


def report_metadata(
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


def write_run_report(folder: RunFolder, summary: dict[str, Any]) -> None:
    """Write summary.json and the report of what has just been summed up, while its process still holds the folder.

    A report that cannot be made is one of the summary's warnings, and the log says why.
    """
    write_json(folder.summary, summary)
    problems = write_or_warn(folder, lambda: _summed_up(folder.path, read_json(folder.summary)))
    if problems:
        summary["warnings"] += problems
        write_json(folder.summary, summary)


def report_again(folder: Path, to: Path | None = None) -> tuple[list[Path], list[str]]:
    """Write the report of a run or a sweep as it stands, into its folder.

    Args:
        to: a new HTML file to write instead; the folder then stays as it is.

    Returns:
        The files that were written, and what the user should know, a sentence without a full stop each.

    Raises:
        RunFolderError: the folder is no run's, or `to` exists.
        RequestError: the run's files are damaged.
    """
    check_is_run(folder)
    if to is not None:
        _check_new(to)
    if to is None:
        document, drawn = _read(folder, folder)
        return write_report(folder, document), drawn.warnings
    with tempfile.TemporaryDirectory(prefix=".new-", dir=to.parent) as elsewhere:
        document, drawn = _read(folder, Path(elsewhere))
        text = to_html(document, Path(elsewhere) if drawn.pictures else folder)
    write_text(to, text)
    return [to], drawn.warnings


def _check_new(file: Path) -> None:
    check_path(file)
    if file.exists():
        raise RunFolderError(
            f"{file} exists already, and stopcli overwrites no file that it may not have made",
            hint="Name a new file with --to.",
        )
    if not file.parent.is_dir():
        raise RunFolderError(f"{file}: there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise RunFolderError(f"{file}: cannot be written, because {file.parent} cannot be")


def _read(folder: Path, to: Path) -> tuple[Document, Drawn]:
    """The report of a folder, and the figures that had to be drawn for it, in the `plots/` of another."""
    document, drawn = _summary_or_record(folder, to)
    damage = read_checked(folder / "environment.json")[1]
    return (_warning(document, f"{damage}.") if damage else document), drawn


def _summary_or_record(folder: Path, to: Path) -> tuple[Document, Drawn]:
    """The report by the folder's summary, or where there is none by what is on record."""
    (line,) = read_runs(folder.parent, only=folder)
    summary = read_json(folder / "summary.json")
    if summary:
        if lacking := missing_in_summary(summary):
            raise RunFolderError(
                f"{folder}/summary.json: damaged ({lacking})", hint=f"stopcli resume {folder} may write it again."
            )
        document = _summed_up(folder, summary)
        return (document if line.state == summary["state"] else _outdated(document, line)), Drawn()
    columns, damage = recorded_epochs(folder)
    drawn = Drawn() if columns is None else draw(lambda: curves_so_far(folder, columns), to)
    problems = [damage] if damage else []
    problems += [f"{warning}." for warning in drawn.warnings]
    return unfinished_report(folder, line, _provenance(folder, ()), drawn.pictures, problems), drawn


def _summed_up(folder: Path, summary: Mapping[str, Any]) -> Document:
    told = summary.get("report") or _older(folder, summary)
    provenance = _provenance(folder, told["words"])
    further = [Table.from_told(table) for table in told["tables"]]
    # Names, not paths: a figure lies in `plots/`, whatever somebody has written into summary.json.
    pictures = [Picture(f"plots/{name}", alt_text(name)) for name in (Path(each).name for each in told["figures"])]
    tables = [results_table(summary), *further]
    if "jobs" in summary:
        return sweep_report(told["title"], summary, tables, provenance, pictures)
    if "stop" in summary:
        return run_report(told["title"], summary, tables, provenance, pictures)
    return range_report(told["title"], summary, tables, provenance, pictures)


def _provenance(folder: Path, words: Sequence[str]) -> Provenance:
    text = (folder / "config.toml").read_text(encoding="utf-8", errors="replace")
    if text.startswith(_HEADER):
        text = text.partition("\n")[2]
    return Provenance(text, read_json(folder / "environment.json"), words)


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
    """A report of a run that was gone on with since it was last summed up, or whose state cannot be read."""
    if line.state == "damaged":
        return _warning(document, f"{line.reason}.")
    reason = f" ({line.reason})" if line.reason else ""
    told = f"since this was summed up, it was gone on with, and its state is now: {line.state}{reason}."
    if line.state != "running":
        told += " In this folder, `stopcli resume .` goes on with it."
    return _warning(document, told)


def _warning(document: Document, words: str) -> Document:
    """A document that begins with a warning."""
    return Document(document.title, (Warn(words), *document.lead), document.sections)

"""What a run, a sweep or a range test leaves in its folder when it ends, and its report, which can be written again.

Needs no TensorFlow, and matplotlib only for figures that have not been drawn yet.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stopcli.errors import RequestError, RunFolderError, StopcliError
from stopcli.paths import check_path
from stopcli.quantities import counted
from stopcli.recipes.arms import not_finished
from stopcli.recipes.base import Loaded
from stopcli.report.document import Document, Paragraph, Part, Picture, Section, Table, Warn, alt_text, results_table
from stopcli.report.drawing import Drawn, Figures, draw
from stopcli.report.html import to_html, write_or_warn, write_report
from stopcli.report.run_report import Provenance, how_it_was_made, range_report, run_report, sweep_report, words_of
from stopcli.runner.resume import read_config
from stopcli.runs.files import read_checked, read_json, read_toml, write_json, write_text
from stopcli.runs.folder import RunFolder, check_is_run
from stopcli.runs.metrics import Columns, read_metrics
from stopcli.runs.run import RunLine, read_runs
from stopcli.runs.shapes import missing_in_summary
from stopcli.sweeps.plan import NOT_BEGUN, collect, plan_jobs
from stopcli.training.session import Stopwatch

_HEADER = "# Runs again with"
_STATES = {
    "running": "It is running",
    "died": "Its process is gone and left no reason (it was killed, or its machine went down)",
    "failed": "It failed",
    "paused": "It is paused",
    "interrupted": "It was interrupted",
    "finished": "It finished, but its summary is missing",
    "damaged": "Its record is incomplete",
}


def write_results(
    folder: RunFolder,
    summary: dict[str, Any],
    loaded: Loaded,
    stopwatch: Stopwatch,
    *,
    title: str,
    tables: Sequence[Table] = (),
    files: Mapping[str, str],
    figures: Callable[[], Figures] | None,
    outside: bool = False,
) -> dict[str, Any]:
    """Draw the figures, write summary.json, the report and other files, and set the folder's status to how it ended.

    A figure or a report that cannot be made is one of the summary's warnings, and the log says why.

    Args:
        summary: what summary.json holds, without its report and its times.
        loaded: what was run.
        title: of the report.
        tables: of the report, beside that of the results.
        files: texts by file name.
        figures: how they are drawn; None for none.
        outside: whether what did not finish failed for a reason outside it.

    Returns:
        The content of summary.json.
    """
    drawn = Drawn()
    if figures is not None:
        with stopwatch.part("plots"):
            drawn = draw(figures, folder.path)
            folder.note(drawn.tracebacks)
    for name, text in files.items():
        write_text(folder.path / name, text)
    summary["warnings"] += drawn.warnings
    summary["report"] = {
        "title": title,
        "words": list(loaded.words),
        "tables": [table.for_summary() for table in tables],
        "figures": [picture.name for picture in drawn.pictures],
    }
    summary["seconds"] = stopwatch.rounded()
    # While this process still holds the folder.
    write_json(folder.summary, summary)
    problems = write_or_warn(folder, lambda: _summary_report(folder.path, read_json(folder.summary)))
    if problems:
        summary["warnings"] += problems
        write_json(folder.summary, summary)
    state = summary["state"]
    folder.log(f"{state}: {' '.join(words_of(summary))}")
    reason = "" if state == "finished" else summary["reason"] if "reason" in summary else summary["stop"]["rule"]
    epochs = summary.get("epochs", max((job["epochs"] for job in summary.get("jobs", ())), default=0))
    folder.status.write(state, reason, epoch=epochs, outside=outside)
    return summary


def report_again(folder: Path, to: Path | None = None) -> tuple[list[Path], list[str]]:
    """Write the report of a run or a sweep as it is now, into its folder.

    Args:
        to: a new HTML file to write instead; the folder then stays as it is.

    Returns:
        The files that were written, and warnings, a sentence without a full stop each.

    Raises:
        RunFolderError: the folder is no run's, or `to` exists.
        RequestError: the run's files are damaged.
    """
    check_is_run(folder)
    if to is None:
        document, drawn = _document(folder, folder)
        return write_report(folder, document), drawn.warnings
    _check_new(to)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=to.parent) as elsewhere:
        document, drawn = _document(folder, Path(elsewhere))
        text = to_html(document, Path(elsewhere) if drawn.pictures else folder)
    write_text(to, text)
    return [to], drawn.warnings


def _check_new(file: Path) -> None:
    check_path(file)
    if file.exists():
        raise RunFolderError(
            f"{file} already exists, and stopcli never overwrites a file that it may not have written",
            hint="Name a new file with --to.",
        )
    if not file.parent.is_dir():
        raise RunFolderError(f"{file}: there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise RunFolderError(f"{file}: cannot be written, because {file.parent} is not writable")


def _document(folder: Path, plots: Path) -> tuple[Document, Drawn]:
    """The report of a folder, and the figures that had to be drawn for it, in the `plots/` of another."""
    (line,) = read_runs(folder.parent, only=folder)
    summary = read_json(folder / "summary.json")
    if summary:
        if problem := missing_in_summary(summary) or ("" if "report" in summary else "report: missing"):
            raise RunFolderError(
                f"{folder}/summary.json: damaged ({problem})", hint=f"stopcli resume {folder} may write it again."
            )
        document, drawn = _summary_report(folder, summary), Drawn()
        if line.state != summary["state"]:
            document = _with_warning(document, _outdated(line))
    else:
        document, drawn = _unfinished_report(folder, line, plots)
    damage = read_checked(folder / "environment.json")[1]
    return (_with_warning(document, f"{damage}.") if damage else document), drawn


def _summary_report(folder: Path, summary: Mapping[str, Any]) -> Document:
    report = summary["report"]
    provenance = _provenance(folder, report["words"])
    tables = [results_table(summary), *(Table.from_told(table) for table in report["tables"])]
    # Names, not paths: a figure lies in `plots/`, whatever somebody has written into summary.json.
    names = [Path(figure).name for figure in report["figures"]]
    pictures = [Picture(f"plots/{name}", alt_text(name)) for name in names]
    write = sweep_report if "jobs" in summary else run_report if "stop" in summary else range_report
    return write(report["title"], summary, tables, provenance, pictures)


def _provenance(folder: Path, words: Sequence[str]) -> Provenance:
    text = (folder / "config.toml").read_text(encoding="utf-8", errors="replace")
    if text.startswith(_HEADER):
        text = text.partition("\n")[2]
    return Provenance(text, read_json(folder / "environment.json"), words)


def _outdated(line: RunLine) -> str:
    """A warning for a run that was resumed since its summary was written, or whose state cannot be read."""
    if line.state == "damaged":
        return f"{line.reason}."
    reason = f" ({line.reason})" if line.reason else ""
    resume = "" if line.state == "running" else " In this folder, `stopcli resume .` continues it."
    return f"The run was resumed after these results were written; its state is now: {line.state}{reason}.{resume}"


def _with_warning(document: Document, text: str) -> Document:
    """A document that starts with a warning."""
    return Document(document.title, (Warn(text), *document.lead), document.sections)


def _unfinished_report(folder: Path, line: RunLine, plots: Path) -> tuple[Document, Drawn]:
    """The report of a run or a sweep without results: it is running, was killed, or failed."""
    columns, problem = _recorded_epochs(folder)
    drawn = Drawn() if columns is None else draw(lambda: _curves_so_far(folder, columns), plots)
    state = _STATES.get(line.state, f"Its state is {line.state}")
    reason = f": {line.reason}" if line.reason else ""
    problems = [*filter(None, [problem]), *(f"{warning}." for warning in drawn.warnings)]
    lead = [f"{state}{reason}. It has no results yet; this is what was recorded so far.", *problems]
    provenance = _provenance(folder, ())
    sections = [Section("So far", tuple(_parts_so_far(folder, columns)))]
    if drawn.pictures:
        sections.append(Section("Figures", tuple(drawn.pictures)))
    sections.append(Section("How it was made", how_it_was_made(provenance.environment, provenance.config, line.state)))
    command = str(read_toml(folder / "config.toml").get("command", "run"))
    return Document(f"{command}: {folder.resolve().name}", tuple(map(Warn, lead)), tuple(sections)), drawn


def _recorded_epochs(folder: Path) -> tuple[Columns | None, str]:
    """A run's metrics.csv; None where it has no epoch, with what is wrong with the file, in a sentence."""
    if not (folder / "metrics.csv").exists():
        return None, ""
    try:
        columns = read_metrics(folder / "metrics.csv")
    except RequestError as error:
        return None, f"{error.message}."
    return (columns if len(columns["epoch"]) else None), ""


def _curves_so_far(folder: Path, columns: Columns) -> Figures:
    """How the learning curves of the recorded epochs are drawn, by name."""
    if not {"loss", "accuracy", "val_loss", "val_accuracy"} <= columns.keys():
        return {}
    from stopcli.report.curves import Marks, learning_curves

    validation = "test" if read_toml(folder / "config.toml").get("validation", "test") == "test" else "validation"
    title = f"{folder.resolve().name}: {counted(len(columns['epoch']), 'epoch')} so far"
    return {"curves": lambda: learning_curves(columns, validation, Marks(0, ""), title)}


def _parts_so_far(folder: Path, columns: Columns | None) -> list[Part]:
    """A table of the runs, the seeds or the last epoch that was recorded."""
    if (folder / "jobs").is_dir():
        lines = sorted(read_runs(folder / "jobs"), key=lambda line: line.path.name)
        rows = [(line.path.name, line.state, line.epochs, line.reason or "–") for line in lines]
        table = Table("Runs that were started", ("run", "state", "epochs", "reason"), tuple(rows))
        return [table if rows else Paragraph("None of its runs was started."), *_not_started(folder)]
    seeds = read_json(folder / "seeds.json").get("seeds") or {}
    if seeds:
        cells = [(seed, str(entry.get("updates", "–")), entry.get("ended", "–")) for seed, entry in seeds.items()]
        return [Table("Seeds that are done", ("seed", "updates", "ended by"), tuple(cells))]
    if columns is None:
        return [Paragraph("No epoch was recorded.")]
    names = [name for name in columns if name not in ("epoch", "step")]
    last = tuple(f"{columns[name][-1]:.4g}" for name in names)
    return [Table("Last recorded epoch", ("epoch", *names), ((f"{columns['epoch'][-1]:.0f}", *last),))]


def _not_started(sweep: Path) -> list[Part]:
    """Which of a sweep's runs were not started, in a sentence."""
    try:
        config: Any = read_config(sweep)
    except StopcliError as error:
        # The runs that there are can be shown all the same.
        return [Warn(f"The other planned runs are not known: {error.message}.")]
    planned = collect(plan_jobs(config), sweep / "jobs", {})
    sentence = not_finished(config, [result for result in planned if result.state == NOT_BEGUN])
    return [Paragraph(sentence)] if sentence else []

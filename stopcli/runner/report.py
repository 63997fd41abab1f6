"""What a run, a sweep or a range test leaves in its folder when it ends, and its report, which can be written again.

Needs no TensorFlow, and matplotlib only for figures that have not been drawn yet.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from stopcli.analysis.recording_report import recording_report
from stopcli.analysis.sweep import not_finished
from stopcli.errors import RequestError, RunFolderError, StopcliError
from stopcli.paths import check_path, quoted
from stopcli.quantities import counted
from stopcli.report.after import after_section, after_section_of_sweep
from stopcli.report.document import (
    Document,
    Image,
    Paragraph,
    Part,
    Picture,
    Section,
    Table,
    Warn,
    alt_text,
    to_markdown,
)
from stopcli.report.drawing import Drawn, Figures, draw, figures_section
from stopcli.report.html import to_html, write_or_warn, write_report
from stopcli.report.next_steps import next_section, next_steps
from stopcli.report.run_report import (
    how_it_was_made,
    how_to_predict,
    sentences_of,
    training_report,
)
from stopcli.runner.resume import read_config
from stopcli.runs.environment import Environment, read_environment
from stopcli.runs.files import write_json, write_text
from stopcli.runs.folder import RunFolder, check_is_run, holds_no_run
from stopcli.runs.metrics import Columns
from stopcli.runs.recording import is_recording, read_recording
from stopcli.runs.run import NOT_STARTED, Run, run_argument, runs_in
from stopcli.runs.summary import (
    FOREIGN,
    AnalysisSummary,
    ReportParts,
    RunSummary,
    SweepSummary,
    TrainingSummary,
    read_classes,
    read_seeds,
)
from stopcli.stats.differences import NONE
from stopcli.sweeps.plan import collect, started_jobs
from stopcli.training.session import Stopwatch

AnySummary = TypeVar("AnySummary", bound=TrainingSummary)

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
    summary: AnySummary,
    description: Sequence[str],
    stopwatch: Stopwatch,
    *,
    title: str,
    tables: Sequence[Table] = (),
    files: Mapping[str, str],
    figures: Callable[[], Figures] | None,
    outside: bool = False,
) -> AnySummary:
    """Draw the figures, write summary.json, the report and other files, and set the folder's status to how it ended.

    A figure or a report that cannot be made is one of the summary's warnings, and the log says why.

    Args:
        summary: without its report and its times.
        description: what was run, a line each.
        title: of the report.
        tables: of the report, beside that of the results.
        files: texts by file name.
        figures: how they are drawn; None for none.
        outside: whether what did not finish failed for a reason outside it.

    Returns:
        The summary as it was written.
    """
    drawn = Drawn()
    if figures is not None:
        with stopwatch.part("plots"):
            drawn = draw(figures, folder.path)
            folder.note(drawn.tracebacks)
    for name, text in files.items():
        write_text(folder.path / name, text)
    summary = replace(
        summary,
        warnings=(*summary.warnings, *drawn.warnings),
        report=ReportParts(
            title,
            tuple(description),
            tuple(table.for_summary() for table in tables),
            tuple(picture.name for picture in drawn.pictures),
        ),
        seconds=stopwatch.rounded(),
    )
    # While this process still holds the folder.
    write_json(folder.summary, summary)
    problems = write_or_warn(folder, lambda: _summary_report(folder.path, summary))
    if problems:
        summary = replace(summary, warnings=(*summary.warnings, *problems))
        write_json(folder.summary, summary)
    folder.log(f"{summary.state}: {' '.join(sentences_of(summary))}")
    folder.status.write(summary.state, summary.reason, epoch=summary.epochs, outside=outside)
    return summary


def report_again(folder: Path, to: Path | None = None) -> tuple[list[Path], list[str]]:
    """Write the report of a run or a sweep as it is now, into its folder, or that of a CSV file, beside it.

    Args:
        to: a new HTML file to write instead; the folder then stays as it is.

    Returns:
        The files that were written, and warnings, a sentence without a full stop each.

    Raises:
        RunFolderError: the folder is no run's, or `to` exists, or the report of a CSV file.
        RequestError: the run's files are damaged.
    """
    check_report(folder, to)
    if is_recording(folder):
        return _report_of_recording(folder, to)
    if to is None:
        document, drawn = document_of(folder, folder)
        return write_report(folder, document), drawn.warnings
    _check_new(to)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=to.parent) as elsewhere:
        document, drawn = document_of(folder, Path(elsewhere))
        text = to_html(document, Path(elsewhere) if drawn.pictures else folder)
    write_text(to, text)
    return [to], drawn.warnings


def check_report(run: Path, to: Path | None) -> None:
    """Check that `report_again` can write the report of a run, or of a CSV file; arguments and errors as there."""
    if not is_recording(run):
        check_is_run(run)
        return
    read_recording(run)
    for file in _files_of(run, to):
        _check_new(file)


def _files_of(recording: Path, to: Path | None) -> list[Path]:
    """Where the report of a CSV file is written: beside it, by its name; or to the HTML file that is named."""
    return [recording.with_suffix(ending) for ending in (".html", ".md")] if to is None else [to]


def _report_of_recording(path: Path, to: Path | None) -> tuple[list[Path], list[str]]:
    """Write the report of a CSV file; as `report_again`, but into new files, because its folder is not stopcli's."""
    files = _files_of(path, to)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=files[0].parent) as plots:
        document, drawn = document_of(path, Path(plots))
        texts = [to_html(document, Path(plots)), to_markdown(_without_pictures(document))]
    for file, text in zip(files, texts, strict=False):
        write_text(file, text)
    return files, drawn.warnings


def _without_pictures(document: Document) -> Document:
    """A document whose pictures lie in no folder."""
    sections = (
        Section(section.title, tuple(part for part in section.parts if not isinstance(part, (Picture, Image))))
        for section in document.sections
    )
    return Document(document.title, document.lead, tuple(section for section in sections if section.parts))


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


def document_of(folder: Path, plots: Path) -> tuple[Document, Drawn]:
    """The report of a run, a sweep or an analysis as its folder is now, or that of a CSV file; and the figures that had
    to be drawn for it, in the `plots/` of another folder. Raises RequestError where files are damaged."""
    if is_recording(folder):
        return recording_report(read_recording(folder), plots)
    run = Run.read(folder)
    summary = run.summary
    if holds_no_run(folder):
        document, drawn = _analysis_report(run), Drawn()
    elif summary is not None and not isinstance(summary, AnalysisSummary):
        document, drawn = _summary_report(folder, summary), Drawn()
        if run.state != summary.state:
            document = _with_warning(document, _outdated(run))
    else:
        document, drawn = _unfinished_report(run, plots)
    damage = read_environment(folder)[1]
    return (_with_warning(document, f"{damage}.") if damage else document), drawn


def _summary_report(folder: Path, summary: TrainingSummary) -> Document:
    report = summary.report
    if report is None:
        raise RunFolderError(
            f"{folder}/summary.json: damaged (report: missing)",
            hint=f"stopcli resume {quoted(folder)} may write it again.",
        )
    return training_report(
        summary,
        report,
        *_environment_and_config(folder),
        prediction=_prediction(folder),
        after=_after(folder, summary),
        steps=next_steps(folder, summary.state, summary, Path(summary.run_dir)),
    )


def _after(folder: Path, summary: TrainingSummary) -> list[Section]:
    """What a user's own code wrote: of a run, or of the first run of each arm of a sweep."""
    if isinstance(summary, RunSummary):
        return after_section(folder)
    if not isinstance(summary, SweepSummary):
        return []
    runs: dict[str, str] = {}
    for job in summary.jobs:
        if job.state == "finished" and job.arm.replace("-", " ") not in runs:
            runs[job.arm.replace("-", " ")] = job.name
    # A name is a part of a path.
    return after_section_of_sweep(folder, {label: name for label, name in runs.items() if Path(name).name == name})


def _analysis_report(run: Run) -> Document:
    """The results of an analysis of runs, with the figures in its folder."""
    title, summary = run.path.resolve().name, run.summary
    if not isinstance(summary, AnalysisSummary):
        return Document(title, (Warn(f"It has no results; its state is: {run.state}. {run.reason}".rstrip()),), ())
    lead: list[Part] = [*map(Paragraph, summary.conclusions), *(Warn(f"{warning}.") for warning in summary.warnings)]
    sections = [Section("Results", (Table.from_summary(summary.table),))]
    figures = sorted(path.stem for path in (run.path / "plots").glob("*.svg"))
    if figures:
        sections.append(Section("Figures", tuple(Picture(f"plots/{name}", alt_text(name)) for name in figures)))
    sections += next_section(next_steps(run.path, run.state, summary))
    provenance = how_it_was_made(run.environment)
    return Document(title, tuple(lead), (*sections, Section("How it was made", provenance)))


def _prediction(folder: Path) -> list[Part]:
    """How a photo is predicted with a run's model of images; empty where it has none."""
    classes, damage = read_classes(folder)
    if damage:
        return [Warn(f"{damage}. `stopcli resume .` in this folder writes it again.")]
    models = [path for path in (RunFolder(folder).best_model, RunFolder(folder).final_model) if path.is_file()]
    return how_to_predict(classes, models[0].resolve()) if classes and models else []


def _environment_and_config(folder: Path) -> tuple[Environment, str]:
    """Of environment.json what is there, and the text of config.toml; empty where it is missing."""
    config = folder / "config.toml"
    text = config.read_text(encoding="utf-8", errors="replace") if config.is_file() else ""
    return read_environment(folder)[0], text.partition("\n")[2] if text.startswith(_HEADER) else text


def _outdated(run: Run) -> str:
    """A warning for a run that was resumed since its summary was written, or whose state cannot be read."""
    if run.damage:
        return f"{run.damage}."
    reason = f" ({run.reason})" if run.reason else ""
    resume = (
        "" if run.state == "running" or run.command in FOREIGN else " In this folder, `stopcli resume .` continues it."
    )
    return f"The run was resumed after these results were written; its state is now: {run.state}{reason}.{resume}"


def _with_warning(document: Document, text: str) -> Document:
    """A document that starts with a warning."""
    return Document(document.title, (Warn(text), *document.lead), document.sections)


def _unfinished_report(run: Run, plots: Path) -> tuple[Document, Drawn]:
    """The report of a run or a sweep without results: it is running, was killed, or failed."""
    columns, problem = _recorded_epochs(run)
    drawn = Drawn() if columns is None else draw(lambda: _curves_so_far(run, columns), plots)
    state = _STATES.get(run.state, f"Its state is {run.state}")
    reason = f": {run.reason}" if run.reason else ""
    problems = [*filter(None, [problem]), *(f"{warning}." for warning in drawn.warnings)]
    lead = [f"{state}{reason}. It has no results yet; this is what was recorded so far.", *problems]
    sections = [Section("So far", tuple(_parts_so_far(run.path, columns)))]
    sections += figures_section(drawn, run.headline)
    sections += next_section(next_steps(run.path, run.state, None))
    provenance = how_it_was_made(
        *_environment_and_config(run.path),
        run.state,
        run_argument(run.path),
        trained_here=run.command not in FOREIGN,
    )
    sections.append(Section("How it was made", provenance))
    return Document(f"{run.command}: {run.path.resolve().name}", tuple(map(Warn, lead)), tuple(sections)), drawn


def _recorded_epochs(run: Run) -> tuple[Columns | None, str]:
    """A run's metrics.csv; None where it has no epoch, with what is wrong with the file, in a sentence."""
    if not (run.path / "metrics.csv").exists():
        return None, ""
    try:
        return (run.metrics if len(run.metrics["epoch"]) else None), ""
    except RequestError as error:
        return None, f"{error.message}."


def _curves_so_far(run: Run, columns: Columns) -> Figures:
    """How the learning curves of the recorded epochs are drawn, by name."""
    from stopcli.report.curves import Marks, learning_curves, panels_of

    if not panels_of([columns], run.headline):
        return {}
    validation = "test" if run.test_rows_validate else "validation"
    title = f"{run.path.resolve().name}: {counted(len(columns['epoch']), 'epoch')} so far"
    trained_here = run.command not in FOREIGN
    return {
        "curves": lambda: learning_curves(
            columns, validation, Marks(0, ""), title, run.headline, trained_here=trained_here
        )
    }


def recorded_figures(summary: RunSummary, columns: Columns, title: str) -> Figures:
    """How the learning curves of a run that something else trained are drawn, by name; none where neither the loss nor
    the metric that counts is on record.

    Args:
        columns: of its metrics.
    """
    from stopcli.report.curves import learning_curves, marks_of, panels_of

    if not len(columns["epoch"]) or not panels_of([columns], summary.headline):
        return {}
    marks = marks_of(summary)
    return {
        "curves": lambda: learning_curves(columns, "validation", marks, title, summary.headline, trained_here=False)
    }


def _parts_so_far(folder: Path, columns: Columns | None) -> list[Part]:
    """A table of the runs, the seeds or the last epoch that was recorded."""
    if (folder / "jobs").is_dir():
        runs = sorted(runs_in(folder / "jobs"), key=lambda run: run.path.name)
        rows = [(run.path.name, run.state, run.progress, run.reason or "–") for run in runs]
        table = Table("Runs that were started", ("run", "state", "epochs", "reason"), tuple(rows))
        return [table if rows else Paragraph("None of its runs was started."), *_not_started(folder)]
    tested, _ = read_seeds(folder)
    if tested is not None and tested.seeds:
        cells = [(name, str(seed.updates), seed.ended) for name, seed in tested.seeds.items()]
        return [Table("Seeds that are done", ("seed", "updates", "ended by"), tuple(cells))]
    if columns is None:
        return [Paragraph("No epoch was recorded.")]
    names = [name for name in columns if name not in ("epoch", "step")]
    values = (float(columns[name][-1]) for name in names)
    last = tuple(NONE if math.isnan(value) else f"{value:.4g}" for value in values)
    return [Table("Last recorded epoch", ("epoch", *names), ((f"{columns['epoch'][-1]:.0f}", *last),))]


def _not_started(sweep: Path) -> list[Part]:
    """Which of a sweep's runs were not started, in a sentence."""
    try:
        config: Any = read_config(sweep)
    except StopcliError as error:
        # The runs that there are can be shown all the same.
        return [Warn(f"The other planned runs are not known: {error.message}.")]
    planned = collect(started_jobs(config, sweep / "jobs"), sweep / "jobs", {})
    sentence = not_finished(config, [result for result in planned if result.state == NOT_STARTED])
    return [Paragraph(sentence)] if sentence else []

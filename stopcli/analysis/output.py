"""The folder that an analysis of finished runs leaves: tables, figures, a report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stopcli.report.document import Document, Picture, Section, Table, Warn
from stopcli.report.drawing import Figures, draw
from stopcli.report.html import write_or_warn
from stopcli.report.run_report import how_it_was_made
from stopcli.runs.environment import describe_environment
from stopcli.runs.files import write_json, write_text
from stopcli.runs.folder import RunFolder
from stopcli.runs.summary import AnalysisSummary


@dataclass(frozen=True)
class AnalysisOutput:
    """What an analysis of finished runs came to.

    Attributes:
        command: that ran it.
        table: the results; in the folder as table.md.
        tables: what a terminal shows.
        warnings: a sentence without a full stop each.
        files: text files of the folder by name, such as table.csv.
        conclusions: what follows, a sentence or two each.
        summary: what summary.json holds beside the command, the table, the conclusions and the warnings.
        figures: how the figures are drawn, by name. Called once; imports matplotlib.
        document: the report with the figures that were drawn, without how it was made.
    """

    command: str
    table: Table
    tables: Sequence[Table]
    warnings: Sequence[str]
    files: Mapping[str, str]
    conclusions: tuple[str, ...]
    summary: Mapping[str, Any]
    figures: Callable[[], Figures]
    document: Callable[[Sequence[Picture]], Document]


def write_output(
    output: AnalysisOutput, *, root: Path, name: str = "", run_dir: Path | None = None
) -> tuple[Path, AnalysisSummary]:
    """Write an analysis's folder.

    Args:
        root, name, run_dir: as for `RunFolder.create`.

    Returns:
        The folder, and its summary.

    Raises:
        RunFolderError: the folder exists or cannot be made.
    """
    with RunFolder.create(root=root, command=output.command, name=name, run_dir=run_dir) as folder:
        environment = describe_environment()
        write_json(folder.environment, environment)
        for file, text in {**output.files, "table.md": output.table.markdown()}.items():
            write_text(folder.path / file, text)
        drawn = draw(output.figures, folder.path)
        folder.note(drawn.tracebacks)
        summary = AnalysisSummary(
            command=output.command,
            name=name,
            state="finished",
            results=output.summary,
            warnings=(*output.warnings, *drawn.warnings),
            table=output.table.for_summary(),
            conclusions=output.conclusions,
            run_dir=str(folder.path),
        )

        def document() -> Document:
            results = output.document(drawn.pictures)
            warnings = (Warn(f"{warning}.") for warning in drawn.warnings)
            provenance = Section("How it was made", how_it_was_made(environment))
            return Document(results.title, (*results.lead, *warnings), (*results.sections, provenance))

        summary = replace(summary, warnings=(*summary.warnings, *write_or_warn(folder, document)))
        write_json(folder.summary, summary)
        folder.status.write("finished")
    return folder.path, summary

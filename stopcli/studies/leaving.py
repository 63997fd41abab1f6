"""The folder that a study of finished runs leaves: tables, figures, a report; made whole or said not to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.report.document import Document, Picture, Section
from stopcli.report.results import how_it_was_made
from stopcli.report.tables import Table
from stopcli.runs.environment import describe_environment
from stopcli.runs.files import write_json, write_text
from stopcli.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Study:
    """What a study of finished runs came to.

    Attributes:
        command: that made it.
        table: the results; in the folder as table.md.
        tables: what a terminal shows.
        warnings: what the user should know, a sentence without a full stop each.
        files: text files of the folder by name, such as table.csv.
        conclusions: what follows, a sentence or two each.
        summary: what summary.json holds beside the command, the table, the conclusions and the warnings.
        figures: draws the figures, by name. Called once; imports matplotlib.
        document: the report with the figures that were drawn, without how it was made.
    """

    command: str
    table: Table
    tables: Sequence[Table]
    warnings: Sequence[str]
    files: Mapping[str, str]
    conclusions: tuple[str, ...]
    summary: Mapping[str, Any]
    figures: Callable[[], Mapping[str, Figure]]
    document: Callable[[Sequence[Picture]], Document]


def leave(study: Study, *, root: Path, name: str = "", run_dir: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """Write a study's folder.

    Args:
        root, name, run_dir: as for `RunFolder.create`.

    Returns:
        The folder, and the content of its summary.json.

    Raises:
        RunFolderError: the folder exists or cannot be made.
    """
    from stopcli.report.saving import save_figures
    from stopcli.report.writing import plots_of, write_report

    with RunFolder.create(root=root, command=study.command, name=name, run_dir=run_dir) as folder:
        environment = describe_environment({})
        write_json(folder.environment, environment)
        for file, text in {**study.files, "table.md": study.table.markdown()}.items():
            write_text(folder.path / file, text)
        pictures = plots_of(save_figures(study.figures(), folder.plots))
        summary = {
            "command": study.command,
            "name": name,
            "state": "finished",
            **study.summary,
            "warnings": list(study.warnings),
            "table": study.table.for_summary(),
            "conclusions": list(study.conclusions),
            "run_dir": str(folder.path),
        }
        document = study.document(pictures)
        made = Section("How it was made", how_it_was_made(environment))
        write_report(folder.path, Document(document.title, document.lead, (*document.sections, made)))
        write_json(folder.summary, summary)
        folder.status.write("finished")
    return folder.path, summary

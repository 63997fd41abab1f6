"""From a study of finished runs to its folder, and to what is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stopcli.cli.console import Output

if TYPE_CHECKING:
    from stopcli.studies.leaving import Study


def leave_and_tell(study: Study, output: Output, *, root: Path, name: str, run_dir: Path | None) -> Path:
    """Warn, write the study's folder, print its results and what follows from them. Returns the folder."""
    from stopcli.studies.leaving import leave

    for warning in study.warnings:
        output.warn(warning)
    folder, summary = leave(study, root=root, name=name, run_dir=run_dir)
    for warning in summary["warnings"][len(study.warnings) :]:
        output.warn(warning)
    output.results(study.tables, summary)
    for words in study.conclusions:
        output.say(words)
    return folder

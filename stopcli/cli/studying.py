"""From a analysis of finished runs to its folder, and to what is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stopcli.cli.console import Output

if TYPE_CHECKING:
    from stopcli.studies.leaving import AnalysisOutput


def write_and_print(analysis: AnalysisOutput, output: Output, *, root: Path, name: str, run_dir: Path | None) -> Path:
    """Warn, write the analysis's folder, print its results and what follows from them. Returns the folder."""
    from stopcli.studies.leaving import write_output

    for warning in analysis.warnings:
        output.warn(warning)
    folder, summary = write_output(analysis, root=root, name=name, run_dir=run_dir)
    for warning in summary["warnings"][len(analysis.warnings) :]:
        output.warn(warning)
    output.results(analysis.tables, summary)
    for words in analysis.conclusions:
        output.say(words)
    return folder

"""What a comparison leaves in its folder, read again."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from stopcli.analysis.compare import CompareResults
from stopcli.analysis.compare_report import output_of
from stopcli.report.html import write_output
from stopcli.runs.typed_json import to_json


def written(results: CompareResults) -> tuple[Path, dict[str, Any]]:
    folder, summary = write_output(output_of(results), root=Path("runs"))
    return folder, to_json(summary)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))

"""The files that a reproduction leaves: REPRODUCTION.md and .html, and beside them its figures and a summary."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from stopcli.errors import RequestError
from stopcli.paths import check_path
from stopcli.report.document import Picture
from stopcli.report.writing import write_report
from stopcli.runs.files import read_checked, read_json, replacing, write_json
from stopcli.studies.reproducing.planning import Experiment, ReproductionScale
from stopcli.studies.reproducing.results import ExperimentResult
from stopcli.studies.reproducing.telling import (
    MARKER,
    ReportContext,
    claim_row,
    reproduction_document,
    sums_up,
    value_row,
)

NAME = "REPRODUCTION"
FIGURES = "reproduction"
_COMMAND = "reproduce"


def check_can_be_left(folder: Path, names: Collection[str], scale: ReproductionScale) -> None:
    """Find out whether the files can be written, before anything is run.

    Nothing that others made is written over, and no report by one that says less.

    Args:
        names: of the experiments that will be reported, at that scale.

    Raises:
        RequestError: they cannot.
    """
    check_path(folder)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise RequestError(f"--to: {there} is a file, not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise RequestError(f"--to: {there} cannot be written")
    ours = [path for path in (folder / f"{NAME}.md", folder / f"{NAME}.html") if path.exists()]
    for path in ours:
        if not path.is_file() or MARKER not in path.read_text(encoding="utf-8", errors="replace"):
            raise RequestError(
                f"{path} was not made by stopcli reproduce, and is not written over", hint="--to names another folder."
            )
    figures = folder / FIGURES
    if figures.exists() and not (figures.is_dir() and (ours or _is_ours(figures))):
        raise RequestError(
            f"{figures} exists without a {NAME}.md beside it, and is not written over"
            if figures.is_dir()
            else f"{figures} is a file, not a folder for figures",
            hint="--to names another folder.",
        )
    if ours:
        made, damage = read_checked(figures / "summary.json")
        if damage:
            raise RequestError(
                f"{figures}/{damage}, so that nobody knows what {ours[0]} reports", hint="--to names another folder."
            )
        _check_says_no_less(ours[0], made, names, scale)


def _check_says_no_less(report: Path, made: Mapping[str, Any], names: Collection[str], scale: str) -> None:
    """Raise where a report would be replaced by one of fewer experiments, or of a smaller scale."""
    lost = [name for each in made.get("experiments", ()) if (name := each.get("name", "?")) not in names]
    if lost:
        raise RequestError(
            f"{report} reports {', '.join(lost)} too, and would lose {'it' if len(lost) == 1 else 'them'}",
            hint="--to names another folder; or name all their files.",
        )
    if made.get("scale") == "full" and scale == "quick":
        raise RequestError(
            f"{report} was made at full scale, and would be replaced by one at quick scale",
            hint="--to names another folder; --scale full goes on with that one.",
        )


def _is_ours(figures: Path) -> bool:
    """Whether a folder of figures was begun by a call that was killed before the report, or has lost its report."""
    return read_json(figures / "summary.json").get("command") == _COMMAND or not any(figures.iterdir())


def leave_reproduction(folder: Path, results: Sequence[ExperimentResult], told: ReportContext) -> dict[str, Any]:
    """Write the files. Returns the content of summary.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES).mkdir(exist_ok=True)
    summary = summarise(results, told)
    # First, because it says whose folder it is.
    write_json(folder / FIGURES / "summary.json", summary)
    pictures = {result.experiment.name: _pictures(result.experiment, folder) for result in results}
    write_report(folder, reproduction_document(results, pictures, told), NAME)
    # The page holds them, and Markdown shows the PNG files.
    for picture in (picture for several in pictures.values() for picture in several):
        (folder / f"{picture.path}.svg").unlink(missing_ok=True)
    return summary


def _pictures(experiment: Experiment, folder: Path) -> list[Picture]:
    """Copies of the figures that an experiment's file names, as far as there are any."""
    found = []
    for figure in experiment.published.figures:
        sweep = experiment.sweep_of(figure.arm) if figure.arm else experiment.sweeps[0]
        if sweep is None:
            continue
        name = "-".join(filter(None, (experiment.name, figure.arm, figure.plot)))
        source, target = sweep.folder / "plots" / figure.plot, folder / FIGURES / name
        copied = [_copy(Path(f"{source}.{end}"), Path(f"{target}.{end}")) for end in ("png", "svg")]
        if all(copied):
            found.append(Picture(f"{FIGURES}/{name}", figure.shows))
    return found


def _copy(source: Path, target: Path) -> bool:
    if not source.is_file():
        return False
    with replacing(target) as new:
        shutil.copyfile(source, new)
    return True


def summarise(results: Sequence[ExperimentResult], told: ReportContext) -> dict[str, Any]:
    """The results for those who go on elsewhere."""
    return {
        "command": _COMMAND,
        "scale": told.scale,
        # Not where it lies: these files are shown to others.
        "dataset": told.images.label if told.images else None,
        "conclusions": [sums_up(results)],
        "unfinished": told.unfinished,
        "problems": dict(told.problems),
        "experiments": [_experiment(result) for result in results],
    }


def _experiment(result: ExperimentResult) -> dict[str, Any]:
    experiment = result.experiment
    return {
        "name": experiment.name,
        "title": experiment.published.title,
        "source": experiment.published.source.model_dump(),
        "scale": experiment.sweeps[0].config.scale,
        "published_setting": all(sweep.published for sweep in experiment.sweeps),
        "runs": [str(sweep.folder) for sweep in experiment.sweeps],
        "values": [
            {
                "arm": each.arm.name,
                "measure": each.reported.measure,
                "reported": each.reported.value,
                "band": each.reported.band,
                **_mean(each.measured),
                "planned": each.runs.planned,
                "ratio": each.ratio.mean if each.ratio else None,
                "ratio_sd": each.ratio.sd if each.ratio else None,
                "reported_ratio": each.reported_ratio,
                "verdict": each.verdict,
            }
            for each in result.values
        ],
        "claims": [
            {
                "text": each.text,
                "expected": each.expected,
                **_mean(each.pair),
                "trend": each.trend,
                "verdict": each.verdict,
            }
            for each in result.claims
        ],
    }


def _mean(found: Any) -> Mapping[str, Any]:
    return {name: getattr(found, name, None) for name in ("n", "mean", "low", "high")}


def rows_of(results: Sequence[ExperimentResult]) -> list[tuple[str, ...]]:
    """All values and conclusions, for a terminal: experiment, what, reported, measured, verdict."""
    rows: list[tuple[str, ...]] = []
    for result in results:
        for value in result.values:
            arm, measure, reported, measured, n, _, verdict = value_row(value)
            rows.append((result.experiment.name, f"{arm}: {measure}", reported, measured, n, verdict))
        for claim in result.claims:
            text, difference, n, trend, verdict = claim_row(claim)
            rows.append((result.experiment.name, text, trend, difference, n, verdict))
    return rows

"""report.md: what was asked, what was run, what came of it, and how to run it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stopcli.durations import format_duration
from stopcli.report.tables import Table
from stopcli.report.words import why_stopped

TEST_ROWS_CHOSE = (
    "The test rows also chose the saved epoch, as in the published experiment, so its test accuracy is too good; "
    "`--validation holdout` reports rows that chose nothing."
)


@dataclass(frozen=True)
class Made:
    """How a run was made.

    Attributes:
        config: the text of config.toml.
        environment: the content of environment.json.
        words: what was run, a line each.
    """

    config: str
    environment: Mapping[str, Any]
    words: Sequence[str] = ()


def run_report(
    title: str, summary: Mapping[str, Any], tables: Sequence[Table], made: Made, plots: Sequence[str]
) -> str:
    """The report of one run.

    Args:
        tables: the results, then further ones.
        plots: paths of the figures, relative to the report.
    """
    return _report(title, [why_stopped(summary)], _notes(summary), summary, tables, made, plots)


def sweep_report(
    title: str,
    summary: Mapping[str, Any],
    tables: Sequence[Table],
    made: Made,
    plots: Sequence[str],
    words: Sequence[str] = (),
) -> str:
    """The report of a sweep; arguments as for `run_report`.

    Args:
        words: what follows from the results.
    """
    why = f" ({summary['reason']})" if summary["reason"] else ""
    told = f"{summary['finished']} of {len(summary['jobs'])} runs finished; state: {summary['state']}{why}."
    failed = "\n".join(f"- {job['name']}: {job['state']} ({job['reason']})" for job in summary["jobs"] if job["reason"])
    notes = f"- {TEST_ROWS_CHOSE}" if summary["test_rows_chose"] else ""
    return _report(title, [told, failed, *words], notes, summary, tables, made, plots)


def range_report(title: str, summary: Mapping[str, Any], table: Table, made: Made, plots: Sequence[str]) -> str:
    """The report of a range test; arguments as for `run_report`."""
    why = f" ({summary['reason']})" if summary["reason"] else ""
    told = f"{summary['finished']} of {summary['seeds']} seeds tested; state: {summary['state']}{why}."
    return _report(title, [told, *summary["conclusions"]], "", summary, [table], made, plots)


def _report(
    title: str,
    told: Sequence[str],
    notes: str,
    summary: Mapping[str, Any],
    tables: Sequence[Table],
    made: Made,
    plots: Sequence[str],
) -> str:
    results, *others = tables
    parts = [
        f"# {title}",
        *told,
        "\n".join(f"- {words}" for words in made.words),
        _warnings(summary),
        _scale(summary),
        "## Results",
        results.markdown(),
        notes,
        *(f"## {table.title}\n\n{table.markdown()}" for table in others),
        *_figures(plots),
        "## Time",
        _seconds(summary),
        _how(made),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _warnings(summary: Mapping[str, Any]) -> str:
    return "\n".join(f"> Warning: {warning}." for warning in summary["warnings"])


def _scale(summary: Mapping[str, Any]) -> str:
    if summary["scale"] == "quick":
        return "Quick scale: a smaller version of the published setting, for a trend and not for a comparison with it."
    return ""


def _notes(summary: Mapping[str, Any]) -> str:
    stop = summary["stop"]
    rows = ", ".join(f"{count:,} {part}" for part, count in summary["rows"].items())
    notes = [f"- Rows: {rows}. Parameters of the model: {summary['parameters']:,}."]
    if stop["margin"]:
        of = "the threshold" if stop["reason"] == "threshold" else "its best"
        notes.append(f"- At the stop {summary['monitor']} lay {stop['margin']:.4g} from {of}.")
    notes.append(
        "- The curves' training values are means over each epoch as it trains, as Keras reports them; the table's are "
        "measured on the finished model."
    )
    # A run that was left before its end may have measured nothing.
    if summary["best"] and "test" in summary["best"] and "val" not in summary["best"]:
        notes.append(f"- {TEST_ROWS_CHOSE}")
    return "\n".join(notes)


def _figures(plots: Sequence[str]) -> list[str]:
    return (
        ["## Figures", *(f"![{plot.rsplit('/', 1)[-1].removesuffix('.png')}]({plot})" for plot in plots)]
        if plots
        else []
    )


def _seconds(summary: Mapping[str, Any]) -> str:
    rows = tuple((part, f"{seconds:.2f}") for part, seconds in summary["seconds"].items() if seconds >= 0.005)
    told = Table("Time", ("part", "seconds"), rows).markdown()
    if summary.get("projected_train_seconds"):
        took, projected = summary["train_seconds"], summary["projected_train_seconds"]
        told += f"\nTraining took {format_duration(took)}; its first steps promised {format_duration(projected)} for "
        told += f"all {summary['max_epochs']} epochs."
    if summary.get("samples_per_second"):
        told += f" {summary['samples_per_second']:,.0f} training rows a second, validation included."
    return told


def _how(made: Made) -> str:
    environment = made.environment
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    executed = [f"- Runs executed: {environment['executor']}"] if "executor" in environment else []
    # A sweep's runs say for themselves what they computed on.
    gpus = f", {len(environment['gpus'])} GPUs" if "gpus" in environment else ""
    return "\n".join(
        [
            "## How it was made",
            "",
            f"- Command: `{shlex.join(['stopcli', *environment['argv'][1:]])}`",
            f"- Machine: {environment['platform']}, {environment['cpu']}, {environment['cores']} cores{gpus}",
            *executed,
            f"- Versions: {versions}",
            "",
            "`stopcli run config.toml` runs it again; config.toml holds:",
            "",
            "```toml",
            made.config.rstrip(),
            "```",
        ]
    )

"""What the reports of runs, sweeps and range tests say: what was asked, what came of it, how to run it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stopcli.durations import format_duration
from stopcli.report.document import Bullets, Code, Document, Paragraph, Part, Picture, Section, Warn
from stopcli.report.selection import selection_of, selection_table
from stopcli.report.tables import Table
from stopcli.report.words import interval_words, words_of

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
    title: str, summary: Mapping[str, Any], tables: Sequence[Table], made: Made, pictures: Sequence[Picture]
) -> Document:
    """The report of one run.

    Args:
        tables: the results, then further ones.
    """
    found = selection_of(summary)
    shown = [*tables, *([selection_table(found)] if found else [])]
    return _report(title, words_of(summary), _notes(summary), summary, shown, made, pictures)


def sweep_report(
    title: str,
    summary: Mapping[str, Any],
    tables: Sequence[Table],
    made: Made,
    pictures: Sequence[Picture],
    words: Sequence[str] = (),
) -> Document:
    """The report of a sweep; arguments as for `run_report`.

    Args:
        words: what follows from the results.
    """
    why = f" ({summary['reason']})" if summary["reason"] else ""
    told = f"{summary['finished']} of {len(summary['jobs'])} runs finished; state: {summary['state']}{why}."
    failed = [f"{job['name']}: {job['state']} ({job['reason']})" for job in summary["jobs"] if job["reason"]]
    notes = [TEST_ROWS_CHOSE] if summary["test_rows_chose"] else []
    return _report(title, [told, *words], notes, summary, tables, made, pictures, failed)


def range_report(
    title: str, summary: Mapping[str, Any], table: Table, made: Made, pictures: Sequence[Picture]
) -> Document:
    """The report of a range test; arguments as for `run_report`."""
    why = f" ({summary['reason']})" if summary["reason"] else ""
    told = f"{summary['finished']} of {summary['seeds']} seeds tested; state: {summary['state']}{why}."
    return _report(title, [told, *summary["conclusions"]], [], summary, [table], made, pictures)


def _report(
    title: str,
    told: Sequence[str],
    notes: Sequence[str],
    summary: Mapping[str, Any],
    tables: Sequence[Table],
    made: Made,
    pictures: Sequence[Picture],
    failed: Sequence[str] = (),
) -> Document:
    results, *others = tables
    lead: list[Part] = [Paragraph(text) for text in told]
    lead += [Bullets(tuple(points)) for points in (failed, made.words) if points]
    lead += [Warn(f"{warning}.") for warning in summary["warnings"]]
    if summary["scale"] == "quick":
        quick = "Quick scale: a smaller version of the published setting, for a trend and not for a comparison with it."
        lead.append(Paragraph(quick))
    shown: list[Part] = [results, *([Bullets(tuple(notes))] if notes else [])]
    sections = [Section("Results", tuple(shown)), *(Section(table.title, (table,)) for table in others)]
    if pictures:
        sections.append(Section("Figures", tuple(pictures)))
    sections += [
        Section("Time", _seconds(summary)),
        Section("How it was made", how_it_was_made(made.environment, made.config)),
    ]
    return Document(title, tuple(lead), tuple(sections))


def _notes(summary: Mapping[str, Any]) -> list[str]:
    stop = summary["stop"]
    rows = ", ".join(f"{count:,} {part}" for part, count in summary["rows"].items())
    notes = [f"Rows: {rows}. Parameters of the model: {summary['parameters']:,}."]
    if stop["margin"]:
        of = "the threshold" if stop["reason"] == "threshold" else "its best"
        notes.append(f"At the stop {summary['monitor']} lay {stop['margin']:.4g} from {of}.")
    notes.append(
        "The curves' training values are means over each epoch as it trains, as Keras reports them; the table's are "
        "measured on the finished model."
    )
    if said := interval_words(summary):
        notes.append(said)
    # A run that was left before its end may have measured nothing.
    if summary["best"] and "test" in summary["best"] and "val" not in summary["best"]:
        notes.append(TEST_ROWS_CHOSE)
    return notes


def _seconds(summary: Mapping[str, Any]) -> tuple[Part, ...]:
    rows = tuple((part, f"{seconds:.2f}") for part, seconds in summary["seconds"].items() if seconds >= 0.005)
    told = []
    if summary.get("projected_train_seconds"):
        took, projected = summary["train_seconds"], summary["projected_train_seconds"]
        told.append(
            f"Training took {format_duration(took)}; its first steps promised {format_duration(projected)} for "
            f"all {summary['max_epochs']} epochs."
        )
    if summary.get("samples_per_second"):
        told.append(f"{summary['samples_per_second']:,.0f} training rows a second, validation included.")
    return (Table("Time", ("part", "seconds"), rows), *([Paragraph(" ".join(told))] if told else []))


def how_it_was_made(environment: Mapping[str, Any], config: str = "") -> tuple[Part, ...]:
    """Command, machine and versions.

    Args:
        environment: the content of environment.json.
        config: the text of config.toml; empty where there is none.
    """
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    executed = [f"Runs executed: {environment['executor']}"] if "executor" in environment else []
    # A sweep's runs say for themselves what they computed on.
    gpus = f", {len(environment['gpus'])} GPUs" if "gpus" in environment else ""
    points = (
        f"Command: `{shlex.join(['stopcli', *environment['argv'][1:]])}`",
        f"Machine: {environment['platform']}, {environment['cpu']}, {environment['cores']} cores{gpus}",
        *executed,
        f"Versions: {versions}",
    )
    if not config:
        return (Bullets(points),)
    again = Paragraph("`stopcli run config.toml` runs it again; config.toml holds:")
    return (Bullets(points), again, Code(config, "toml"))

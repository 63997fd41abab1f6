"""What the reports of runs, sweeps and range tests say: what was asked, what came of it, how to run it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stopcli.counts import agreeing, counted
from stopcli.durations import format_duration
from stopcli.report.document import Bullets, Code, Document, Paragraph, Part, Picture, Section, Warn
from stopcli.report.inline import code
from stopcli.report.selection import selection_of, selection_table
from stopcli.report.tables import Table
from stopcli.report.words import interval_words, words_of

TEST_ROWS_CHOSE = (
    "The test rows also chose the saved epoch, as in the published experiment, so its test accuracy is too good; "
    "`--validation holdout` reports rows that chose nothing."
)


@dataclass(frozen=True)
class Provenance:
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
    title: str, summary: Mapping[str, Any], tables: Sequence[Table], provenance: Provenance, pictures: Sequence[Picture]
) -> Document:
    """The report of one run.

    Args:
        tables: the results, then further ones.
    """
    found = selection_of(summary)
    shown = [*tables, *([selection_table(found)] if found else [])]
    return _report(title, words_of(summary), _notes(summary), summary, shown, provenance, pictures)


def sweep_report(
    title: str,
    summary: Mapping[str, Any],
    tables: Sequence[Table],
    provenance: Provenance,
    pictures: Sequence[Picture],
) -> Document:
    """The report of a sweep; arguments as for `run_report`."""
    why = f" ({summary['reason']})" if summary["reason"] else ""
    told = f"{summary['finished']} of {counted(len(summary['jobs']), 'run')} finished; state: {summary['state']}{why}."
    failed = [f"{job['name']}: {job['state']} ({job['reason']})" for job in summary["jobs"] if job["reason"]]
    notes = [TEST_ROWS_CHOSE] if summary["test_rows_chose"] else []
    return _report(title, [told, *summary["conclusions"]], notes, summary, tables, provenance, pictures, failed)


def range_report(
    title: str, summary: Mapping[str, Any], tables: Sequence[Table], provenance: Provenance, pictures: Sequence[Picture]
) -> Document:
    """The report of a range test; arguments as for `run_report`."""
    why = f" ({summary['reason']})" if summary["reason"] else ""
    told = f"{summary['finished']} of {counted(summary['seeds'], 'seed')} tested; state: {summary['state']}{why}."
    return _report(title, [told, *summary["conclusions"]], [], summary, tables, provenance, pictures)


def _report(
    title: str,
    told: Sequence[str],
    notes: Sequence[str],
    summary: Mapping[str, Any],
    tables: Sequence[Table],
    provenance: Provenance,
    pictures: Sequence[Picture],
    failed: Sequence[str] = (),
) -> Document:
    results, *others = tables
    lead: list[Part] = [Paragraph(text) for text in told]
    asked = [*(provenance.words or [f"Data: {summary['dataset']}."]), _scale(summary)]
    lead += [Bullets(tuple(points)) for points in (failed, asked) if points]
    lead += [Warn(f"{warning}.") for warning in summary["warnings"]]
    if summary["scale"] == "quick":
        quick = "Quick scale: a smaller version of the published setting, for a trend and not for a comparison with it."
        lead.append(Paragraph(quick))
    shown: list[Part] = [results, *([Bullets(tuple(notes))] if notes else [])]
    sections = [Section("Results", tuple(shown))]
    if pictures:
        sections.append(Section("Figures", tuple(pictures)))
    sections += [Section(table.title, (table,)) for table in others]
    sections += [
        Section("Time", _seconds(summary)),
        Section("How it was made", how_it_was_made(provenance.environment, provenance.config, _left(summary))),
    ]
    return Document(title, tuple(lead), tuple(sections))


def _scale(summary: Mapping[str, Any]) -> str:
    first, seeds = summary["seed"], summary.get("seeds", 1)
    of_seeds = f"seed {first}" if seeds == 1 else f"seeds {first} to {first + seeds - 1}"
    return f"Scale: {summary['scale']}; {of_seeds}."


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


def _left(summary: Mapping[str, Any]) -> str:
    """The state of what was summed up; of what diverged, which cannot be gone on with, that it finished."""
    diverged = (summary.get("stop") or {}).get("reason") == "non_finite"
    return "finished" if diverged else str(summary["state"])


def _seconds(summary: Mapping[str, Any]) -> tuple[Part, ...]:
    spent = {part: f"{seconds:.2f}" for part, seconds in summary["seconds"].items() if seconds >= 0.005}
    told = []
    if summary.get("projected_train_seconds"):
        took = summary.get("train_and_validation_seconds", summary["train_seconds"])
        projected = summary["projected_train_seconds"]
        told.append(
            f"Training and validating took {format_duration(took)}; the first steps promised "
            f"{format_duration(projected)} for {counted(summary['max_epochs'], 'epoch')}."
        )
    if summary.get("samples_per_second"):
        told.append(f"{summary['samples_per_second']:,.0f} training rows a second, validation included.")
    table = Table("Time", ("part", *spent), (("seconds", *spent.values()),))
    return (table, *([Paragraph(" ".join(told))] if told else []))


def how_it_was_made(environment: Mapping[str, Any], config: str = "", state: str = "finished") -> tuple[Part, ...]:
    """Command, machine, versions, and how it is made again, or gone on with.

    Args:
        environment: the content of environment.json; empty where a run was killed before it wrote one.
        config: the text of config.toml; empty where there is none.
        state: of the run.
    """
    parts: list[Part] = []
    if environment:
        parts.append(Bullets(_environment(environment)))
    if not config:
        return tuple(parts)
    again = "In this folder, `stopcli run config.toml` runs it again, in a new one"
    if state == "running":
        again = "It is being written by a process; `stopcli report .` in this folder says later how it stands"
    elif state != "finished":
        again += ", and `stopcli resume .` goes on with this one"
    return (*parts, Paragraph(f"{again}. config.toml holds:"), Code(config, "toml"))


def _environment(environment: Mapping[str, Any]) -> tuple[str, ...]:
    # A sweep's runs say for themselves what they computed on.
    gpus = f", {counted(len(environment['gpus']), 'GPU')}" if "gpus" in environment else ""
    points = []
    if "argv" in environment:
        points.append(f"Command: {code(shlex.join(['stopcli', *environment['argv'][1:]]))}")
    if {"platform", "cpu", "cores"} <= environment.keys():
        cores = f"{environment['cores']} {agreeing(environment['cores'], 'core', 'cores')}"
        points.append(f"Machine: {environment['platform']}, {environment['cpu']}, {cores}{gpus}")
    if "executor" in environment:
        points.append(f"Runs executed: {environment['executor']}")
    if "versions" in environment:
        points.append(
            "Versions: " + ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
        )
    resumed = environment.get("resumed") or []
    if resumed:
        places = ", ".join(str(session.get("from_epoch", "?")) for session in resumed)
        points.append(f"Gone on with {counted(len(resumed), 'time')}, after epoch {places}")
    return tuple(points)

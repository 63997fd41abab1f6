"""REPRODUCTION.md and .html as a document: reported beside measured, a verdict on each, and how it was made."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stopcli.counts import agreeing, numbered
from stopcli.counts import counted as counted_words
from stopcli.evidence.differences import difference_cell
from stopcli.evidence.interval import MeanInterval
from stopcli.report.document import Bullets, Code, Document, Paragraph, Part, Picture, Section, Warn
from stopcli.report.results import how_it_was_made
from stopcli.report.tables import Table
from stopcli.runs.files import read_json
from stopcli.studies.reproducing.children import took
from stopcli.studies.reproducing.images import Images
from stopcli.studies.reproducing.measures import Measure
from stopcli.studies.reproducing.planning import Experiment
from stopcli.studies.reproducing.results import ClaimResult, ExperimentResult, ValueResult, counted
from stopcli.studies.reproducing.settings import needs_images

# Stands in every file that is made, so that no other is ever written over. Plain, so that it is the same in HTML.
MARKER = "This file was made by stopcli reproduce, and its next call makes it again."

VALUE_COLUMNS = ("arm", "value", "reported", "measured: mean [95 % interval]", "n", "band", "verdict")
CLAIM_COLUMNS = ("what was concluded", "difference measured [95 % interval]", "n", "trend", "verdict")
_WHAT_VERDICTS_MEAN = (
    "reproduced, not reproduced: the published setting was run on the published data, and the mean over the seeds lies "
    "in the band, or outside; a comparison of two arms is distinguishable from none, in the published direction, or "
    "against it",
    "trend only: a smaller setting or other data were run, or the conclusion was published for another setting, so a "
    "value cannot agree with the published one; what can be asked is whether the arms differ in the same direction",
    "not distinguishable: the paired differences over seeds, by their BCa bootstrap interval and a t-test, cannot be "
    "told from none",
    "shown, not judged: times of other machines, values that were reported for another setting, what was published "
    "as a figure only, and what some run has no value of",
)


@dataclass(frozen=True)
class ReportContext:
    """What a report needs beside the results.

    Attributes:
        words: the options that make it again, without the files.
        problems: why a sweep failed, by its name.
        unfinished: why not everything was run, in a sentence; empty where it was.
        environment: with what it was made.
    """

    scale: str
    words: tuple[str, ...]
    images: Images | None
    environment: Mapping[str, Any]
    problems: Mapping[str, str] = field(default_factory=dict)
    unfinished: str = ""


def reproduction_document(
    results: Sequence[ExperimentResult], pictures: Mapping[str, Sequence[Picture]], told: ReportContext
) -> Document:
    """The report.

    Args:
        pictures: by experiment.
    """
    lead: list[Part] = [Paragraph(f"{sums_up(results)} {MARKER}")]
    if told.unfinished:
        lead.append(Warn(told.unfinished))
    if told.images is not None and not told.images.published:
        lead.append(Warn(f"Trained on {told.images.words}."))
        lead += [Warn(f"{note}.") for note in told.images.notes]
    lead.append(_overview(results))
    sections = [_section(result, pictures.get(result.experiment.name, ()), told) for result in results]
    versions = tuple(Warn(words) for words in other_versions(results, told.environment))
    made = (*versions, *how_it_was_made(told.environment), _times(results))
    return Document(
        "Published results, repeated",
        tuple(lead),
        (
            *sections,
            Section("What the verdicts mean", (Bullets(_WHAT_VERDICTS_MEAN),)),
            Section("How it was made", made),
        ),
    )


def sums_up(results: Sequence[ExperimentResult]) -> str:
    """How often each verdict was given, in a sentence."""
    counts = counted(results)
    shown = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    total = sum(counts.values())
    files = counted_words(len(results), "published result")
    what = agreeing(total, "value or conclusion", "values and conclusions")
    return f"{total} {what} of {files}: {shown}."


def value_row(result: ValueResult) -> tuple[str, ...]:
    """A row of an experiment's values."""
    return (
        result.arm.title,
        result.measure.title,
        _reported(result),
        _measured(result),
        f"{result.measured.n if result.measured else 0} of {result.runs.planned}" if result.runs.planned else "–",
        _band(result),
        result.verdict,
    )


def _reported(result: ValueResult) -> str:
    if result.reported.value is None:
        return "a figure only"
    ratio = f" ({result.reported_ratio:.2f} ×)" if result.reported_ratio else ""
    return result.measure.show(result.reported.value) + ratio


def _measured(result: ValueResult) -> str:
    if result.measured is None:
        return "–"
    ratio = f" ({result.ratio} ×)" if result.ratio else ""
    return _mean_and_interval(result.measured, result.measure) + ratio


def _mean_and_interval(mean: MeanInterval, measure: Measure) -> str:
    if mean.low is None or mean.high is None:
        return measure.show(mean.mean)
    return f"{measure.show(mean.mean)} [{measure.show(mean.low)}, {measure.show(mean.high)}]"


def _band(result: ValueResult) -> str:
    bounds = result.reported.bounds
    return "–" if bounds is None else f"{result.measure.show(bounds[0])} to {result.measure.show(bounds[1])}"


def claim_row(result: ClaimResult) -> tuple[str, ...]:
    """A row of an experiment's conclusions."""
    pair = result.pair
    n = "–" if pair is None else str(pair.n)
    return (result.text, difference_cell(pair), n, result.trend if pair is not None else "–", result.verdict)


def _overview(results: Sequence[ExperimentResult]) -> Table:
    rows = []
    for result in results:
        counts = counted([result])
        finished = sum(arm.runs.finished for arm in result.arms.values())
        planned = sum(arm.runs.planned for arm in result.arms.values())
        verdicts = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
        rows.append(
            (result.experiment.published.title, setting_words(result.experiment), f"{finished} of {planned}", verdicts)
        )
    return Table("Overview", ("published result", "what was run", "runs finished", "verdicts"), tuple(rows))


def setting_words(experiment: Experiment) -> str:
    """The scale and the data, in words."""
    config = experiment.sweeps[0].config
    scale = "the published setting" if config.scale == "full" else "quick: a smaller setting"
    dataset = getattr(config, "dataset", "")
    if not needs_images(experiment.published):
        return scale
    return f"{scale}, on {Path(dataset).name}"


def _section(result: ExperimentResult, pictures: Sequence[Picture], told: ReportContext) -> Section:
    experiment = result.experiment
    published = experiment.published
    parts: list[Part] = [
        Paragraph(f"{published.question} Source: {published.source.text}, {published.source.url}"),
        Paragraph(f"Run here: {setting_words(experiment)}. {_settings(result)}"),
    ]
    for sweep in experiment.sweeps:
        if sweep.name in told.problems:
            parts.append(Warn(f"{sweep.name} failed: {told.problems[sweep.name]}."))
    for arm, runs in result.arms.items():
        parts += [Warn(f"{arm}: {reason}.") for reason in runs.reasons]
    if result.values:
        parts.append(Table("Reported and measured", VALUE_COLUMNS, tuple(map(value_row, result.values))))
    if result.claims:
        parts.append(Table("Conclusions", CLAIM_COLUMNS, tuple(map(claim_row, result.claims))))
    notes = [*published.notes, *(f"{note}." for note in experiment.notes), *_reasons(result)]
    if notes:
        parts.append(Bullets(tuple(notes)))
    parts += pictures
    words = ["stopcli", "reproduce", experiment.path.as_posix(), *told.words, "--to", f"reproduced-{experiment.name}"]
    parts += [Paragraph("Alone:"), Code(shlex.join(words), "sh")]
    return Section(published.title, tuple(parts))


def _settings(result: ExperimentResult) -> str:
    """The seeds that were run, and what makes the quick setting another one."""
    seeds, config = _seeds(result), result.experiment.sweeps[0].config
    quick = result.experiment.published.quick or {}
    if config.scale != "quick" or not quick:
        return seeds
    changed = ", ".join(f"{name} = {_plain(getattr(config, name))}" for name in quick if name != "seeds")
    return f"{seeds} What differs from the published setting: {changed}."


def _seeds(result: ExperimentResult) -> str:
    """Which seeds have finished, of those that were planned."""
    config = result.experiment.sweeps[0].config
    planned = numbered("seed", range(config.seed, config.seed + config.seeds)).capitalize()
    # Arms that the setting has none of are said to be in the tables.
    arms = {
        result.experiment.published.arm(name).title: runs for name, runs in result.arms.items() if runs.runs.planned
    }
    if all(len(runs.finished) == runs.runs.planned for runs in arms.values()):
        return f"{planned} of every arm." if config.seeds > 1 else f"{planned}."
    finished = [
        f"{title} ({numbered('seed', sorted(runs.finished)) if runs.finished else 'none'})"
        for title, runs in arms.items()
    ]
    return f"{planned} of every arm {agreeing(config.seeds, 'was', 'were')} to run; finished: {', '.join(finished)}."


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _reasons(result: ExperimentResult) -> list[str]:
    """Why the bands are what they are, and what was reported for another setting; each once."""
    found: dict[str, list[str]] = {}
    for each in result.values:
        if each.reported.why:
            found.setdefault(f"Band: {each.reported.why}", []).append(each.measure.title)
        if each.reported.elsewhere:
            found.setdefault(f"Reported for another setting: {each.reported.elsewhere}", []).append(each.arm.title)
    for claim in result.experiment.published.claims:
        if claim.elsewhere:
            found.setdefault(f"{claim.text}: {claim.elsewhere}", [])
    return [f"{words} ({', '.join(dict.fromkeys(which))})." if which else f"{words}." for words, which in found.items()]


def other_versions(results: Sequence[ExperimentResult], environment: Mapping[str, Any]) -> list[str]:
    """What was run with other versions than those of now, a sentence each."""
    told = []
    for sweep in (sweep for result in results for sweep in result.experiment.sweeps):
        there = read_json(sweep.folder / "environment.json").get("versions") or {}
        differing = [
            f"{name} {version} (now {environment['versions'].get(name)})"
            for name, version in there.items()
            if version != environment["versions"].get(name)
        ]
        if differing:
            told.append(f"{sweep.name} was run with {', '.join(differing)}.")
    return told


def _times(results: Sequence[ExperimentResult]) -> Table:
    rows = tuple(
        (sweep.name, took(sweep), sweep.folder.as_posix()) for result in results for sweep in result.experiment.sweeps
    )
    return Table("Time", ("runs", "took", "folder"), rows)

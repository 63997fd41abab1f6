"""The files that a reproduction writes: REPRODUCTION.md and .html, and beside them its figures and a summary."""

import os
import shlex
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from stopcli.configs.base import published_folder
from stopcli.errors import RequestError
from stopcli.paths import check_path
from stopcli.quantities import agreeing, counted, format_duration, numbered
from stopcli.report.document import Bullets, Code, Document, Paragraph, Part, Picture, Section, Table, Warn
from stopcli.report.html import write_report
from stopcli.report.run_report import how_it_was_made
from stopcli.reproduce.plan import Experiment, ReproductionScale, Sweep
from stopcli.reproduce.results import ClaimResult, ExperimentResult, ValueResult, verdict_counts
from stopcli.reproduce.sizes import speed_tables
from stopcli.reproduce.spec import Images, needs_images
from stopcli.runs.environment import Environment, read_environment
from stopcli.runs.files import read_checked, read_json, replacing, write_json
from stopcli.runs.run import Run
from stopcli.runs.summary import RunSummary, SweepSummary
from stopcli.runs.typed_json import from_json
from stopcli.stats.differences import difference_cell

NAME = "REPRODUCTION"
FIGURES = "reproduction"
_COMMAND = "reproduce"
# Stands in every report, so that no other file is ever overwritten. Plain, so that it is the same in HTML.
MARKER = "This file was made by stopcli reproduce, and its next call makes it again."

VALUE_COLUMNS = ("arm", "value", "reported", "measured: mean [95 % interval]", "n", "band", "verdict")
CLAIM_COLUMNS = ("published conclusion", "measured difference [95 % interval]", "n", "trend", "verdict")
_WHAT_VERDICTS_MEAN = (
    "reproduced, not reproduced: the published setting was run on the published data. A value is reproduced where the "
    "mean over the seeds lies in the band, a conclusion where the two arms differ distinguishably in the published "
    "direction",
    "trend only: a smaller setting or other data were run, or the conclusion was published for another setting. A "
    "value cannot agree with the published one then; all that can be asked is whether the arms differ in the same "
    "direction",
    "not distinguishable: the paired differences over the seeds cannot be told from none, by their BCa bootstrap "
    "interval and a t-test",
    "shown, not judged: times of other machines, values that were reported for another setting, results that were "
    "published only as a figure, and values that some run did not measure",
)


@dataclass(frozen=True)
class ReportContext:
    """What a report needs beside the results.

    Attributes:
        options: that make it again, without the files.
        environment: in which it was made.
        failures: why a sweep failed, by its name.
        unfinished: why not everything was run, in a sentence; empty where it was.
    """

    scale: str
    options: tuple[str, ...]
    images: Images | None
    environment: Environment
    failures: Mapping[str, str] = field(default_factory=dict)
    unfinished: str = ""


def check_destination(folder: Path, names: Collection[str], scale: ReproductionScale) -> None:
    """Check that the report of the named experiments can be written, before anything is run: nothing that others made
    is overwritten, and no report by one that says less. Raises RequestError."""
    check_path(folder)
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir():
        raise RequestError(f"--to: {above} is a file, not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise RequestError(f"--to: {above} cannot be written")
    reports = [path for path in (folder / f"{NAME}.md", folder / f"{NAME}.html") if path.exists()]
    for path in reports:
        if not path.is_file() or MARKER not in path.read_text(encoding="utf-8", errors="replace"):
            raise _refusal(f"{path} was not made by stopcli reproduce, and is not overwritten")
    figures = folder / FIGURES
    if figures.exists() and not figures.is_dir():
        raise _refusal(f"{figures} is a file, not a folder for figures")
    # A folder of figures may also be of a call that was killed before its report, or have lost its report.
    is_ours = read_json(figures / "summary.json").get("command") == _COMMAND
    if figures.exists() and not reports and not is_ours and any(figures.iterdir()):
        raise _refusal(f"{figures} exists without a {NAME}.md beside it, and is not overwritten")
    if reports:
        summary, damage = read_checked(figures / "summary.json", lambda value: from_json(_EarlierReport, value))
        if damage:
            raise _refusal(f"{figures}/{damage}, so that it is not known what {reports[0]} reports")
        _check_says_no_less(reports[0], summary or _EarlierReport(), names, scale)


@dataclass(frozen=True)
class _EarlierExperiment:
    name: str


@dataclass(frozen=True)
class _EarlierReport:
    """What an earlier report covers, from its summary.json."""

    scale: str = ""
    experiments: tuple[_EarlierExperiment, ...] = ()


def _refusal(problem: str, hint: str = "--to names another folder.") -> RequestError:
    return RequestError(problem, hint=hint)


def _check_says_no_less(
    report: Path, summary: _EarlierReport, names: Collection[str], scale: ReproductionScale
) -> None:
    """Raise where a report would be replaced by one of fewer experiments, or of a smaller scale."""
    lost = [experiment.name for experiment in summary.experiments if experiment.name not in names]
    if lost:
        raise _refusal(
            f"{report} reports {', '.join(lost)} too, and would lose {agreeing(len(lost), 'it', 'them')}",
            "--to names another folder; or name all their files.",
        )
    scales = get_args(ReproductionScale)
    if summary.scale in scales[scales.index(scale) + 1 :]:
        raise _refusal(
            f"{report} was made at {summary.scale} scale, and would be replaced by one at {scale} scale",
            f"--to names another folder; --scale {summary.scale} continues that one.",
        )


def write_reproduction(folder: Path, results: Sequence[ExperimentResult], context: ReportContext) -> dict[str, Any]:
    """Write the files. Returns the content of summary.json."""
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    summary = summarise(results, context)
    # First, because it says whose folder it is.
    write_json(folder / FIGURES / "summary.json", summary)
    pictures = {result.experiment.name: _copy_figures(result.experiment, folder) for result in results}
    write_report(folder, reproduction_document(results, pictures, context), NAME)
    # The page holds them, and Markdown shows the PNG files.
    for picture in (picture for several in pictures.values() for picture in several):
        (folder / f"{picture.path}.svg").unlink(missing_ok=True)
    return summary


def _copy_figures(experiment: Experiment, folder: Path) -> list[Picture]:
    """Copies of the figures that an experiment's file names, as far as they were drawn."""
    pictures = []
    for figure in experiment.published.figures:
        sweep = experiment.sweep_of(figure.arm) if figure.arm else experiment.sweeps[0]
        if sweep is None:
            continue
        name = "-".join(filter(None, (experiment.name, figure.arm, figure.plot)))
        source, target = sweep.folder / "plots" / figure.plot, folder / FIGURES / name
        copied = [_copy(Path(f"{source}.{ending}"), Path(f"{target}.{ending}")) for ending in ("png", "svg")]
        if all(copied):
            pictures.append(Picture(f"{FIGURES}/{name}", figure.shows))
    return pictures


def _copy(source: Path, target: Path) -> bool:
    if not source.is_file():
        return False
    with replacing(target) as new:
        shutil.copyfile(source, new)
    return True


def summarise(results: Sequence[ExperimentResult], context: ReportContext) -> dict[str, Any]:
    """The content of summary.json."""
    return {
        "command": _COMMAND,
        "scale": context.scale,
        # Not where it lies: these files are shown to others.
        "dataset": context.images.label if context.images else None,
        "conclusions": [conclusion(results)],
        "unfinished": context.unfinished,
        "problems": dict(context.failures),
        "experiments": [_experiment_summary(result) for result in results],
    }


def _experiment_summary(result: ExperimentResult) -> dict[str, Any]:
    experiment = result.experiment
    return {
        "name": experiment.name,
        "title": experiment.published.title,
        "source": experiment.published.source.model_dump(),
        "scale": experiment.scale,
        **({"size": experiment.size} if experiment.size else {}),
        "published_setting": all(sweep.published for sweep in experiment.sweeps),
        "runs": [str(sweep.folder) for sweep in experiment.sweeps],
        "values": [
            {
                "arm": value.arm.spec.name,
                "measure": value.reported.measure,
                "reported": value.reported.value,
                "band": value.reported.band,
                **_interval_summary(value.measured),
                "planned": value.arm.counts.planned,
                "ratio": value.ratio.mean if value.ratio else None,
                "ratio_sd": value.ratio.sd if value.ratio else None,
                "reported_ratio": value.reported_ratio,
                "verdict": value.verdict,
            }
            for value in result.values
        ],
        "claims": [
            {
                "text": claim.text,
                "expected": claim.expected,
                **_interval_summary(claim.difference),
                "trend": claim.trend,
                "verdict": claim.verdict,
            }
            for claim in result.claims
        ],
    }


def _interval_summary(interval: Any) -> dict[str, Any]:
    return {name: getattr(interval, name, None) for name in ("n", "mean", "low", "high")}


def conclusion(results: Sequence[ExperimentResult]) -> str:
    """How often each verdict was given, in a sentence."""
    counts = verdict_counts(results)
    total = sum(counts.values())
    what = agreeing(total, "value or conclusion", "values and conclusions")
    return f"{total} {what} of {counted(len(results), 'published result')}: {_shown_counts(counts)}."


def _shown_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items())


def terminal_table(results: Iterable[ExperimentResult]) -> Table:
    """All values and conclusions, for a terminal."""
    rows: list[tuple[str, ...]] = []
    for result in results:
        name = result.experiment.name
        for value in result.values:
            arm, measure, reported, measured, n, _, verdict = value_row(value)
            rows.append((name, f"{arm}: {measure}", reported, measured, n, verdict))
        for claim in result.claims:
            text, difference, n, trend, verdict = claim_row(claim)
            rows.append((name, text, trend, difference, n, verdict))
    columns = ("experiment", "value or conclusion", "reported, or trend", "measured", "n", "verdict")
    return Table("Results", columns, tuple(rows))


def value_row(result: ValueResult) -> tuple[str, ...]:
    """A row of an experiment's values."""
    measure, mean, bounds, planned = result.measure, result.measured, result.reported.bounds, result.arm.counts.planned
    reported, measured = "a figure only", "–"
    if result.reported.value is not None:
        ratio = f" ({result.reported_ratio:.2f} ×)" if result.reported_ratio else ""
        reported = measure.cell(result.reported.value) + ratio
    if mean is not None:
        measured = mean.cell(measure.cell, sd=False) + (f" ({result.ratio} ×)" if result.ratio else "")
    return (
        result.arm.spec.title,
        measure.title,
        reported,
        measured,
        f"{mean.n if mean else 0} of {planned}" if planned else "–",
        "–" if bounds is None else " to ".join(map(measure.cell, bounds)),
        result.verdict,
    )


def claim_row(result: ClaimResult) -> tuple[str, ...]:
    """A row of an experiment's conclusions."""
    difference = result.difference
    if difference is None:
        return (result.text, "–", "–", "–", result.verdict)
    return (result.text, difference_cell(difference), str(difference.n), result.trend, result.verdict)


def reproduction_document(
    results: Sequence[ExperimentResult], pictures: Mapping[str, Sequence[Picture]], context: ReportContext
) -> Document:
    """The report, with the pictures of each experiment."""
    lead: list[Part] = [Paragraph(f"{conclusion(results)} {MARKER}")]
    if context.unfinished:
        lead.append(Warn(context.unfinished))
    if context.images is not None and not context.images.published:
        lead.append(Warn(f"Trained on {context.images.description}."))
        lead += [Warn(f"{note}.") for note in context.images.notes]
    lead.append(_overview(results))
    sweeps = [sweep for result in results for sweep in result.experiment.sweeps]
    times = tuple((sweep.name, _training_time(sweep), sweep.folder.as_posix()) for sweep in sweeps)
    provenance = (
        *other_versions(sweeps, context.environment),
        *how_it_was_made(context.environment),
        *speed_tables({result.experiment.name: result.experiment.size for result in results}),
        Table("Time", ("runs", "time", "folder"), times),
    )
    sections = (
        *(_section(result, pictures.get(result.experiment.name, ()), context) for result in results),
        Section("What the verdicts mean", (Bullets(_WHAT_VERDICTS_MEAN),)),
        Section("How it was made", provenance),
    )
    return Document("Published results, repeated", tuple(lead), sections)


def _overview(results: Iterable[ExperimentResult]) -> Table:
    rows = []
    for result in results:
        finished = sum(arm.counts.finished for arm in result.arms.values())
        planned = sum(arm.counts.planned for arm in result.arms.values())
        experiment, verdicts = result.experiment, _shown_counts(verdict_counts([result]))
        rows.append((experiment.published.title, _setting(experiment), f"{finished} of {planned}", verdicts))
    return Table("Overview", ("published result", "setting", "runs finished", "verdicts"), tuple(rows))


def _setting(experiment: Experiment) -> str:
    """The scale and the data that were run."""
    config, changed = experiment.sweeps[0].config, experiment.describe_changes()
    # A night's may differ in nothing but its precision.
    smaller = "quick (a smaller setting)" if experiment.scale == "quick" else "overnight (not the published setting)"
    scale = smaller if changed else "the published setting"
    return f"{scale}, on {Path(config.dataset).name}" if needs_images(experiment.published) else scale


def _section(result: ExperimentResult, pictures: Sequence[Picture], context: ReportContext) -> Section:
    experiment, published = result.experiment, result.experiment.published
    parts: list[Part] = [
        Paragraph(f"{published.question} Source: {published.source.text}, {published.source.url}"),
        Paragraph(f"Run here: {_setting(experiment)}. {_seeds(result)}{_changed_settings(experiment)}"),
    ]
    for sweep in experiment.sweeps:
        if sweep.name in context.failures:
            parts.append(Warn(f"{sweep.name} failed: {context.failures[sweep.name]}."))
    for name, arm in result.arms.items():
        parts += [Warn(f"{name}: {failure}.") for failure in arm.failures]
    if result.values:
        parts.append(Table("Reported and measured", VALUE_COLUMNS, tuple(map(value_row, result.values))))
    if result.claims:
        parts.append(Table("Conclusions", CLAIM_COLUMNS, tuple(map(claim_row, result.claims))))
    notes = (*published.notes, *(f"{note}." for note in experiment.notes), *_explanations(result))
    if notes:
        parts.append(Bullets(notes))
    # By its name where the file is stopcli's own: the folder that this machine has it in is of no use to readers.
    source = published.name if published.path.parent == published_folder() else published.path.as_posix()
    argv = ["stopcli", _COMMAND, source, *context.options, "--to", f"reproduced-{experiment.name}"]
    return Section(published.title, (*parts, *pictures, Paragraph("Only this result:"), Code(shlex.join(argv), "sh")))


def _seeds(result: ExperimentResult) -> str:
    """Which seeds have finished, of those that were planned."""
    config = result.experiment.sweeps[0].config
    planned = numbered("seed", range(config.seed, config.seed + config.most_seeds)).capitalize()
    # Arms that this setting does not have are in the tables.
    arms = [arm for arm in result.arms.values() if arm.counts.planned]
    if all(arm.counts.finished == arm.counts.planned for arm in arms):
        return f"{planned} of every arm." if config.most_seeds > 1 else f"{planned}."
    seeds = [numbered("seed", arm.runs.seeds) if arm.runs.seeds else "none" for arm in arms]
    finished = ", ".join(f"{arm.spec.title} ({finished})" for arm, finished in zip(arms, seeds, strict=True))
    return f"{planned} of every arm {agreeing(config.most_seeds, 'was', 'were')} planned; finished: {finished}."


def _changed_settings(experiment: Experiment) -> str:
    """In what the setting differs from the published one, and how its size was chosen; empty where neither is so."""
    changes, size = experiment.describe_changes(), experiment.size
    changed = f" Changed from the published setting: {changes}." if changes else ""
    return f"{changed} Chosen by a measurement: {size.describe()}." if size else changed


def _explanations(result: ExperimentResult) -> list[str]:
    """Why the bands are what they are, and what was reported for another setting; each once, with what it is of."""
    subjects: dict[str, list[str]] = {}
    for value in result.values:
        if value.reported.why:
            subjects.setdefault(f"Band: {value.reported.why}", []).append(value.measure.title)
        if value.reported.elsewhere:
            text = f"Reported for another setting: {value.reported.elsewhere}"
            subjects.setdefault(text, []).append(value.arm.spec.title)
    explained = [f"{text} ({', '.join(dict.fromkeys(names))})." for text, names in subjects.items()]
    claims = result.experiment.published.claims
    return [*explained, *(f"{claim.text}: {claim.elsewhere}." for claim in claims if claim.elsewhere)]


def other_versions(sweeps: Iterable[Sweep], environment: Environment) -> list[Warn]:
    """A warning on each sweep that was run with other versions than those of now."""
    now, warnings = environment["versions"], []
    for sweep in sweeps:
        versions = read_environment(sweep.folder)[0].get("versions", {})
        differing = [
            f"{name} {version} (now {now.get(name)})" for name, version in versions.items() if version != now.get(name)
        ]
        if differing:
            warnings.append(Warn(f"{sweep.name} was run with {', '.join(differing)}."))
    return warnings


def _training_time(sweep: Sweep) -> str:
    """How long a sweep took, by its own summary; a dash where it has none."""
    run = Run.read(sweep.folder)
    if not isinstance(run.summary, (RunSummary, SweepSummary)) or "total" not in run.summary.seconds:
        return "–"
    sessions, seconds = 1 + len(run.environment.get("resumed", ())), run.summary.seconds["total"]
    return format_duration(seconds) + (f" (the last of {sessions} sessions)" if sessions > 1 else "")

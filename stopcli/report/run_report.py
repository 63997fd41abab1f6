"""A run's result in sentences.

What the reports of runs, sweeps and range tests say: what was asked, what came of it, how to run it again.

Honest selection in tables and sentences: what the chosen epoch is worth, what the test rows would have claimed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from stopcli.quantities import agreeing, counted, format_duration
from stopcli.report.document import Bullets, Code, Document, Paragraph, Part, Picture, Section, Table, Warn, code
from stopcli.runs.environment import Environment
from stopcli.runs.summary import RangeSummary, RunSummary, Selection, Summary, SweepSummary, TrainingSummary
from stopcli.stats.intervals import proportion_of
from stopcli.stopping.combine import rule_of_reason
from stopcli.stopping.rule import Rule, Verdict

SELECTION = "Honest selection"


def selection_table(found: Selection) -> Table:
    """Of one run."""
    rows = [
        (f"by {each.monitor}", str(each.epoch), f"{each.test_accuracy:.3f}") for each in (found.honest, found.claimed)
    ]
    difference = ("the test rows would claim", "", f"{found.optimism:+.3f}")
    return Table(SELECTION, ("epoch chosen", "epoch", "accuracy on the test rows"), (*rows, difference), sums=1)


def selection_words(found: Selection, test_rows: int) -> str:
    """Of one run, in a sentence or two.

    Args:
        test_rows: that the accuracies were measured on.
    """
    honest, claimed = found.honest, found.claimed
    more = "more" if found.optimism > 0 else "less"
    by = "as much"
    if found.optimism:
        rows = f"{round(abs(found.optimism) * test_rows):,} of {counted(test_rows, 'row')}"
        by = f"{abs(found.optimism):.3f} {more}. That is {rows}; how much of it is their luck, one run cannot tell"
    return (
        f"Chosen by {honest.monitor}, epoch {honest.epoch} has a test accuracy of {honest.test_accuracy:.3f}, on rows "
        f"that chose nothing; chosen by {claimed.monitor}, epoch {claimed.epoch} would have claimed "
        f"{claimed.test_accuracy:.3f}: {by}."
    )


def why_stopped(summary: RunSummary) -> str:
    """A sentence or two: at which epoch training stopped and why, and which epoch the final model is of."""
    stop, epochs = summary.stop, summary.max_epochs
    at = f"epoch {stop.epoch} of {summary.max_epochs}"
    best = _best_so_far(stop, summary.monitor)
    sentences = {
        "completed": f"{agreeing(epochs, 'Ran its only epoch', f'Ran all {epochs} epochs')}; no rule stopped it{best}.",
        "non_finite": f"Broke off at {at}: {stop.rule}. Every epoch until then is kept.",
        "time_budget": f"Paused after {at} ({stop.rule}); everything is saved{best}.",
        "interrupted": f"Interrupted after {at} by {stop.rule}; everything until then is saved{best}.",
    }
    text = sentences.get(stop.reason) or f"Stopped at {at}: {_rule_words(stop)}{best}."
    if summary.final.epoch != summary.epochs:
        text += f" The final model is restored: that of epoch {summary.final.epoch}."
    return text


def words_of(summary: Summary) -> list[str]:
    """What is said of a summary beside its table: of a run why it stopped, of any what follows, of a run what choosing
    on the test rows would have claimed."""
    if not isinstance(summary, RunSummary):
        return list(summary.conclusions)
    selection = [] if summary.selection is None else [selection_words(summary.selection, summary.rows.test)]
    return [why_stopped(summary), *summary.conclusions, *selection]


def interval_words(summary: RunSummary) -> str:
    """What the brackets behind a run's test accuracies are; empty where none was measured."""
    counts = []
    for model, name in ((summary.final, "final model"), (summary.best, "saved model")):
        accuracy = None if model is None else model.get("test", "accuracy")
        interval = None if accuracy is None else proportion_of(accuracy, summary.rows.test)
        if interval:
            counts.append(f"{interval.right:,} of {interval.rows:,} ({name})")
    if not counts:
        return ""
    return (
        f"Test rows that were right: {', '.join(counts)}. In brackets the 95 % interval (Wilson) that so many rows "
        "leave; it speaks of other rows like these, not of other seeds."
    )


def _rule_words(stop: Verdict) -> str:
    rule = rule_of_reason(stop.reason)
    if rule is None:
        # Another version may have other rules.
        return stop.rule
    text = dict(rule.sentences)[stop.reason]
    wait, since = counted(stop.wait, "epoch"), stop.epoch - stop.wait
    return f"{text.format(wait=wait, since=since)} ({stop.rule})"


def _best_so_far(stop: Verdict, monitor: str) -> str:
    # A threshold is reached at its best.
    if stop.best_value is None or (rule_of_reason(stop.reason) and stop.best_epoch == stop.epoch):
        return ""
    return f"; the best {monitor}, {stop.best_value:.4f}, was at epoch {stop.best_epoch}"


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
    environment: Environment
    words: Sequence[str] = ()


def run_report(
    title: str, summary: RunSummary, tables: Sequence[Table], provenance: Provenance, pictures: Sequence[Picture]
) -> Document:
    """The report of one run.

    Args:
        tables: the results, then further ones.
    """
    selection = [] if summary.selection is None else [selection_table(summary.selection)]
    return _report(title, words_of(summary), _notes(summary), summary, [*tables, *selection], provenance, pictures)


def sweep_report(
    title: str, summary: SweepSummary, tables: Sequence[Table], provenance: Provenance, pictures: Sequence[Picture]
) -> Document:
    """The report of a sweep; arguments as for `run_report`."""
    why = f" ({summary.reason})" if summary.reason else ""
    told = f"{summary.finished} of {counted(len(summary.jobs), 'run')} finished; state: {summary.state}{why}."
    failed = [f"{job.name}: {job.state} ({job.reason})" for job in summary.jobs if job.reason]
    notes = [TEST_ROWS_CHOSE] if summary.test_rows_chose else []
    return _report(title, [told, *summary.conclusions], notes, summary, tables, provenance, pictures, failed)


def range_report(
    title: str, summary: RangeSummary, tables: Sequence[Table], provenance: Provenance, pictures: Sequence[Picture]
) -> Document:
    """The report of a range test; arguments as for `run_report`."""
    why = f" ({summary.reason})" if summary.reason else ""
    told = f"{summary.finished} of {counted(summary.seeds, 'seed')} tested; state: {summary.state}{why}."
    return _report(title, [told, *summary.conclusions], [], summary, tables, provenance, pictures)


def _report(
    title: str,
    told: Sequence[str],
    notes: Sequence[str],
    summary: TrainingSummary,
    tables: Sequence[Table],
    provenance: Provenance,
    pictures: Sequence[Picture],
    failed: Sequence[str] = (),
) -> Document:
    results, *others = tables
    lead: list[Part] = [Paragraph(text) for text in told]
    asked = [*(provenance.words or [f"Data: {summary.dataset}."]), _scale(summary)]
    lead += [Bullets(tuple(points)) for points in (failed, asked) if points]
    lead += [Warn(f"{warning}.") for warning in summary.warnings]
    if summary.scale == "quick":
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


def _scale(summary: TrainingSummary) -> str:
    first, seeds = summary.seed, 1 if isinstance(summary, RunSummary) else summary.seeds
    of_seeds = f"seed {first}" if seeds == 1 else f"seeds {first} to {first + seeds - 1}"
    return f"Scale: {summary.scale}; {of_seeds}."


def _notes(summary: RunSummary) -> list[str]:
    stop = summary.stop
    rows = ", ".join(f"{count:,} {part}" for part, count in asdict(summary.rows).items())
    notes = [f"Rows: {rows}. Parameters of the model: {summary.parameters:,}."]
    if stop.margin:
        of = (rule_of_reason(stop.reason) or Rule).margin_from
        notes.append(f"At the stop {summary.monitor} lay {stop.margin:.4g} from {of}.")
    notes.append(
        "The curves' training values are means over each epoch as it trains, as Keras reports them; the table's are "
        "measured on the finished model."
    )
    if said := interval_words(summary):
        notes.append(said)
    # A run that was left before its end may have measured nothing.
    if summary.best and summary.best.test is not None and summary.best.val is None:
        notes.append(TEST_ROWS_CHOSE)
    return notes


def _left(summary: TrainingSummary) -> str:
    """The state of what was summed up; of what diverged, which cannot be gone on with, that it finished."""
    return "finished" if isinstance(summary, RunSummary) and summary.diverged else summary.state


def _seconds(summary: TrainingSummary) -> tuple[Part, ...]:
    spent = {part: f"{seconds:.2f}" for part, seconds in summary.seconds.items() if seconds >= 0.005}
    told = []
    if isinstance(summary, RunSummary) and summary.projected_train_seconds:
        took, projected = summary.train_and_validation_seconds, summary.projected_train_seconds
        told.append(
            f"Training and validating took {format_duration(took)}; the first steps promised "
            f"{format_duration(projected)} for {counted(summary.max_epochs, 'epoch')}."
        )
    if isinstance(summary, RunSummary) and summary.samples_per_second:
        told.append(f"{summary.samples_per_second:,.0f} training rows a second, validation included.")
    table = Table("Time", ("part", *spent), (("seconds", *spent.values()),))
    return (table, *([Paragraph(" ".join(told))] if told else []))


def how_it_was_made(environment: Environment, config: str = "", state: str = "finished") -> tuple[Part, ...]:
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


def _environment(environment: Environment) -> tuple[str, ...]:
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

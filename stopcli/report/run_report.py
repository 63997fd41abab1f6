"""The reports of runs, sweeps and range tests: what was run, what came of it, and how to run it again."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from stopcli.quantities import agreeing, counted, format_duration, numbered
from stopcli.report.document import (
    Bullets,
    Code,
    Document,
    Paragraph,
    Part,
    Picture,
    Section,
    Table,
    Warn,
    alt_text,
    code,
)
from stopcli.report.next_steps import NextStep, next_section
from stopcli.runs.environment import Environment
from stopcli.runs.run import run_argument
from stopcli.runs.summary import (
    AnalysisSummary,
    ModelClasses,
    ModelValues,
    ReportParts,
    RunSummary,
    Selection,
    Summary,
    SweepSummary,
    TrainingSummary,
)
from stopcli.stats.intervals import proportion_of
from stopcli.stopping.combine import rule_of_reason
from stopcli.stopping.rule import Rule, Verdict

COLUMNS = (
    "stopped at",
    "final epoch",
    "train accuracy",
    "test accuracy",
    "saved epoch",
    "its train acc.",
    "its test acc.",
)
_EPOCHS = ("stopped at", "final epoch", "saved epoch")
_TEST = ("test accuracy", "its test acc.")
SELECTION = "Honest selection"
TEST_ROWS_CHOSE = (
    "The test rows also chose the saved epoch, as in the published experiment, so its test accuracy is too high; "
    "`--validation holdout` reports the accuracy on rows that chose nothing."
)
_QUICK = "Quick scale: a smaller version of the published setting, which shows trends and cannot be compared with it."


def model_values(summary: RunSummary) -> dict[str, float]:
    """A run's values by column, without what was not measured."""
    final, best = summary.final, summary.best
    values: dict[str, float | None] = {
        "stopped at": summary.epochs,
        "final epoch": final.epoch,
        "train accuracy": final.get("train", "accuracy"),
        "test accuracy": final.get("test", "accuracy"),
    }
    if best is not None:
        values["saved epoch"] = best.epoch
        values["its train acc."] = best.get("train", "accuracy")
        values["its test acc."] = best.get("test", "accuracy")
    return {column: value for column, value in values.items() if value is not None}


def model_cell(column: str, value: float | None, test_rows: int = 0) -> str:
    """A column's value as text.

    Args:
        test_rows: that a test accuracy was measured on, for its binomial 95 % interval; 0 for no interval.
    """
    if value is None:
        return "–"
    if column in _EPOCHS:
        return f"{value:g}" if value == int(value) else f"{value:.1f}"
    interval = proportion_of(value, test_rows) if column in _TEST else None
    return f"{value:.3f}" + (f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else "")


def results_table(summary: Summary) -> Table:
    """The table that a summary holds, or that of a run, named by its arm."""
    if isinstance(summary, RunSummary) and summary.table is None:
        return run_table(summary, summary.arm.replace("-", " "))
    return Table.from_summary(summary.table or {})


def run_table(summary: RunSummary, arm: str) -> Table:
    """A run in a row: the model that training ended with, and the saved one, as loaded from its file."""
    values = model_values(summary)
    cells = (model_cell(column, values.get(column), summary.test_rows) for column in COLUMNS)
    return Table("Results", ("arm", *COLUMNS), ((arm, *cells),))


def selection_table(selection: Selection) -> Table:
    """What choosing the epoch on the test rows would have claimed of a run."""
    rows = [
        (f"by {epoch.monitor}", str(epoch.epoch), f"{epoch.test_accuracy:.3f}")
        for epoch in (selection.honest, selection.claimed)
    ]
    difference = ("difference", "", f"{selection.optimism:+.3f}")
    return Table(SELECTION, ("epoch chosen", "epoch", "accuracy on the test rows"), (*rows, difference), sums=1)


def outcome(summary: Summary) -> tuple[tuple[str, str], ...]:
    """What came of a single run, as labels and texts; empty where several are in a table."""
    if not isinstance(summary, RunSummary) or summary.table is not None:
        table = results_table(summary)
        single = len(table.rows) == 1 and not isinstance(summary, AnalysisSummary)
        return tuple(zip(table.columns, table.rows[0], strict=True)) if single else ()
    final, best = summary.final, summary.best
    saved = "none"
    if best is not None:
        # A run that was stopped before its end may not have measured its best model.
        rows = " on the test rows" if best.monitor.startswith("val_") and best.test and best.val is None else ""
        saved = _model_text(best, summary.test_rows, f", chosen by {best.monitor}{rows}")
    models = (("Final model", _model_text(final, summary.test_rows)), ("Saved model", saved))
    arm = (("Arm", summary.arm.replace("-", " ")),) if summary.arm else ()
    return (*arm, ("Training", why_stopped(summary)), *models)


def _model_text(model: ModelValues, test_rows: int, chosen: str = "") -> str:
    """A model's epoch, how it was chosen, and its accuracies with the interval of that on the test rows."""
    text = f"epoch {model.epoch}{chosen}"
    for part in ("train", "test"):
        accuracy = model.get(part, "accuracy")
        if accuracy is not None:
            text += f"; {part} accuracy {accuracy:.3f}"
            interval = proportion_of(accuracy, test_rows) if part == "test" else None
            text += f" (95 % interval {interval.low:.3f} to {interval.high:.3f})" if interval else ""
    return text


def sentences_of(summary: Summary) -> list[str]:
    """What a summary says beside its table: why a run stopped, what follows, and what choosing on the test rows would
    have claimed."""
    if not isinstance(summary, RunSummary):
        return conclusions_of(summary)
    if summary.table is not None and summary.conclusions:
        answer, *others = conclusions_of(summary)
        return [answer, why_stopped(summary), *others]
    return [why_stopped(summary), *conclusions_of(summary)]


def conclusions_of(summary: Summary) -> list[str]:
    """What follows from a summary's results, and what choosing on the test rows would have claimed."""
    if not isinstance(summary, RunSummary) or summary.selection is None:
        return list(summary.conclusions)
    return [*summary.conclusions, selection_sentence(summary.selection, summary.test_rows)]


def why_stopped(summary: RunSummary) -> str:
    """At which epoch training stopped and why, and which epoch the final model is of."""
    stop, epochs = summary.stop, summary.max_epochs
    at = f"epoch {stop.epoch} of {epochs}"
    best = _best_so_far(stop, summary.monitor)
    sentences = {
        "completed": f"{agreeing(epochs, 'Ran its only epoch', f'Ran all {epochs} epochs')}; no rule stopped it{best}.",
        "non_finite": f"Stopped at {at}: a metric is not finite ({stop.rule}). Every epoch until then is saved.",
        "time_budget": f"Paused after {at} ({stop.rule}); everything is saved{best}.",
        "interrupted": f"Interrupted after {at} by {stop.rule}; everything until then is saved{best}.",
    }
    text = sentences.get(stop.reason) or f"Stopped at {at}: {_rule_sentence(stop)}{best}."
    if summary.final.epoch != summary.epochs:
        text += f" The final model is restored from epoch {summary.final.epoch}."
    return text


def _rule_sentence(stop: Verdict) -> str:
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


def selection_sentence(selection: Selection, test_rows: int) -> str:
    """What choosing the epoch on the test rows would have claimed of a run.

    Args:
        test_rows: that the accuracies were measured on.
    """
    honest, claimed, optimism = selection.honest, selection.claimed, selection.optimism
    comparison = "the same"
    if optimism:
        more, rows = "more" if optimism > 0 else "less", round(abs(optimism) * test_rows)
        comparison = (
            f"{abs(optimism):.3f} {more}. That is {rows:,} of {counted(test_rows, 'row')}; one run cannot tell how "
            "much of it is luck"
        )
    return (
        f"Chosen by {honest.monitor}, epoch {honest.epoch} has a test accuracy of {honest.test_accuracy:.3f}, on rows "
        f"that chose nothing; chosen by {claimed.monitor}, epoch {claimed.epoch} would have claimed "
        f"{claimed.test_accuracy:.3f}: {comparison}."
    )


def training_report(
    summary: TrainingSummary,
    parts: ReportParts,
    environment: Environment,
    config: str,
    prediction: Sequence[Part] = (),
    steps: Sequence[NextStep] = (),
) -> Document:
    """The report of a run, a sweep or a range test.

    Args:
        parts: of the summary.
        environment, config: as for `how_it_was_made`.
        prediction: how a photo is predicted with its model; empty where that cannot be done.
        steps: what may be done next.
    """
    seeds, notes, failed = 1, [], []
    tables = [Table.from_summary(table) for table in parts.tables]
    if isinstance(summary, RunSummary):
        sentences, notes = [*_answer(summary), *sentences_of(summary)], _notes(summary)
        tables += [] if summary.selection is None else [selection_table(summary.selection)]
    else:
        seeds, reason = summary.seeds, f" ({summary.reason})" if summary.reason else ""
        finished = f"of {counted(seeds, 'seed')} tested"
        if isinstance(summary, SweepSummary):
            finished = f"of {counted(len(summary.jobs), 'run')} finished"
            failed = [f"{job.name}: {job.state} ({job.reason})" for job in summary.jobs if job.reason]
            notes = [TEST_ROWS_CHOSE] if summary.test_rows_chose else []
        sentences = [*summary.conclusions, f"{summary.finished} {finished}; state: {summary.state}{reason}."]
    scale = f"Scale: {summary.scale}; {numbered('seed', range(summary.seed, summary.seed + seeds))}."
    description = [*(parts.words or [f"Data: {summary.dataset}."]), scale]
    lead: list[Part] = [Paragraph(text) for text in sentences]
    lead += [Bullets(tuple(points)) for points in (failed, description) if points]
    lead += [Warn(f"{warning}.") for warning in summary.warnings]
    if summary.scale == "quick":
        lead.append(Paragraph(_QUICK))
    sections = [Section("Results", (results_table(summary), *([Bullets(tuple(notes))] if notes else [])))]
    if parts.figures:
        pictures = (Picture(f"plots/{name}", alt_text(name)) for name in parts.figures)
        sections.append(Section("Figures", tuple(pictures)))
    sections += [Section(table.title, (table,)) for table in tables]
    # What diverged cannot be resumed.
    state = "finished" if isinstance(summary, RunSummary) and summary.diverged else summary.state
    if prediction:
        sections.append(Section("Predict a photo", tuple(prediction)))
    sections += next_section(steps)
    name = run_argument(Path(summary.run_dir))
    sections.append(Section("Time", _time(summary)))
    sections.append(Section("How it was made", how_it_was_made(environment, config, state, name)))
    return Document(parts.title, tuple(lead), tuple(sections))


def _answer(summary: RunSummary) -> list[str]:
    """The test accuracy of the model that a run leaves; none where the conclusions answer, or it was not measured."""
    model, name = (summary.final, "final") if summary.best is None else (summary.best, "saved")
    accuracy = model.get("test", "accuracy")
    if accuracy is None or summary.table is not None:
        return []
    interval = proportion_of(accuracy, summary.test_rows)
    bounds = f" (95 % interval {interval.low:.3f} to {interval.high:.3f})" if interval else ""
    chosen = f", chosen by {model.monitor}" if model.monitor else ""
    return [f"The {name} model, of epoch {model.epoch}{chosen}, has a test accuracy of {accuracy:.3f}{bounds}."]


def _notes(summary: RunSummary) -> list[str]:
    stop = summary.stop
    notes = []
    if summary.rows is not None and summary.parameters is not None:
        rows = ", ".join(f"{count:,} {part}" for part, count in asdict(summary.rows).items())
        notes.append(f"Rows: {rows}. Parameters of the model: {summary.parameters:,}.")
    if stop.margin:
        reference = (rule_of_reason(stop.reason) or Rule).margin_from
        notes.append(f"At the stop, {summary.monitor} was {stop.margin:.4g} away from {reference}.")
    notes.append(
        "In the figure, training values are means over each epoch while it trains, as Keras reports them; in the table "
        "they are measured on the finished model."
    )
    notes += filter(None, [_interval_note(summary)])
    # A run that was stopped before its end may not have measured its best model.
    if summary.best and summary.best.test is not None and summary.best.val is None:
        notes.append(TEST_ROWS_CHOSE)
    return notes


def _interval_note(summary: RunSummary) -> str:
    """What the brackets behind a run's test accuracies are; empty where none was measured."""
    counts = []
    for model, name in ((summary.final, "final model"), (summary.best, "saved model")):
        accuracy = None if model is None else model.get("test", "accuracy")
        interval = None if accuracy is None else proportion_of(accuracy, summary.test_rows)
        if interval:
            counts.append(f"{interval.right:,} of {interval.rows:,} ({name})")
    if not counts:
        return ""
    return (
        f"Correct test rows: {', '.join(counts)}. In brackets is the 95 % interval (Wilson) for so many rows; it "
        "covers other rows like these, not other seeds."
    )


def _time(summary: TrainingSummary) -> tuple[Part, ...]:
    spent = {part: f"{seconds:.2f}" for part, seconds in summary.seconds.items() if seconds >= 0.005}
    sentences = []
    if isinstance(summary, RunSummary) and summary.projected_train_seconds:
        sentences.append(
            f"Training and validation took {format_duration(summary.train_and_validation_seconds)}; the estimate from "
            f"the first steps was {format_duration(summary.projected_train_seconds)} for "
            f"{counted(summary.max_epochs, 'epoch')}."
        )
    if isinstance(summary, RunSummary) and summary.samples_per_second:
        sentences.append(f"{summary.samples_per_second:,.0f} training rows per second, validation included.")
    table = Table("Time", ("part", *spent), (("seconds", *spent.values()),))
    return (table, *([Paragraph(" ".join(sentences))] if sentences else []))


_PREDICT = """\
import json
from pathlib import Path

import keras
from stopcli import read_image

checkpoints = Path({folder})
photo = Path("photo.jpg")  # yours: a JPEG or PNG of any size

model = keras.saving.load_model(checkpoints / "{model}")
trained = json.loads((checkpoints / "classes.json").read_text(encoding="utf-8"))
image = read_image(photo, trained["height"], trained["width"])
probabilities = model.predict(image[None], verbose=0)[0]
for index in probabilities.argsort()[::-1][:3]:
    print(f"{{trained['classes'][index]}}: {{probabilities[index]:.1%}}")
"""


def how_to_predict(classes: ModelClasses, model: Path) -> list[Part]:
    """How the class of a photo is predicted with a saved model, in Python.

    Args:
        model: absolute; classes.json lies beside it.
    """
    folder = repr(str(model.parent))
    folder = folder if '"' in folder else f'"{folder[1:-1]}"'
    return [
        Paragraph(
            f"This prints the likeliest of the {len(classes.classes)} classes, where stopcli is installed. "
            f"`read_image` prepares a photo as the training images were: upright, RGB, {classes.height} × "
            f"{classes.width} pixels (height × width, {classes.resize}), in [{classes.low:g}, {classes.high:g}]."
        ),
        Code(_PREDICT.format(folder=folder, model=model.name), "python"),
        Paragraph("After the folder was moved, `stopcli report .` in it writes its new path here."),
    ]


def how_it_was_made(
    environment: Environment, config: str = "", state: str = "finished", run: str = ""
) -> tuple[Part, ...]:
    """Command, machine, versions, and how it is run again or resumed.

    Args:
        environment: the content of environment.json; empty where a run was killed before it wrote one.
        config: the text of config.toml; empty where there is none.
        state: of the run.
        run: its name or folder, as commands take it.
    """
    parts: list[Part] = [Bullets(_environment(environment))] if environment else []
    if not config:
        return tuple(parts)
    next_step = f"`stopcli run {shlex.quote(run)}` runs it again, in a new folder"
    if state == "running":
        next_step = "A process is still writing it; later, `stopcli report .` in this folder updates this report"
    elif state != "finished":
        next_step = f"`stopcli resume {shlex.quote(run)}` resumes it"
    return (*parts, Paragraph(f"{next_step}. config.toml:"), Code(config, "toml"))


def _environment(environment: Environment) -> tuple[str, ...]:
    # Only a run records the GPUs it computed on; a sweep leaves that to its runs.
    gpus = f", {counted(len(environment['gpus']), 'GPU')}" if "gpus" in environment else ""
    points = []
    if "argv" in environment:
        points.append(f"Command: {code(shlex.join(['stopcli', *environment['argv'][1:]]))}")
    if {"platform", "cpu", "cores"} <= environment.keys():
        cores = counted(environment["cores"], "core")
        points.append(f"Machine: {environment['platform']}, {environment['cpu']}, {cores}{gpus}")
    if "executor" in environment:
        points.append(f"Executor: {environment['executor']}")
    if "versions" in environment:
        versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
        points.append(f"Versions: {versions}")
    sessions = environment.get("resumed") or []
    if sessions:
        epochs = ", ".join(str(session.get("from_epoch", "?")) for session in sessions)
        points.append(f"Resumed {counted(len(sessions), 'time')}, after epoch {epochs}")
    return tuple(points)

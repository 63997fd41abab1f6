"""The reports of runs, sweeps and range tests: what was run, what came of it, and how to run it again."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from stopcli.quantities import agreeing, counted, format_duration, numbered
from stopcli.report.baselines import baseline_notes, baseline_sentences
from stopcli.report.before import before_outcome, before_sentences
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
from stopcli.report.refit import refit_outcome, refit_sentences
from stopcli.report.run_results import MISSING, Bounds, bounds_of, counted_right, measured_interval, run_table
from stopcli.runs.ancestry import ancestry_text
from stopcli.runs.environment import Environment
from stopcli.runs.headline import ACCURACY, ROWS_IN_WORDS, Headline, Rows, base_name
from stopcli.runs.run import run_argument
from stopcli.runs.summary import (
    FOREIGN,
    AnalysisSummary,
    ModelClasses,
    ModelName,
    RangeSummary,
    ReportParts,
    RunSummary,
    Selection,
    Summary,
    SweepSummary,
    TrainingSummary,
)
from stopcli.stopping.combine import rule_of_reason
from stopcli.stopping.rule import Rule, Verdict

SELECTION = "Honest selection"
_MODELS: dict[ModelName, str] = {"final": "final model", "saved": "saved model", "refit": "refit"}
_QUICK = "Quick scale: a smaller version of the published setting, which shows trends and cannot be compared with it."


def note_on_test_rows(headline: Headline = ACCURACY) -> str:
    """That they chose the saved epoch."""
    misled = "low" if headline.lower_is_better else "high"
    return (
        f"The test rows also chose the saved epoch, as in the published experiment, so its test {headline.label} is "
        f"too {misled}; `--validation holdout` reports the {headline.label} on rows that chose nothing."
    )


def results_table(summary: Summary) -> Table:
    """The table that a summary holds, or that of a run, named by its arm."""
    if isinstance(summary, RunSummary) and summary.table is None:
        return run_table(summary, summary.arm.replace("-", " ") or summary.name or Path(summary.run_dir).name)
    return Table.from_summary(summary.table or {})


def selection_table(selection: Selection, headline: Headline = ACCURACY) -> Table:
    """What choosing the epoch on the test rows would have claimed of a run."""
    rows = [
        (f"by {epoch.monitor}", str(epoch.epoch), headline.show(epoch.tested))
        for epoch in (selection.honest, selection.claimed)
    ]
    difference = ("difference", "", headline.show_difference(selection.claimed.tested - selection.honest.tested))
    return Table(SELECTION, ("epoch chosen", "epoch", f"{headline.axis} on the test rows"), (*rows, difference), sums=1)


def outcome(summary: Summary) -> tuple[tuple[str, str], ...]:
    """What came of a single run, as labels and texts; empty where several are in a table."""
    if not isinstance(summary, RunSummary) or summary.table is not None:
        table = results_table(summary)
        single = len(table.rows) == 1 and not isinstance(summary, AnalysisSummary)
        return tuple(zip(table.columns, table.rows[0], strict=True)) if single else ()
    best = summary.best
    saved = "none"
    if best is not None:
        # A run that was stopped before its end may not have measured its best model.
        rows = " on the test rows" if best.monitor.startswith("val_") and best.test and best.val is None else ""
        saved = _model_text(summary, f", chosen by {best.monitor}{rows}", "saved")
    final, chosen = ("Final model", "Saved model") if summary.trained_here else ("Last epoch", "Best epoch")
    models = ((final, _model_text(summary)), *([(chosen, saved)] if best or summary.trained_here else []))
    arm = (("Arm", summary.arm.replace("-", " ")),) if summary.arm else ()
    before = (("Before", before_outcome(summary.before, summary.headline)),) if summary.before else ()
    refit = (("Refit", refit_outcome(summary)),) if summary.refit else ()
    return (*arm, ("Training", why_stopped(summary)), *before, *models, *refit)


def _model_text(summary: RunSummary, chosen: str = "", name: ModelName = "final") -> str:
    """A model's epoch, how it was chosen, and its values of the metric that counts, with an interval where there is
    one."""
    model, headline = summary.model(name), summary.headline
    assert model is not None
    text = f"epoch {model.epoch}{chosen}"
    best_known = model.best_known(headline)
    parts: dict[Rows, None] = dict.fromkeys(("train", best_known.rows)) if best_known else {}
    for rows in parts:
        value = model.get(rows, headline.name)
        if value is not None:
            bounds = _bounds_text(headline, value, bounds_of(summary, rows, name))
            text += f"; {ROWS_IN_WORDS[rows]} {headline.label} {headline.show_with_unit(value)}{bounds}"
    return text


def _bounds_text(headline: Headline, value: float, bounds: Bounds | None) -> str:
    return f" (95 % interval {' to '.join(headline.show(bound, value) for bound in bounds)})" if bounds else ""


def sentences_of(summary: Summary) -> list[str]:
    """What a summary says beside its table: why a run stopped, what follows, and what choosing on the test rows would
    have claimed."""
    if not isinstance(summary, RunSummary):
        return conclusions_of(summary)
    if summary.table is not None and summary.conclusions:
        answer, *others = conclusions_of(summary)
        return [answer, why_stopped(summary), *others]
    beside = baseline_sentences(summary)
    return [*beside, why_stopped(summary), *conclusions_of(summary)[len(beside) :]]


def conclusions_of(summary: Summary) -> list[str]:
    """What follows from a summary's results, first how a network compares with simpler answers and with the one that it
    started from, then what its refit came to, then what choosing on the test rows would have claimed."""
    if not isinstance(summary, RunSummary):
        return list(summary.conclusions)
    selection = summary.selection
    honest = [] if selection is None else [selection_sentence(selection, summary.test_rows, summary.headline)]
    beside = [*baseline_sentences(summary), *before_sentences(summary)]
    return [*beside, *summary.conclusions, *refit_sentences(summary), *honest]


def why_stopped(summary: RunSummary) -> str:
    """At which epoch training stopped and why, and which epoch the final model is of."""
    stop, epochs = summary.stop, summary.max_epochs
    at = f"epoch {stop.epoch}" + ("" if epochs is None else f" of {epochs}")
    best = _best_so_far(summary)
    saved = "saved" if summary.trained_here else "on record"
    completed = f"Ended after {at}"
    if epochs is not None and (summary.trained_here or epochs == stop.epoch):
        completed = agreeing(epochs, "Ran its only epoch", f"Ran all {epochs} epochs")
    sentences = {
        "completed": f"{completed}; no rule stopped it{best}.",
        "non_finite": f"Stopped at {at}: a metric is not finite ({stop.rule}). Every epoch until then is {saved}.",
        "time_budget": f"Paused after {at} ({stop.rule}); everything is {saved}{best}.",
        "interrupted": f"Interrupted after {at} by {stop.rule}; everything until then is {saved}{best}.",
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


def _best_so_far(summary: RunSummary) -> str:
    stop, headline = summary.stop, summary.headline
    # A threshold is reached at its best.
    if stop.best_value is None or (rule_of_reason(stop.reason) and stop.best_epoch == stop.epoch):
        return ""
    value = f"{stop.best_value:.4f}"
    if headline.kind != "proportion":
        value = _monitored_text(headline, summary.monitor, stop.best_value)
    return f"; the best {summary.monitor}, {value}, was at epoch {stop.best_epoch}"


def _monitored_text(headline: Headline, metric: str, value: float) -> str:
    """A value of a monitored metric, or a difference of two: with its unit where it is the error that counts. Of other
    metrics neither size nor unit is known."""
    is_error = headline.kind == "error" and base_name(metric) == headline.name
    return headline.show_with_unit(value) if is_error else f"{value:.4g}"


def selection_sentence(selection: Selection, test_rows: int, headline: Headline = ACCURACY) -> str:
    """What choosing the epoch on the test rows would have claimed of a run.

    Args:
        test_rows: that the values were measured on.
        headline: the metric that counts.
    """
    honest, claimed = selection.honest, selection.claimed
    difference, comparison = claimed.tested - honest.tested, "the same"
    if difference:
        counted_rows = f"{round(abs(difference) * test_rows):,} of {counted(test_rows, 'row')}"
        rows = f"That is {counted_rows}; one" if headline.kind == "proportion" else "One"
        changed = f"{headline.show_with_unit(abs(difference))} {'more' if difference > 0 else 'less'}"
        comparison = f"{changed}. {rows} run cannot tell how much of it is luck"
    return (
        f"Chosen by {honest.monitor}, epoch {honest.epoch} has {_a(headline, 'test')} of "
        f"{headline.show_with_unit(honest.tested)}, on rows that chose nothing; chosen by {claimed.monitor}, epoch "
        f"{claimed.epoch} would have claimed {headline.show_with_unit(claimed.tested)}: {comparison}."
    )


def _a(headline: Headline, rows: Rows) -> str:
    return f"a {ROWS_IN_WORDS[rows]} {headline.label}"


def training_report(
    summary: TrainingSummary,
    parts: ReportParts,
    environment: Environment,
    config: str,
    prediction: Sequence[Part] = (),
    after: Sequence[Section] = (),
    steps: Sequence[NextStep] = (),
) -> Document:
    """The report of a run, a sweep or a range test.

    Args:
        parts: of the summary.
        environment, config: as for `how_it_was_made`.
        prediction: how a photo is predicted with its model; empty where that cannot be done.
        after: what the user's own code wrote.
        steps: what may be done next.
    """
    seeds, notes, failed = 1, [], []
    tables = [Table.from_summary(table) for table in parts.tables]
    if isinstance(summary, RunSummary):
        beside = baseline_sentences(summary)
        sentences = [*beside, *_answer(summary), *sentences_of(summary)[len(beside) :]]
        notes = _notes(summary)
        tables += [] if summary.selection is None else [selection_table(summary.selection, summary.headline)]
    else:
        seeds, reason = summary.seeds, f" ({summary.reason})" if summary.reason else ""
        finished = f"of {counted(seeds, 'seed')} tested"
        if isinstance(summary, SweepSummary):
            finished = f"of {counted(len(summary.jobs), 'run')} finished"
            failed = [f"{job.name}: {job.state} ({job.reason})" for job in summary.jobs if job.reason]
            notes = [note_on_test_rows(summary.headline)] if summary.test_rows_chose else []
        sentences = [*summary.conclusions, f"{summary.finished} {finished}; state: {summary.state}{reason}."]
    seed_numbers = numbered("seed", range(summary.seed, summary.seed + seeds))
    data = [f"Data: {summary.dataset}."] if summary.dataset else []
    scale = f"Scale: {summary.scale}; {seed_numbers}." if summary.scale else f"{seed_numbers.capitalize()}."
    description = [*(parts.words or data), scale]
    lead: list[Part] = [Paragraph(text) for text in sentences]
    lead += [Bullets(tuple(points)) for points in (failed, description) if points]
    lead += [Warn(f"{warning}.") for warning in summary.warnings]
    if summary.scale == "quick":
        lead.append(Paragraph(_QUICK))
    sections = [Section("Results", (results_table(summary), *([Bullets(tuple(notes))] if notes else [])))]
    if parts.figures:
        headline = ACCURACY if isinstance(summary, RangeSummary) else summary.headline
        pictures = (Picture(f"plots/{name}", alt_text(name, headline)) for name in parts.figures)
        sections.append(Section("Figures", tuple(pictures)))
    sections += [*(Section(table.title, (table,)) for table in tables), *after]
    # What diverged cannot be resumed.
    state = "finished" if isinstance(summary, RunSummary) and summary.diverged else summary.state
    if prediction:
        sections.append(Section("Predict a photo", tuple(prediction)))
    sections += next_section(steps)
    name = run_argument(Path(summary.run_dir))
    if time := _time(summary):
        sections.append(Section("Time", time))
    provenance = how_it_was_made(environment, config, state, name, trained_here=summary.command not in FOREIGN)
    sections.append(Section("How it was made", provenance))
    return Document(parts.title, tuple(lead), tuple(sections))


def _answer(summary: RunSummary) -> list[str]:
    """The metric that counts of the model that a run leaves; none where the conclusions answer, or it was not
    measured."""
    name: ModelName = "final" if summary.best is None else "saved"
    model = summary.best or summary.final
    value = model.best_known(summary.headline)
    if value is None or summary.table is not None or (summary.trained_here and value.rows != "test"):
        return []
    headline = summary.headline
    text = headline.show_with_unit(value.value)
    if not summary.trained_here:
        what = f"{ROWS_IN_WORDS[value.rows]} {headline.label}"
        if summary.best is None:
            return [f"At the last epoch, {model.epoch}, the {what} is {text}."]
        best = "lowest" if headline.lower_is_better else "highest"
        if model.monitor == headline.column(value.rows):
            return [f"The {best} {what} is {text}, at epoch {model.epoch}."]
        return [f"At epoch {model.epoch}, chosen by {model.monitor}, the {what} is {text}."]
    bounds = _bounds_text(headline, value.value, bounds_of(summary, value.rows, name))
    chosen = f", chosen by {model.monitor}" if model.monitor else ""
    return [f"The {name} model, of epoch {model.epoch}{chosen}, has {_a(headline, value.rows)} of {text}{bounds}."]


def _notes(summary: RunSummary) -> list[str]:
    stop, notes = summary.stop, list[str]()
    if summary.rows is not None and summary.parameters is not None:
        rows = ", ".join(f"{count:,} {part}" for part, count in asdict(summary.rows).items())
        notes.append(f"Rows: {rows}. Parameters of the model: {summary.parameters:,}.")
    if stop.margin:
        reference = (rule_of_reason(stop.reason) or Rule).margin_from
        metric = stop.metric or summary.monitor
        margin = _monitored_text(summary.headline, metric, stop.margin)
        notes.append(f"At the stop, {metric} was {margin} away from {reference}.")
    if not summary.trained_here:
        return [*notes, "The values are those that were recorded at the epoch; stopcli measured no model."]
    notes.append(
        "In the figure, training values are means over each epoch while it trains, as Keras reports them; in the table "
        "they are measured on the finished model."
    )
    notes += filter(None, [_interval_note(summary)])
    notes += baseline_notes(summary)
    # A run that was stopped before its end may not have measured its best model.
    if summary.best and summary.best.test is not None and summary.best.val is None:
        notes.append(note_on_test_rows(summary.headline))
    return notes


def _interval_note(summary: RunSummary) -> str:
    """What the brackets behind a run's test values are, or why there are none; empty where nothing was tested."""
    if not any(bounds_of(summary, "test", name) for name in _MODELS):
        reason = summary.test_interval.get(MISSING)
        return f"There is no interval over the test rows, because {reason}." if isinstance(reason, str) else ""
    over = "it covers other rows like these, not other seeds."
    counts, methods = [], []
    for name, text in _MODELS.items():
        interval = counted_right(summary, name)
        if interval:
            counts.append(f"{interval.right:,} of {interval.rows:,} ({text})")
        methods.append(measured_interval(summary, name).get("method"))
    if not counts:
        method = next((f", by a {method}" for method in methods if isinstance(method, str)), "")
        return f"In brackets is the 95 % interval over the test rows{method}; {over}"
    return f"Correct test rows: {', '.join(counts)}. In brackets is the 95 % interval (Wilson) for so many rows; {over}"


def _time(summary: TrainingSummary) -> tuple[Part, ...]:
    spent = {part: f"{seconds:.2f}" for part, seconds in summary.seconds.items() if seconds >= 0.005}
    sentences = []
    if isinstance(summary, RunSummary) and summary.train_and_validation_seconds is not None:
        took = f"Training and validation took {format_duration(summary.train_and_validation_seconds)}"
        if summary.projected_train_seconds and summary.max_epochs:
            estimate = format_duration(summary.projected_train_seconds)
            epochs = counted(summary.max_epochs, "epoch")
            sentences.append(f"{took}; the estimate from the first steps was {estimate} for {epochs}.")
        elif not spent:
            sentences.append(f"{took}.")
    if isinstance(summary, RunSummary) and summary.samples_per_second:
        sentences.append(f"{summary.samples_per_second:,.0f} training rows per second, validation included.")
    table = [Table("Time", ("part", *spent), (("seconds", *spent.values()),))] if spent else []
    return (*table, *([Paragraph(" ".join(sentences))] if sentences else []))


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
    environment: Environment, config: str = "", state: str = "finished", run: str = "", *, trained_here: bool = True
) -> tuple[Part, ...]:
    """Command, machine, versions, and how it is run again or resumed.

    Args:
        environment: the content of environment.json; empty where a run was killed before it wrote one.
        config: the text of config.toml; empty where there is none.
        state: of the run.
        run: its name or folder, as commands take it.
        trained_here: whether stopcli trained it, and so can again.
    """
    parts: list[Part] = [Bullets(_environment(environment, trained_here=trained_here))] if environment else []
    if not config:
        return tuple(parts)
    next_step = f"`stopcli run {shlex.quote(run)}` runs it again, in a new folder"
    if state == "running":
        next_step = "A process is still writing it; later, `stopcli report .` in this folder updates this report"
    elif not trained_here:
        next_step = "The program that recorded it trains it again"
    elif state != "finished":
        next_step = f"`stopcli resume {shlex.quote(run)}` resumes it"
    return (*parts, Paragraph(f"{next_step}. config.toml:"), Code(config, "toml"))


def _environment(environment: Environment, *, trained_here: bool) -> tuple[str, ...]:
    # Only a run records the GPUs it computed on; a sweep leaves that to its runs.
    gpus = f", {counted(len(environment['gpus']), 'GPU')}" if "gpus" in environment else ""
    points = []
    if "argv" in environment:
        argv = environment["argv"] if not trained_here else ["stopcli", *environment["argv"][1:]]
        points.append(f"Command: {code(shlex.join(argv))}")
    if {"platform", "cpu", "cores"} <= environment.keys():
        cores = counted(environment["cores"], "core")
        points.append(f"Machine: {environment['platform']}, {environment['cpu']}, {cores}{gpus}")
    if "executor" in environment:
        points.append(f"Executor: {environment['executor']}")
    if "versions" in environment:
        versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
        points.append(f"Versions: {versions}")
    if ancestry := ancestry_text(environment):
        points.append(f"Started from {ancestry}")
    sessions = environment.get("resumed") or []
    if sessions:
        epochs = ", ".join(str(session.get("from_epoch", "?")) for session in sessions)
        points.append(f"Resumed {counted(len(sessions), 'time')}, after epoch {epochs}")
    return tuple(points)

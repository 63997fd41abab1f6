"""What a sweep's runs say together: arms against each other, seeds in a table, honest selection, what is missing."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from stopcli.analysis.arms import Arm, RunArm, SeedValues
from stopcli.analysis.run_result import measured_result
from stopcli.quantities import counted, numbered
from stopcli.report.document import Table, csv_of
from stopcli.report.run_report import SELECTION
from stopcli.report.run_results import ResultColumn, result_columns
from stopcli.runs.headline import ACCURACY, ROWS_IN_WORDS, Headline
from stopcli.runs.summary import RunSummary, Selection
from stopcli.stats.differences import NONE, Difference, difference_cell, paired_difference, writer_of_differences
from stopcli.stats.intervals import FEWEST, MeanInterval, mean_interval
from stopcli.stopping.rule import Direction
from stopcli.sweeps.plan import JobResult


@dataclass(frozen=True)
class SweepResults:
    """What a sweep's runs say together.

    Attributes:
        title: of the report.
        tables: the results, then further ones.
        files: text files of the sweep's folder by name, such as table.csv.
        conclusions: what follows from the results, a sentence or two each.
        summary: what summary.json holds beside what it holds of every sweep.
    """

    title: str
    tables: tuple[Table, ...]
    files: Mapping[str, str]
    conclusions: tuple[str, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)


def sweep_arms(config: Any, results: Sequence[JobResult]) -> list[RunArm]:
    """The arms of a sweep in the order of its plan, also those of which no run has finished.

    Args:
        config: the sweep's.
    """
    by_arm: dict[str, list[JobResult]] = {}
    for result in results:
        by_arm.setdefault(result.job.arm, []).append(result)
    return [
        Arm(
            config.arm_label(name),
            tuple(measured_result(job.run, job.summary) for job in jobs if job.state == "finished" and job.summary),
            name=name,
            index=index,
            planned=len(jobs),
            failed=tuple(job.job.config.seed for job in jobs if job.state in ("failed", "died")),
            config=jobs[0].job.config,
        )
        for index, (name, jobs) in enumerate(by_arm.items())
    ]


def reference_of(config: Any, arms: Sequence[RunArm]) -> RunArm:
    """The arm that the others are compared with: the one that a sweep's settings name, whether any of it has finished
    or not."""
    return next(arm for arm in arms if arm.name == config.reference_arm)


def seeds_in(results: Sequence[JobResult]) -> int:
    """How many seeds the runs of a sweep are of, whatever became of them."""
    return len({result.job.config.seed for result in results})


def shared_seeds(arms: Sequence[RunArm]) -> list[int]:
    """The seeds that every arm has of which any run counts, ascending: over these arms are equals."""
    seeds = [set(arm.seeds) for arm in arms if arm.runs]
    return sorted(set.intersection(*seeds)) if seeds else []


def with_seeds(arm: RunArm, arms: Sequence[RunArm]) -> str:
    """An arm's label with the seeds that its mean is over: which, where they are not the same for all arms with runs,
    else how many, where there are several."""
    several = len(arm.seeds) > 1
    if any(other.seeds != arm.seeds for other in arms if other.runs):
        return f"{arm.label} ({'mean of ' if several else ''}{numbered('seed', arm.seeds)})"
    return f"{arm.label} (mean of {counted(len(arm.seeds), 'seed')})" if several else arm.label


def incomparable(arms: Sequence[RunArm], reference: RunArm, missing: str) -> str:
    """Why no arm can be compared with the reference yet, in a sentence; empty where one can.

    Args:
        missing: what there is none of without the reference, such as `differences`.
    """
    if not any(arm.runs for arm in arms if arm is not reference):
        return "Too few runs have finished to compare anything."
    if not reference.runs:
        return f"No run of {reference.label}, which the others are compared with, has finished: there are no {missing}."
    return ""


def answer_against(reference: Arm[Any], differences: Sequence[tuple[Arm[Any], Difference]], better: Direction) -> str:
    """Which arms are better and which are worse than the reference, without the statistics.

    Args:
        better: as for `Difference.sentence`.
    """
    labels: dict[str, list[str]] = {"better": [], "worse": [], "not distinguishable": []}
    for arm, difference in differences:
        labels[difference.verdict(better)].append(arm.label)
    names = {verdict: "; ".join(of_arms) for verdict, of_arms in labels.items()}
    n = min(difference.n for _, difference in differences)
    if not names["better"] and not names["worse"]:
        return f"At n = {n} nothing can be told apart from {reference.label}: {names['not distinguishable']}."
    parts = [f"At n = {n}, better than {reference.label}: {names['better'] or 'none'}."]
    parts += [
        f"{verdict.capitalize()}: {names[verdict]}." for verdict in ("worse", "not distinguishable") if names[verdict]
    ]
    return " ".join(parts)


def sentences_against(
    reference: RunArm,
    differences: Sequence[tuple[RunArm, Difference | None]],
    measured: str,
    better: Direction,
    headline: Headline = ACCURACY,
) -> list[str]:
    """How each arm differs from the reference, as far as its runs can tell.

    Args:
        measured, better: as for `Difference.sentence`.
        headline: the metric that was measured.
    """
    written = writer_of_differences(headline), headline.unit
    return [
        f"{arm.label} has too few finished runs to be judged."
        if difference is None or difference.n < FEWEST
        else difference.sentence(arm.label, reference.label, measured, better, *written)
        for arm, difference in differences
    ]


def means_and_sds(arm: RunArm, **names: str) -> dict[str, float | None]:
    """Means and standard deviations of values of an arm's runs, in full precision: NAME_mean and NAME_sd.

    Args:
        names: by NAME, what the runs call it.
    """
    columns: dict[str, float | None] = {}
    for column, name in names.items():
        interval = arm.interval(name)
        columns |= {f"{column}_{key}": getattr(interval, key, None) for key in ("mean", "sd")}
    return columns


def mean_cell(mean: MeanInterval | None, headline: Headline = ACCURACY, *, interval: bool = False) -> str:
    """Mean and standard deviation of a metric for a table, and where it is asked for, its interval; a dash for no
    values."""
    return mean.cell(partial(headline.show, like=mean.mean), interval=interval) if mean else NONE


def difference_text(difference: Difference | None, headline: Headline) -> str:
    """A difference of a metric with its interval, for a table; a dash for none."""
    if headline.kind == "error":
        return difference_cell(difference, headline.show_difference)
    return difference_cell(difference)


def job_row(result: JobResult, headline: Headline = ACCURACY, **more: object) -> dict[str, object]:
    """A row of jobs.csv.

    Args:
        headline: the metric that counts.
        more: columns behind that of the arm.
    """
    summary = result.summary
    best = summary.best if summary else None
    return {
        "job": result.job.name,
        "arm": result.job.arm,
        **more,
        "seed": result.job.config.seed,
        "state": result.state,
        "reason": result.reason,
        "epochs": summary.epochs if summary else None,
        headline.column("test"): summary.final.get("test", headline.name) if summary else None,
        "best_epoch": best.epoch if best else None,
        f"best_{headline.column('test')}": best.get("test", headline.name) if best else None,
        "train_seconds": summary.train_seconds if summary else None,
        "validation_seconds": summary.validation_seconds if summary else None,
        "samples_per_second": summary.samples_per_second if summary else None,
    }


def not_finished(config: Any, results: Sequence[JobResult]) -> str:
    """Which runs of a sweep have not finished, by arm and seed, in a sentence; empty where all have."""
    arms: dict[str, dict[str, list[int]]] = {}
    for result in results:
        if result.state != "finished":
            states = arms.setdefault(config.arm_label(result.job.arm), {})
            states.setdefault(result.state, []).append(result.job.config.seed)
    parts = []
    for label, states in arms.items():
        seeds = ", ".join(f"{numbered('seed', sorted(seeds))} {state}" for state, seeds in states.items())
        parts.append(f"{label} ({seeds})")
    return f"Not finished: {'; '.join(parts)}." if parts else ""


def runs_table(results: Sequence[JobResult]) -> Table:
    """How far each run of a sweep is, where there are no results yet."""
    rows = []
    for result in results:
        epochs = f"{result.epoch}/{result.epochs}" if result.run.path.exists() else NONE
        rows.append((result.name, result.state, epochs))
    return Table("Results", ("run", "state", "epoch"), tuple(rows))


def seed_results(config: Any, results: Sequence[JobResult]) -> SweepResults:
    """Of runs that differ by their seed only."""
    label = config.arm.replace("-", " ")
    # What an earlier session of a run summed up may be older than its state.
    runs = [(result.summary, result.state) for result in results if result.summary]
    columns = _columns(runs)
    arm = _finished(label, runs, columns)
    return SweepResults(
        f"{config.command}: {label}, {counted(seeds_in(results), 'seed')}",
        (seed_table(label, runs),),
        {"table.csv": _seed_csv(runs, columns)},
        _seeds_answer(arm, columns),
        summary={"over_seeds": {_summary_key(column): _spread(arm, column.name) for column in columns}},
    )


def _columns(runs: Sequence[tuple[RunSummary, str]]) -> tuple[ResultColumn, ...]:
    summaries = [summary for summary, _ in runs]
    return result_columns(summaries, headline_of_runs(summaries))


def headline_of_runs(summaries: Sequence[RunSummary]) -> Headline:
    """The metric that counts in the runs of a sweep, which is the same in all of them."""
    return summaries[0].headline if summaries else ACCURACY


def _summary_key(column: ResultColumn) -> str:
    # By which summaries have named them since before there were others than accuracy.
    return column.name if column.headline in (None, ACCURACY) else column.key


def _finished(label: str, runs: Sequence[tuple[RunSummary, str]], columns: Sequence[ResultColumn]) -> Arm[SeedValues]:
    finished = (summary for summary, state in runs if state == "finished")
    values = (
        SeedValues(summary.seed, {column.name: column.value(summary) for column in columns}) for summary in finished
    )
    return Arm(label, tuple(values))


def _seeds_answer(arm: Arm[SeedValues], columns: Sequence[ResultColumn]) -> tuple[str, ...]:
    """The metric that counts over the finished seeds, of the saved model where there is one, and when training
    stopped."""
    # Of each model the last column is of the rows that say what it came to.
    by_model = {column.model: column for column in columns if column.headline is not None}
    column = by_model["saved"] if arm.values(by_model["saved"].name) else by_model["final"]
    interval, headline = arm.interval(column.name), column.headline
    if interval is None or headline is None:
        return ()
    stops = arm.values(columns[0].name)
    first, last = f"{min(stops):,.0f}", f"{max(stops):,.0f}"
    epochs = f"epoch {first}" if first == last else f"epochs {first} to {last}"
    bounds = (
        f" (95 % interval {' to '.join(headline.show(bound, interval.mean) for bound in interval.bounds)})"
        if interval.bounds
        else ""
    )
    of = f"{headline.label} of the {column.model} model over {counted(interval.n, 'seed')}"
    what = f"Mean {ROWS_IN_WORDS[column.rows]} {of}"
    return (f"{what}: {headline.show_with_unit(interval.mean)}{bounds}; training ended at {epochs}.",)


def seed_table(label: str, runs: Sequence[tuple[RunSummary, str]]) -> Table:
    """A row for each seed, then mean, standard deviation and, from three on, the mean's bootstrap 95 % interval over
    those that finished.

    Args:
        runs: with their states now, which may be others than when they were summed up.
    """
    columns, rows = _columns(runs), []
    arm = _finished(label, runs, columns)
    intervals, n = [(column, arm.interval(column.name)) for column in columns], f"n = {len(arm.runs)}"
    # All values of a column have as many decimals as their mean.
    means = [(column, interval.mean if interval else None) for column, interval in intervals]
    for summary, state in runs:
        cells = (column.cell(column.value(summary), like=mean) for column, mean in means)
        rows.append((label, str(summary.seed), state, *cells))
    for key in ("mean", "sd") if len(arm.runs) > 1 else ():
        values = [getattr(interval, key, None) for _, interval in intervals]
        cells = (column.cell(value, like=mean) for value, (column, mean) in zip(values, means, strict=True))
        rows.append((label, key, n, *cells))
    if len(arm.runs) >= FEWEST:
        rows.append((label, "95 %", n, *(_bounds_cell(column, interval) for column, interval in intervals)))
    names = (column.name for column in columns)
    return Table("Results", ("arm", "seed", "state", *names), tuple(rows), sums=len(rows) - len(runs))


def _bounds_cell(column: ResultColumn, interval: MeanInterval | None) -> str:
    if interval is None or not interval.bounds:
        return NONE
    return " to ".join(column.cell(bound, like=interval.mean) for bound in interval.bounds)


def _seed_csv(runs: Sequence[tuple[RunSummary, str]], columns: Sequence[ResultColumn]) -> str:
    """A row for each seed in full precision; means are for whoever reads it to compute."""
    rows = []
    for summary, state in runs:
        values = (column.value(summary) for column in columns)
        cells = ("" if value is None else str(value) for value in values)
        rows.append((str(summary.seed), state, summary.stop.reason, *cells))
    names = (column.key for column in columns)
    return Table("Results", ("seed", "state", "reason", *names), tuple(rows)).csv()


def _spread(arm: Arm[SeedValues], column: str) -> dict[str, float | int | None]:
    values, interval = arm.values(column), arm.interval(column)
    bounds = {"min": min(values, default=None), "max": max(values, default=None)}
    return {"n": len(values), **{key: getattr(interval, key, None) for key in ("mean", "sd", "low", "high")}, **bounds}


def with_selection(config: Any, results: SweepResults, jobs: Sequence[JobResult]) -> SweepResults:
    """A sweep's results with those of honest selection, where its finished runs set test rows apart.

    Args:
        config: the sweep's.
    """
    arms: dict[str, list[Selection]] = {}
    rows = []
    headline = headline_of_runs([job.summary for job in jobs if job.summary])
    for job in jobs:
        selection = job.summary.selection if job.state == "finished" and job.summary else None
        if selection is not None:
            arms.setdefault(config.arm_label(job.job.arm), []).append(selection)
            rows.append(_selection_row(job, selection, headline))
    if not arms:
        return results
    return replace(
        results,
        tables=(*results.tables, selection_table(arms, headline)),
        files={**results.files, "selection.csv": csv_of(rows)},
        conclusions=(*results.conclusions, selection_conclusion(arms, headline)),
        summary={**results.summary, "selection": selection_summary(arms)},
    )


def _selection_row(job: JobResult, selection: Selection, headline: Headline) -> dict[str, object]:
    """A run in selection.csv, in full precision."""
    row: dict[str, object] = {"arm": job.job.arm, "seed": job.job.config.seed}
    for name, chosen in (("honest", selection.honest), ("claimed", selection.claimed)):
        row |= {f"{name}_{key}": getattr(chosen, key) for key in ("monitor", "epoch")}
        row[f"{name}_{headline.column('test')}"] = chosen.tested
    return {**row, "optimism": selection.optimism}


def _tested(runs: Sequence[Selection], which: str) -> list[float]:
    return [getattr(run, which).tested for run in runs]


def _claimed_difference(runs: Sequence[Selection]) -> Difference:
    """What choosing on the test rows would have claimed less what is honest, seed by seed."""
    return paired_difference(_tested(runs, "claimed"), _tested(runs, "honest"))


def _optimism(runs: Sequence[Selection]) -> Difference:
    """By how much better that is, seed by seed."""
    if runs[0].direction == "max":
        return _claimed_difference(runs)
    return paired_difference(_tested(runs, "honest"), _tested(runs, "claimed"))


def selection_table(arms: Mapping[str, Sequence[Selection]], headline: Headline = ACCURACY) -> Table:
    """A row for each arm; each has a finished run or more."""
    tested = f"test {headline.axis}"
    columns = ("arm", "runs", "chosen by", tested, "chosen by test rows", "difference", "claims more", "less")
    rows = []
    for label, runs in arms.items():
        difference = _claimed_difference(runs)
        means = (mean_cell(mean_interval(_tested(runs, which)), headline) for which in ("honest", "claimed"))
        shares = (f"{difference.share_above:.0%} of runs", f"{difference.share_below:.0%}")
        cells = (str(difference.n), runs[0].honest.monitor, *means, difference_text(difference, headline), *shares)
        rows.append((label, *cells))
    return Table(SELECTION, columns, tuple(rows))


def selection_conclusion(arms: Mapping[str, Sequence[Selection]], headline: Headline = ACCURACY) -> str:
    """A sentence; each arm has a finished run or more."""
    differences, show = [_claimed_difference(runs) for runs in arms.values()], writer_of_differences(headline)
    if len(differences) > 1:
        low, high = (show(pick(difference.mean for difference in differences)) for pick in (min, max))
        unit = f" {headline.unit}" if headline.unit else ""
        span = f"{low}{unit}" if low == high else f"{low} to {high}{unit}, depending on the arm"
        sentence = f"Choosing the epochs on the test rows would have changed the claimed test {headline.label} by "
        sentence += f"{span}: see {SELECTION}."
    else:
        labels = ("Epochs chosen on the test rows", "epochs chosen without them")
        sentence = differences[0].sentence(*labels, f"claimed test {headline.label}", None, show, headline.unit)
    return f"{sentence} (This is the luck of the rows that choose, together with the worse choices of fewer rows.)"


def selection_summary(arms: Mapping[str, Sequence[Selection]]) -> list[dict[str, Any]]:
    """What a sweep's summary.json holds, in full precision."""
    summaries = []
    for label, runs in arms.items():
        optimism = _optimism(runs)
        means = {f"{which}_mean": statistics.fmean(_tested(runs, which)) for which in ("honest", "claimed")}
        values = {f"optimism_{key}": getattr(optimism, key) for key in ("mean", "low", "high", "p")}
        shares = {key: getattr(optimism, key) for key in ("share_above", "share_below")}
        summaries.append({"arm": label, "n": optimism.n, **means, **values, **shares})
    return summaries

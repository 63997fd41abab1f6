"""Runs and sweeps side by side: by what they are compared, and how they differ from one of them.

In what arms differ beside their results: settings, test rows, machines, versions.
"""

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stopcli.analysis.arms import RunArm, baseline_of, experiment_of, first_run, read_arms
from stopcli.analysis.compare_rows import OnRows, compare_rows
from stopcli.analysis.decisions import ComparedValue, Decision, decide
from stopcli.analysis.measure import Measure, View, headlines_of, measure_of
from stopcli.configs.auto_seeds import parse_resolve, resolve_for
from stopcli.configs.registry import recorded_settings_with
from stopcli.quantities import agreeing, counted, in_words
from stopcli.report.run_report import note_on_test_rows
from stopcli.report.run_results import Bounds, bounds_of, counted_right
from stopcli.runs.environment import read_environment
from stopcli.runs.folder import DEFAULT_RUNS_DIR
from stopcli.runs.recording import Recording
from stopcli.runs.run import Run
from stopcli.runs.summary import FOREIGN, RunSummary
from stopcli.stats.differences import (
    Difference,
    RowsDifference,
    difference_by_seed,
    unpaired_difference,
    writer_of_differences,
)
from stopcli.stats.intervals import FEWEST, Proportion
from stopcli.stats.scores_difference import ScoresDifference
from stopcli.stopping.rule import Direction

UNSET = "–"
_VERSIONS = ("stopcli", "tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class Settings:
    """Settings of arms.

    Attributes:
        differ: those that differ, by name: the values as text, in the order of the arms.
        same: how many are the same.
    """

    differ: Mapping[str, tuple[str, ...]]
    same: int


def settings_of(arms: Sequence[RunArm]) -> Settings:
    """How the settings of arms differ. One that a config lacks, because it has no value or because an older version
    knew no such setting, is unset."""
    experiments = [experiment_of(arm.runs[0].run) for arm in arms]
    names = list(dict.fromkeys(name for experiment in experiments for name in experiment))
    texts = {name: tuple(_text(experiment.get(name)) for experiment in experiments) for name in names}
    differ = {name: values for name, values in texts.items() if len(set(values)) > 1}
    return Settings(differ, len(names) - len(differ))


def _text(value: object) -> str:
    if value is None:
        return UNSET
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or UNSET
    # `1` and `1.0` are the same number.
    return f"{value:.10g}" if isinstance(value, float) else str(value) or UNSET


def seeds_of(arm: RunArm) -> str:
    """The seeds of an arm in few words: `0 to 9`, `0, 3, 4`."""
    return in_words([result.run.seed for result in arm.runs])


def other_test_rows(arm: RunArm, other: RunArm) -> list[str]:
    """The settings by which two arms are measured on different test rows, with both values; none for the same."""
    rows, other_rows = _test_rows(arm), _test_rows(other)
    # Of other data, the rest follows.
    names = ["dataset"] if rows["dataset"] != other_rows["dataset"] else list(dict.fromkeys([*rows, *other_rows]))
    # A share that was asked for may be what is taken where none is.
    if "validation_share" in names and _rows_of(arm) == _rows_of(other) != (None, None):
        names.remove("validation_share")
    return [
        f"{name} {_text(other_rows.get(name))} and {_text(rows.get(name))}"
        for name in names
        if _text(rows.get(name)) != _text(other_rows.get(name))
    ]


def _rows_of(arm: RunArm) -> tuple[object, object]:
    """How many rows validate and how many test, as far as its summary tells."""
    results = arm.runs[0].run.results
    rows = results and results.rows
    return (rows.validation, rows.test) if rows else (None, None)


def _test_rows(arm: RunArm) -> dict[str, Any]:
    run = arm.runs[0].run
    deciding = recorded_settings_with(run.command, "test-rows")
    rows = {name: value for name, value in run.settings.items() if name in deciding}
    dataset = run.results.dataset if run.results else run.command
    # Of what something else trained, the rows are not known.
    rows.setdefault("dataset", None if run.command in FOREIGN else dataset)
    if run.settings.get("validation") == "holdout":
        rows |= {"validation": "holdout", "validation_share": run.settings.get("validation_share")}
    if run.settings.get("validation") == "last":
        # The test rows are then the very last.
        rows |= {"validation": "last"}
    return rows


def experiments_differ(arms: Sequence[RunArm]) -> list[str]:
    """A warning where the arms are no variants of one experiment."""
    commands = dict.fromkeys(arm.runs[0].run.command for arm in arms)
    if len(commands) == 1:
        return []
    return [f"these are different experiments ({', '.join(commands)}): what differs may be due to anything"]


def machine_of(arm: RunArm) -> str:
    """On what an arm's runs were computed, as far as their environment.json tell."""
    return " / ".join(dict.fromkeys(_machine(result.run) for result in arm.runs))


def environments_differ(arms: Sequence[RunArm]) -> list[str]:
    """Warnings where machines or versions are not the same for all runs, or are not known any more."""
    # Where a recording was made is not known at all.
    runs = [result.run.path for arm in arms for result in arm.runs if not isinstance(result.run, Recording)]
    damages = [f"{run}/{damage}" for run in runs if (damage := read_environment(run)[1])]
    warnings = [f"{damage}: the machine and the versions it was made with are unknown" for damage in damages]
    machines = _labels_by_value(arms, lambda run: _machine(run, pinned=False))
    if len(machines) > 1:
        on = "; ".join(f"{', '.join(labels)} on {machine}" for machine, labels in machines.items())
        warnings.append(f"they ran on different machines ({on}), so a difference in time may be due to that")
    versions = _labels_by_value(arms, _made_with)
    if len(versions) > 1:
        by = "; ".join(f"{', '.join(labels)} with {text}" for text, labels in versions.items())
        warnings.append(f"they were made with different versions ({by})")
    return warnings


def _labels_by_value(arms: Sequence[RunArm], value_of: Callable[[Run], str]) -> dict[str, list[str]]:
    """Labels of arms by a value of their runs."""
    labels: dict[str, list[str]] = {}
    for arm in arms:
        for value in dict.fromkeys(value_of(result.run) for result in arm.runs):
            labels.setdefault(value, []).append(arm.label)
    return labels


def _machine(run: Run, *, pinned: bool = True) -> str:
    """On what a run was computed; without `pinned`, alike for jobs that were pinned and others: where the number of
    threads was chosen, that of cores says which of them it was."""
    environment = run.environment
    if "cpu" not in environment:
        return "an unknown machine"
    gpus = len(environment.get("gpus", ()))
    threads = environment.get("threads", {}).get("intra_op", 0)
    parts = [environment["cpu"]]
    if pinned or not threads:
        parts.append(counted(environment["cores"], "core") if "cores" in environment else "? cores")
    parts += [counted(gpus, "GPU")] if gpus else []
    parts += [counted(threads, "thread")] if threads else []
    return ", ".join(parts)


def _made_with(run: Run) -> str:
    versions = run.environment.get("versions", {})
    return ", ".join(f"{name} {versions[name]}" for name in _VERSIONS if name in versions) or "unknown versions"


# From so many on, a false one among them is no rare event.
_MANY_DIFFERENCES = 3
# After one seed nothing is known of how much the differences vary.
_FEWEST_LOOKS = 2
# Of more arms than this the sentences are summed up.
_MANY_ARMS = 8
_MODELS = ("final", "saved")
_ON_ROWS = (
    "Two single runs are compared by the rows on which only one of them is right (McNemar's exact test; Newcombe's "
    "interval of 1998). That describes these two models; only several seeds tell whether their settings differ."
)
_ON_SCORES = (
    "Two single runs are compared by resampling the rows that both were tested on (a bootstrap, BCa). That describes "
    "these two models; only several seeds tell whether their settings differ."
)
_LOOKED = "Looked at after every seed"
_DECISIONS = (
    "`decided` says what somebody who had looked after every seed, in the order of the seeds, could have decided, and "
    "when: by an anytime-valid 95 % interval, which holds at all looks together, and for all arms "
    "together. It is wider than the interval of a single look beside it. How many more seeds it takes is of a t-test "
    "that is asked once; who looks after every seed needs 1.6 to 1.8 times as many in total."
)
_SHARED_ROWS = (
    "The seeds share their test rows: intervals and p-values over seeds describe other seeds on these rows, and not "
    "other rows."
)


@dataclass(frozen=True)
class Comparison:
    """An arm against the one that it is compared with, in one value.

    Attributes:
        difference: over seeds; None where none is claimed.
        sentence: what the difference says, or why there is none.
        on_rows: of two single runs, on the test rows that both have; None where that is not known.
        decision: what looking after every seed would have decided; None where fewer than two seeds are paired.
    """

    arm: RunArm
    base: RunArm
    view: View
    difference: Difference | None
    sentence: str
    on_rows: OnRows | None = None
    decision: Decision | None = None

    def verdict(self, better: Direction | None) -> str:
        """As that of a difference; `no claim` where there is none."""
        if self.on_rows is not None:
            return self.on_rows.verdict()
        return self.difference.verdict(better) if self.difference else "no claim"

    @property
    def tested(self) -> bool:
        """Whether it has a p-value."""
        return self.on_rows is not None or (self.difference is not None and self.difference.p is not None)

    def answer(self, measure: Measure) -> str:
        """How the arms compare, in plain words; without the statistics."""
        if self.difference is None:
            return self.sentence
        verdict, view = self.verdict(measure.better), self.view
        by_seed = [arm.by_seed(view.value) for arm in (self.arm, self.base)]
        if self.on_rows is None and self.difference.paired:
            # What is said of pairs is not said of the other runs.
            common = by_seed[0].keys() & by_seed[1].keys()
            by_seed = [{seed: value for seed, value in of.items() if seed in common} for of in by_seed]
        values = measure.show(*(statistics.fmean(of.values()) if of else 0.0 for of in by_seed))
        seeds = min(map(len, by_seed))
        over = f"over {counted(seeds, 'seed')}" if self.on_rows is None else f"on {self.on_rows.rows:,} test rows"
        if verdict == "not distinguishable":
            return f"{self.arm.label} and {self.base.label} cannot be told apart {over}: {view.phrase} {values}."
        return f"{self.arm.label} is {verdict} than {self.base.label} {over}: {view.phrase} {values}."

    def on_decision(self) -> str:
        """What looking after every seed would have decided, in a sentence; empty where that says no more than the
        difference itself, such as that all seeds are needed, or that they are too few."""
        decision = self.decision
        if decision is None or decision.test is None:
            return ""
        if decision.test.decided is None:
            adds = bool(decision.more_seeds())
        else:
            adds = decision.test.decided < len(decision.seeds) or decision.verdict == "equal"
        return f"{_LOOKED}, {decision.sentence()}" if adds else ""


def compare_to_baseline(
    arms: Sequence[RunArm], base: RunArm, measure: Measure, resolve: str = "auto"
) -> list[Comparison]:
    """Every other arm against the base, by each of the measure's values.

    Args:
        resolve: the smallest difference that matters, as for `resolve_for`.
    """
    others, margin_of = [arm for arm in arms if arm is not base], resolve_for(measure.headline, resolve).margin
    comparisons = [_compare(arm, base, measure, view) for view in measure.views for arm in others]
    return [
        replace(comparison, decision=_decision_on(comparison, measure, margin_of, len(others)))
        for comparison in comparisons
    ]


def _decision_on(
    comparison: Comparison, measure: Measure, margin_of: Callable[[float], float], together: int
) -> Decision | None:
    """
    Args:
        margin_of, together: as for `decide`.
    """
    difference, view = comparison.difference, comparison.view
    if difference is None or not difference.paired or difference.n < _FEWEST_LOOKS:
        return None
    show = writer_of_differences(measure.headline)
    value = ComparedValue(view.value, view.phrase, measure.headline, measure.better, show)
    return decide(comparison.arm, comparison.base, value, margin_of, together)


def _compare(arm: RunArm, base: RunArm, measure: Measure, view: View) -> Comparison:
    settings = other_test_rows(arm, base)
    # What it cost does not depend on which rows test.
    if settings and not measure.is_cost:
        which = f"of {arm.label} and {base.label} themselves are of different test rows ({', '.join(settings)})"
        reason = f"The results {which}: no claim."
        return Comparison(arm, base, view, None, reason)
    values, others = arm.by_seed(view.value), base.by_seed(view.value)
    if not values or not others:
        missing = (base if values else arm).label
        return Comparison(arm, base, view, None, f"{arm.label} against {base.label}: {missing} has no {view.phrase}.")
    states_seeds = all(result.run.states_seed for result in (*arm.runs, *base.runs))
    without = {other.label: other.without(view.value) for other in (arm, base)}
    difference, note = difference_of(
        values, others, paired=states_seeds, without={run.seed for runs in without.values() for run in runs}
    )
    note += "".join(_left_out(label, len(runs), view) for label, runs in without.items() if runs)
    show = writer_of_differences(measure.headline)
    reason = "the seeds differ" if states_seeds else "the names of the files do not say their seeds"
    sentence = difference.sentence(arm.label, base.label, view.phrase, measure.better, show, measure.unit, reason)
    if len(arm.runs) == len(base.runs) == 1:
        on_rows, reason = compare_rows(arm.runs[0], base.runs[0], view, measure)
        if on_rows is not None:
            written = () if isinstance(on_rows, RowsDifference) else (show, measure.unit)
            sentence = on_rows.sentence(arm.label, base.label, view.phrase, *written)
            return Comparison(arm, base, view, difference, sentence, on_rows)
        note += f" ({reason})" if reason else ""
    return Comparison(arm, base, view, difference, sentence + note)


def _left_out(label: str, count: int, view: View) -> str:
    """A note on runs of an arm without a value: what is said of it is said of the others."""
    has, are = agreeing(count, "has", "have"), agreeing(count, "is", "are")
    return f" ({counted(count, 'run')} of {label} {has} no {view.phrase} and {are} left out.)"


def difference_of(
    values: Mapping[int, float], others: Mapping[int, float], *, paired: bool = True, without: Collection[int] = ()
) -> tuple[Difference, str]:
    """The difference of values by seed, and a note on seeds that it is not of: pairs where enough seeds match, else
    two independent samples where both are large enough, else whatever there is.

    Args:
        paired: whether values of the same seed are pairs.
        without: the seeds that have a run without a value, which the note does not count.
    """
    difference = difference_by_seed(values, others) if paired else None
    if difference is not None and (difference.n >= FEWEST or min(len(values), len(others)) < FEWEST):
        unmatched = len((values.keys() ^ others.keys()) - set(without))
        runs = f"{counted(unmatched, 'run')} {agreeing(unmatched, 'has', 'have')}"
        return difference, f" ({runs} no partner of the same seed.)" if unmatched else ""
    return unpaired_difference(list(values.values()), list(others.values())), ""


def counted_on_rows(arm: RunArm, view: View) -> Proportion | None:
    """How sure a single run's test accuracy is, where that counts in it, because it was counted on so many rows; None
    for anything else.

    It says nothing of other seeds.
    """
    results = _single_results(arm, view)
    return counted_right(results, view.model or "final") if results else None


def bounds_on_rows(arm: RunArm, view: View) -> tuple[Bounds, int] | None:
    """The 95 % interval of a single run's metric that counts over the rows that it was tested on, and how many these
    are; None for anything else."""
    results = _single_results(arm, view)
    bounds = bounds_of(results, "test", view.model or "final") if results else None
    return None if bounds is None or results is None else (bounds, results.test_rows)


def _single_results(arm: RunArm, view: View) -> RunSummary | None:
    """What a single run came to, where a view is of its metric that counts, on its test rows."""
    seeds = list(arm.by_seed(view.value))
    if len(seeds) != 1:
        return None
    (run,) = (result.run for result in arm.runs if result.seed == seeds[0])
    if run.results is None or view.value not in (f"{which}_{run.headline.column('test')}" for which in _MODELS):
        return None
    return run.results


@dataclass(frozen=True)
class CompareResults:
    """Arms side by side.

    Attributes:
        base: what the others are compared with.
        warnings: a sentence without a full stop each.
    """

    arms: Sequence[RunArm]
    base: RunArm
    measure: Measure
    comparisons: Sequence[Comparison]
    settings: Settings
    warnings: Sequence[str]

    def answers(self) -> tuple[str, ...]:
        """How the arms compare in plain words, or for many arms, how many are better."""
        if len(self.arms) - 1 > _MANY_ARMS:
            return tuple(self._counts(view) for view in self.measure.views)
        return tuple(dict.fromkeys(comparison.answer(self.measure) for comparison in self.comparisons))

    def conclusions(self) -> tuple[str, ...]:
        """The statistics of each difference in a sentence, and what looking after every seed would have decided; of
        many arms, how many."""
        if len(self.arms) - 1 > _MANY_ARMS:
            return tuple(filter(None, map(self._counts_of_decisions, self.measure.views)))
        sentences = [comparison.sentence for comparison in self.comparisons]
        sentences += filter(None, (comparison.on_decision() for comparison in self.comparisons))
        return tuple(sentence for sentence in dict.fromkeys(sentences) if sentence not in self.answers())

    def decisions(self) -> list[tuple[View, Decision]]:
        """What looking after every seed would have decided, of all comparisons for which that is known."""
        return [(one.view, one.decision) for one in self.comparisons if one.decision is not None]

    def _counts(self, view: View) -> str:
        """How many arms are better, worse, or not distinguishable."""
        comparisons = [comparison for comparison in self.comparisons if comparison.view == view]
        verdicts = [(comparison.verdict(self.measure.better), comparison.arm) for comparison in comparisons]
        return self._counts_by_verdict(view, verdicts)

    def _counts_of_decisions(self, view: View) -> str:
        """How many arms looking after every seed would have decided on; empty where that is known of none."""
        verdicts = [(decision.verdict, decision.arm) for of, decision in self.decisions() if of == view]
        return f"{_LOOKED}, {self._counts_by_verdict(view, verdicts)}" if verdicts else ""

    def _counts_by_verdict(self, view: View, verdicts: Sequence[tuple[str, RunArm]]) -> str:
        labels: dict[str, list[str]] = {}
        for verdict, arm in verdicts:
            labels.setdefault(verdict, []).append(arm.label)
        counts = "; ".join(f"{len(names)} {verdict} ({some(names)})" for verdict, names in labels.items())
        return f"{view.phrase} of {len(verdicts)} against {self.base.label}: {counts}."

    def notes(self) -> list[str]:
        """How to read it."""
        notes = []
        tested = sum(comparison.tested for comparison in self.comparisons)
        on_rows = [comparison.on_rows for comparison in self.comparisons if comparison.on_rows is not None]
        notes += [_ON_ROWS] if any(isinstance(rows, RowsDifference) for rows in on_rows) else []
        notes += [_ON_SCORES] if any(isinstance(rows, ScoresDifference) for rows in on_rows) else []
        if tested >= _MANY_DIFFERENCES:
            notes.append(
                f"{tested} differences are tested, each with an error of 5 %: where nothing differs, the probability "
                f"that one of them still looks distinguishable is up to {min(100, tested * 5)} %."
            )
        notes += [_DECISIONS] if self.decisions() else []
        if any(counted_on_rows(arm, view) for arm in self.arms for view in self.measure.views):
            notes.append(
                "The interval of a single run is Wilson's, of an accuracy that was counted on so many rows; it does "
                "not describe other seeds."
            )
        elif any(bounds_on_rows(arm, view) for arm in self.arms for view in self.measure.views):
            notes.append(
                "The interval of a single run is over the rows that it was tested on; it does not describe other seeds."
            )
        if self.measure.name.startswith("test_"):
            over_seeds = any(comparison.tested and comparison.on_rows is None for comparison in self.comparisons)
            # What something else trained may be folds of a cross-validation.
            own = any(result.run.command not in FOREIGN for arm in self.arms for result in arm.runs)
            notes += [_SHARED_ROWS] if over_seeds and own else []
            chosen = headlines_of([arm for arm in self.arms if _test_rows_chose(arm)])
            notes += dict.fromkeys(map(note_on_test_rows, chosen.values()))
        return notes


def _test_rows_chose(arm: RunArm) -> bool:
    """Whether the rows that test also chose the epoch that was saved."""
    return any(result.saved for result in arm.runs) and first_run(arm).test_rows_validate


def some(names: Sequence[str]) -> str:
    """The first so many of some names, and how many more there are."""
    more = f" and {len(names) - _MANY_ARMS} more" if len(names) > _MANY_ARMS else ""
    return ", ".join(names[:_MANY_ARMS]) + more


def compare(
    paths: Sequence[Path],
    baseline: str = "",
    metric: str = "",
    mode: str = "auto",
    root: Path = DEFAULT_RUNS_DIR,
    *,
    apart: bool = False,
    resolve: str = "auto",
) -> CompareResults:
    """Set runs and sweeps side by side.

    Args:
        paths: their folders.
        baseline: the label of what the others are compared with, or its run; the first where it is empty.
        metric, mode: as for `measure_of`.
        root: the runs folder, in which the baseline may be named.
        apart: runs of different folders are never taken as seeds of one arm.
        resolve: the smallest difference that matters, as for `parse_resolve`.

    Raises:
        ConfigError: a setting is out of range.
        RequestError: they cannot be compared; nothing is written.
    """
    parse_resolve(resolve)
    arms, warnings = read_arms(paths, metric, mode, apart=apart)
    measure = measure_of(metric, arms, mode)
    base = baseline_of(arms, baseline, root)
    warnings = [*experiments_differ(arms), *measure.warnings, *warnings, *environments_differ(arms)]
    comparisons = compare_to_baseline(arms, base, measure, resolve)
    return CompareResults(arms, base, measure, comparisons, settings_of(arms), warnings)

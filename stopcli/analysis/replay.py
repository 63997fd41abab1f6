"""What a stopping rule would have done on a run that is finished, from its metrics alone.

A run is trained the same way whatever rules watch it, and a rule only cuts it off. So a rule's stop on recorded metrics
is the stop that it would have had live, as long as it lies within the epochs that were recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from stopcli.analysis.arms import Arm, Experiment, experiments_of, headline_of_runs
from stopcli.analysis.recorded_history import RecordedHistory, Replay, readable_metrics
from stopcli.errors import ConfigError, MetricError, RequestError, did_you_mean
from stopcli.quantities import agreeing, counted
from stopcli.runs.headline import LOSS, Headline, base_name, rows_of
from stopcli.runs.recording import Recording, notes_of, read_runs_and_recordings
from stopcli.runs.run import Run, without_analyses
from stopcli.stopping import BestEpoch, Patience, Rule
from stopcli.stopping.combine import mode_warnings, parse_rule, smoothed
from stopcli.stopping.rule import mode_warning, natural_direction, resolve_direction

# Prechelt's own criteria (1998, section 2.3), but for the slowest, and patience from none to much.
DEFAULT_PATIENCE = (0, 5, 10, 20, 50, 100, 200)
DEFAULT_RULES = (
    *("gl:1", "gl:2", "gl:3", "gl:5", "pq:0.5", "pq:0.75", "pq:1", "pq:2", "pq:3"),
    *("up:2", "up:3", "up:4", "up:6", "up:8"),
)
_USUAL_MONITOR = "val_loss"
# Of more runs than this, a warning names the first ones.
_NAMED = 3
# Of the runs, where nothing keeps the best epoch of all of them.
MOST_RUNS = 0.95
_ROUNDING = 1e-9


class LabelledRule(NamedTuple):
    """A rule, and how the user writes it, such as `gl:2`."""

    label: str
    rule: Rule[Any]

    def smoothed(self, smooth: float) -> LabelledRule:
        """The same on smoothed metrics."""
        return LabelledRule(f"{self.label} β={smooth:g}", smoothed(self.rule, smooth)) if smooth else self


@dataclass(frozen=True)
class ReplayOptions:
    """What is replayed on some runs.

    Attributes:
        patience, min_delta: every patience is replayed with every min_delta.
        rules: as in `--stop`. Where neither patience nor rules are given, the usual ones.
        smooth: every rule is replayed with each; 0 for not smoothed.
        monitor, mode: of patience and threshold; empty for `val_loss`, or where not all runs have recorded it, for what
            counts in them.
        baseline, start_from_epoch: of every patience.
        select, select_mode: the metric whose best epoch is selected; empty for `monitor`.
    """

    patience: tuple[int, ...] | None = None
    min_delta: tuple[float | str, ...] = (0.0,)
    rules: tuple[str, ...] | None = None
    smooth: tuple[float, ...] = (0.0,)
    monitor: str = ""
    mode: str = "auto"
    baseline: float | None = None
    start_from_epoch: int = 0
    select: str = ""
    select_mode: str = "auto"

    def monitoring(self, runs: Sequence[Run]) -> ReplayOptions:
        """With the metric that is monitored where none is named."""
        if self.monitor:
            return self
        recorded = set.intersection(*(set(readable_metrics(run.metrics)) for run in runs))
        headlines = [LOSS, *(run.headline for run in runs)]
        candidates = [name for headline in headlines for name in headline.spellings("val", sorted(recorded))]
        return replace(self, monitor=next(iter(candidates), _USUAL_MONITOR))

    def directed_by(self, headlines: Iterable[Headline]) -> ReplayOptions:
        """With the directions that runs have on record of what counts in them, where they agree, and neither a mode nor
        the metric's name tells."""
        recorded = {(headline.name, headline.direction) for headline in headlines}

        def mode_of(metric: str, mode: str) -> str:
            directions = [direction for name, direction in recorded if name == base_name(metric)]
            is_asked = mode == "auto" and natural_direction(metric) is None
            return directions[0] if is_asked and len(directions) == 1 else mode

        mode, select_mode = mode_of(self.monitor, self.mode), mode_of(self.select, self.select_mode)
        return replace(self, mode=mode, select_mode=select_mode)

    @property
    def usual(self) -> bool:
        """Whether no rule is named."""
        return self.patience is None and self.rules is None

    def labelled_rules(self, recorded: Collection[str] | None = None) -> list[LabelledRule]:
        """The rules, each once.

        Args:
            recorded: the metrics that there are; None where that is checked later.

        Raises:
            ConfigError: one of them does not exist, or a value is out of its range.
        """
        patience, rules = (DEFAULT_PATIENCE, DEFAULT_RULES) if self.usual else (self.patience or (), self.rules or ())
        labelled = [self._patience(epochs, delta) for delta in self.min_delta for epochs in patience]
        labelled += [LabelledRule(text, parse_rule(text, self.monitor, self.mode, recorded=recorded)) for text in rules]
        if not labelled:
            raise ConfigError("stop", "none", "one rule or more, here or with --patience")
        labels: dict[Rule[Any], str] = {}
        for label, rule in (rule.smoothed(smooth) for smooth in self.smooth for rule in labelled):
            labels.setdefault(rule, label)
        return [LabelledRule(label, rule) for rule, label in labels.items()]

    @property
    def replays_patience(self) -> bool:
        """Whether patience is among the rules."""
        return bool(self.patience) or self.rules is None

    def patience_rule(self, epochs: int) -> LabelledRule:
        """So much patience, with the first min_delta and the first smoothing."""
        return self._patience(epochs, self.min_delta[0]).smoothed(self.smooth[0])

    def _patience(self, epochs: int, min_delta: float | str) -> LabelledRule:
        rule = Patience(epochs, self.monitor, self.mode, min_delta, self.baseline, self.start_from_epoch)
        return LabelledRule(f"patience:{epochs}" + (f" δ={rule.delta_text}" if rule.min_delta else ""), rule)

    def selecting_rule(self) -> BestEpoch:
        """Which epoch is selected.

        Raises:
            ConfigError: the direction of the metric is not known.
        """
        if not self.select or self.select == self.monitor:
            return BestEpoch(self.monitor, self.mode, self.start_from_epoch)
        resolve_direction(self.select, self.select_mode, setting="select")
        return BestEpoch(self.select, self.select_mode, self.start_from_epoch)

    def warnings(self) -> list[str]:
        """Options that have no effect or contradict each other, as the training commands warn of them."""
        warnings = [mode_warning(self.monitor, self.mode)]
        others = mode_warnings(rule for _, rule in self.labelled_rules())
        warnings += [warning for warning in others if warning not in warnings]
        if not self.patience and self.rules is not None:
            warnings += ["min_delta has no effect without patience"] if any(self.min_delta) else []
            warnings += ["baseline has no effect without patience"] if self.baseline is not None else []
        return [warning for warning in warnings if warning]

    def check_metrics(self, run: Run) -> None:
        """Check that a run has recorded the named metrics.

        Raises:
            RequestError: it has not.
        """
        _check(run, [("--monitor", self.monitor), ("--select", self.select or self.monitor)])


def check_rules(rules: Sequence[LabelledRule], run: Run) -> None:
    """Check that a run has recorded what rules read.

    Raises:
        RequestError: it has not.
    """
    _check(run, [(label, name) for label, rule in rules for name in rule.monitors])


def _check(run: Run, needs: Sequence[tuple[str, str]]) -> None:
    recorded = readable_metrics(run.metrics)
    for reader, name in needs:
        if name not in recorded:
            received = f"{reader}: received {name!r}" if reader.startswith("--") else f"{reader} needs {name}"
            expected = f"expected a metric that {run.path} has recorded: {', '.join(recorded) or 'it has none'}"
            raise RequestError(f"{received}, {expected}", hint=_hint(run, name, recorded))


def _hint(run: Run, missing: str, recorded: Sequence[str]) -> str:
    if missing.startswith(("test_", "test/")) and missing in run.metrics:
        hint = "Held-out test rows must not choose an epoch: they would no longer be an independent test."
        return f"{hint} A column of rows that may choose is called val_…" if isinstance(run, Recording) else hint
    if isinstance(run, Recording):
        return did_you_mean(missing, recorded) or "--monitor names one of them."
    if not any(column.startswith("val_") for column in run.metrics):
        return "The run was not validated: nothing shows when it should have stopped."
    near = did_you_mean(missing, recorded)
    return near or "Name another with --monitor or --select, or leave the rule out."


@dataclass(frozen=True, kw_only=True)
class RuleResults(Arm[Replay]):
    """What a rule would have done on the runs of an experiment."""

    rule: Rule[Any]

    @property
    def not_fired(self) -> int:
        """Runs that it did not stop."""
        return sum(not replay.fired for replay in self.runs)

    @property
    def keeps_best(self) -> int:
        """Runs of which it keeps the best epoch of all."""
        return sum(replay.keeps_best for replay in self.runs)


@dataclass(frozen=True)
class ExperimentResults:
    """Every rule on every run of an experiment.

    Attributes:
        histories: of its runs, one a seed.
    """

    label: str
    histories: tuple[RecordedHistory, ...]
    rules: tuple[RuleResults, ...]

    def results_of(self, rule: LabelledRule) -> RuleResults:
        """What a rule would have done on its runs."""
        return RuleResults(rule.label, tuple(history.replay(rule.rule) for history in self.histories), rule=rule.rule)

    def smallest_patience(self, options: ReplayOptions, share: float = 1.0) -> RuleResults | None:
        """The smallest patience, of all whole numbers, that keeps the best epoch in so large a share of the runs; None
        where no epoch of some run counts."""
        rule = options.patience_rule
        smallest = [history.smallest_patience(lambda epochs: rule(epochs).rule) for history in self.histories]
        needed = sorted(epochs for epochs in smallest if epochs is not None)
        if len(needed) < self.n:
            return None
        return self.results_of(rule(needed[math.ceil(share * self.n - _ROUNDING) - 1]))

    @property
    def n(self) -> int:
        return len(self.histories)

    @property
    def title(self) -> str:
        """What it is, and how many runs of it there are."""
        return f"{self.label}, {counted(self.n, 'run')}"

    @property
    def headline(self) -> Headline:
        """The metric that counts."""
        return self.histories[0].headline

    @property
    def headline_column(self) -> str | None:
        """The column that the values of the metric that counts are of."""
        return self.histories[0].headline_column

    @property
    def headline_rows(self) -> str:
        """The rows that they are of: `test`, `validation` or `training`; empty where there are none."""
        if self.headline_column is None:
            return ""
        rows = rows_of(self.headline_column)
        if rows == "val" and self.histories[0].test_rows_validate:
            return "test"
        return {"val": "validation", "train": "training"}.get(rows, rows)


@dataclass(frozen=True)
class ReplayResults:
    """What the rules would have done, experiment by experiment.

    Attributes:
        selecting_rule: which epoch is selected.
        warnings: a sentence without a full stop each.
    """

    options: ReplayOptions
    selecting_rule: BestEpoch
    experiments: tuple[ExperimentResults, ...]
    warnings: tuple[str, ...]


def replay(paths: Sequence[Path], options: ReplayOptions) -> ReplayResults:
    """Replay rules on the runs in some folders.

    Raises:
        RequestError: there is nothing to replay, or the runs have not recorded what the rules read.
    """
    folders, skipped = without_analyses(paths)
    runs = read_runs_and_recordings(
        folders, by="columns", metric=options.select or options.monitor, mode="auto" if options.select else options.mode
    )
    usable, left_out = _usable(runs)
    if not usable:
        reasons = [f"{run.path}: {reason}" for run, reason in left_out] + skipped
        raise RequestError(reasons[0], hint="Rules are replayed on runs that trained for an epoch or more.")
    options = options.monitoring(usable)
    for run in usable:
        options.check_metrics(run)
    options = options.directed_by(run.headline for run in usable)
    rules, not_recorded = _recorded_rules(options, usable)
    selecting_rule = options.selecting_rule()
    longest = max(usable, key=lambda run: run.recorded_epochs)
    epochs = longest.recorded_epochs
    if options.start_from_epoch >= epochs:
        expected = f"less than the {counted(epochs, 'epoch')} of {longest.path}, or no epoch would count"
        raise RequestError(f"--start-from-epoch: received {options.start_from_epoch}, expected {expected}")
    experiments, repeated = _one_run_a_seed(experiments_of(usable))
    left_out += [(run, "the same settings and seed as another") for run in repeated]
    results = tuple(replay_experiment(experiment, rules, selecting_rule) for experiment in experiments)
    warnings = (
        *options.warnings(),
        *skipped,
        *not_recorded,
        *notes_of(usable),
        *_warnings(results, left_out, selecting_rule.monitor),
    )
    return ReplayResults(options, selecting_rule, results, warnings)


def _usable(runs: Iterable[Run]) -> tuple[list[Run], list[tuple[Run, str]]]:
    usable, left_out = [], []
    for run in runs:
        if run.command == "lr-range":
            left_out.append((run, "a range test, which has no epochs that a rule could stop at"))
        elif not run.recorded_epochs:
            left_out.append((run, f"no epoch on record ({run.state})"))
        else:
            usable.append(run)
    return usable, left_out


def _recorded_rules(options: ReplayOptions, runs: Sequence[Run]) -> tuple[list[LabelledRule], list[str]]:
    """The rules to replay, and a sentence on the usual ones that read what not all runs have recorded: nobody asks for
    these."""
    if not options.usual:
        return options.labelled_rules(readable_metrics(runs[0].metrics)), []
    rules = options.labelled_rules()
    recorded = set.intersection(*(set(readable_metrics(run.metrics)) for run in runs))
    usable = [rule for rule in rules if recorded.issuperset(rule.rule.monitors)]
    others = [rule for rule in rules if rule not in usable]
    if not others:
        return rules, []
    missing = dict.fromkeys(name for rule in others for name in rule.rule.monitors if name not in recorded)
    labels = ", ".join(rule.label for rule in others)
    are = agreeing(len(missing), "is", "are")
    return usable, [f"left out, because {' and '.join(missing)} {are} not on record: {labels}"]


def _one_run_a_seed(experiments: Sequence[Experiment]) -> tuple[list[Experiment], list[Run]]:
    """Experiments with one run a seed, the longest, and the other runs: the same one again would pass for more evidence
    than there is."""
    unique, repeated = [], []
    for experiment in experiments:
        by_seed: dict[int, Run] = {}
        for run in experiment.runs:
            other = by_seed.get(run.seed)
            if other is None or run.recorded_epochs > other.recorded_epochs:
                by_seed[run.seed] = run
            if other is not None:
                repeated.append(other if by_seed[run.seed] is run else run)
        unique.append(Experiment(experiment.label, tuple(by_seed.values())))
    return unique, repeated


def replay_experiment(
    experiment: Experiment, rules: Sequence[LabelledRule], selecting_rule: BestEpoch
) -> ExperimentResults:
    """Every rule on every run of an experiment.

    Raises:
        RequestError: a run has not recorded what a rule reads, or with values that the rule refuses.
    """
    for run in experiment.runs:
        check_rules(rules, run)
    headline = headline_of_runs(experiment.runs)
    histories = tuple(RecordedHistory(run, selecting_rule, headline) for run in experiment.runs)
    results = ExperimentResults(experiment.label, histories, ())
    try:
        return replace(results, rules=tuple(map(results.results_of, rules)))
    except MetricError as error:
        raise RequestError(f"{experiment.label}: {error.message}", hint="Leave that rule out.") from None


def _warnings(
    experiments: Sequence[ExperimentResults], left_out: Sequence[tuple[Run, str]], selecting: str
) -> list[str]:
    histories = [history for experiment in experiments for history in experiment.histories]

    def runs(condition: Callable[[RecordedHistory], object]) -> list[Run]:
        return [history.run for history in histories if condition(history)]

    warnings = [
        f"left out: {_names([run for run, other in left_out if other == reason])}: {reason}"
        for reason in dict.fromkeys(reason for _, reason in left_out)
    ]
    if unfinished := runs(lambda history: not history.run.finished):
        states = ", ".join(dict.fromkeys(run.state for run in unfinished))
        warnings.append(f"not finished ({states}), and replayed as far as recorded: {_names(unfinished)}")
    if broken := runs(lambda history: history.broken):
        warnings.append(f"stopped on a metric that is not finite, as under any rule: {_names(broken)}")
    for name, sparse in _sparse(experiments, selecting).items():
        warnings.append(f"{name} was not measured after every epoch; rules on it skip the others: {_names(sparse)}")
    if cut := runs(lambda history: history.ended_early and history.run.finished and not history.broken):
        warnings.append(
            f"stopped by a rule before all epochs had run, so that the best epoch of all may not be on record: "
            f"{_names(cut)}"
        )
    if at_cycle_ends := runs(lambda history: history.run.settings.get("stop_at") == "cycle-end"):
        warnings.append(
            f"replayed rules may stop at every epoch; in these runs they could stop only at the end of a cycle "
            f"(stop_at): {_names(at_cycle_ends)}"
        )
    without_selected = dict.fromkeys(
        rule.label
        for experiment in experiments
        for rule in experiment.rules
        if any(not replay.selected for replay in rule.runs)
    )
    if without_selected:
        warnings.append(
            "in some runs no epoch is selected, which the means of best epoch and regret leave out: "
            + ", ".join(without_selected)
        )
    return warnings


def _sparse(experiments: Sequence[ExperimentResults], selecting: str) -> dict[str, list[Run]]:
    """Of the metrics that were not measured after every epoch and that a rule reads, in which runs."""
    sparse: dict[str, list[Run]] = {}
    for experiment in experiments:
        monitors = {selecting, *(name for rule in experiment.rules for name in rule.rule.monitors)}
        for history in experiment.histories:
            for name in history.run.missing.keys() & monitors:
                sparse.setdefault(name, []).append(history.run)
    return sparse


def _names(runs: Sequence[Run]) -> str:
    names = [str(run.path) for run in runs[:_NAMED]]
    return ", ".join(names) + (f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else "")

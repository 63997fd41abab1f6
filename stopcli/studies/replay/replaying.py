"""Rules replayed on the runs of some folders, experiment by experiment, and what is to be known of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stopcli.counts import counted
from stopcli.errors import MetricError, RequestError
from stopcli.evidence.replay import LabelledRule, RecordedHistory, RuleResults, replay_all
from stopcli.runs.recorded import Experiment, RecordedRun, experiments_of, read_recorded, without_studies
from stopcli.stopping import BestEpoch
from stopcli.studies.replay.asking import ReplayOptions, check_rules

# Of more runs than this, a warning names the first ones.
_NAMED = 3


@dataclass(frozen=True)
class ExperimentResults:
    """Every rule on every run of an experiment.

    Attributes:
        histories: of its runs, by seed as they were given.
        rules: what each rule came to.
    """

    label: str
    histories: tuple[RecordedHistory, ...]
    rules: tuple[RuleResults, ...]

    @property
    def n(self) -> int:
        return len(self.histories)

    @property
    def title(self) -> str:
        """What it is, and how many runs of it there are."""
        return f"{self.label}, {counted(self.n, 'run')}"

    @property
    def accuracy(self) -> str | None:
        """The column that its accuracies are of."""
        return self.histories[0].accuracy


@dataclass(frozen=True)
class ReplayResults:
    """What was replayed.

    Attributes:
        selecting_rule: which epoch is selected.
        warnings: what the user should know, a sentence without a full stop each.
    """

    options: ReplayOptions
    selecting_rule: BestEpoch
    experiments: tuple[ExperimentResults, ...]
    warnings: tuple[str, ...]

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower value of the selecting metric is the better one."""
        return self.selecting_rule.is_better(0.0, 1.0)


def replay(paths: Sequence[Path], options: ReplayOptions) -> ReplayResults:
    """Replay rules on the runs in some folders.

    Raises:
        RequestError: there is nothing to replay, or not what is asked for.
    """
    folders, skipped = without_studies(paths)
    usable, left_out = _usable(read_recorded(folders))
    if not usable:
        told = [f"{run.path}: {why}" for run, why in left_out] + skipped
        raise RequestError(told[0], hint="Rules are replayed on runs that trained for an epoch or more.")
    for run in usable:
        options.check_metrics(run)
    rules, selecting_rule = options.labelled_rules(), options.selecting_rule()
    longest = max(usable, key=lambda run: len(run.metrics["epoch"]))
    if options.start_from_epoch >= len(longest.metrics["epoch"]):
        most = counted(len(longest.metrics["epoch"]), "epoch")
        expected = f"less than the {most} of {longest.path}, else none is ever watched"
        raise RequestError(f"--start-from-epoch: received {options.start_from_epoch}, expected {expected}")
    experiments, twice = _without_twins(experiments_of(usable))
    left_out += [(run, "the same settings and seed as another") for run in twice]
    results = tuple(_replay_experiment(experiment, rules, selecting_rule) for experiment in experiments)
    warnings = (*options.warnings(), *skipped, *_warnings(results, left_out))
    return ReplayResults(options, selecting_rule, results, warnings)


def _usable(runs: Iterable[RecordedRun]) -> tuple[list[RecordedRun], list[tuple[RecordedRun, str]]]:
    usable, left_out = [], []
    for run in runs:
        if run.command == "lr-range":
            left_out.append((run, "a range test, which has no epochs that a rule could watch"))
        elif not (run.path / "metrics.csv").is_file() or not len(run.metrics["epoch"]):
            left_out.append((run, f"no epoch on record ({run.state})"))
        else:
            usable.append(run)
    return usable, left_out


def _without_twins(experiments: Sequence[Experiment]) -> tuple[list[Experiment], list[RecordedRun]]:
    """Experiments with one run a seed: the same one again would pass for more evidence than there is."""
    kept, twice = [], []
    for experiment in experiments:
        by_seed: dict[int, RecordedRun] = {}
        for run in experiment.runs:
            other = by_seed.get(run.seed)
            if other is None or len(run.metrics["epoch"]) > len(other.metrics["epoch"]):
                by_seed[run.seed] = run
            if other is not None:
                twice.append(other if by_seed[run.seed] is run else run)
        kept.append(Experiment(experiment.label, tuple(by_seed.values())))
    return kept, twice


def _replay_experiment(
    experiment: Experiment, rules: Sequence[LabelledRule], selecting_rule: BestEpoch
) -> ExperimentResults:
    for run in experiment.runs:
        check_rules(rules, run)
    histories = [RecordedHistory(run, selecting_rule) for run in experiment.runs]
    try:
        results = replay_all(histories, rules)
    except MetricError as error:
        raise RequestError(f"{experiment.label}: {error.message}", hint="Leave that rule out.") from None
    return ExperimentResults(experiment.label, tuple(histories), tuple(results))


def _warnings(experiments: Sequence[ExperimentResults], left_out: Sequence[tuple[RecordedRun, str]]) -> list[str]:
    histories = [history for experiment in experiments for history in experiment.histories]
    told = [
        f"left out: {_names([run for run, each in left_out if each == why])}: {why}"
        for why in dict.fromkeys(why for _, why in left_out)
    ]
    unfinished = [each.run for each in histories if not each.run.finished]
    if unfinished:
        states = ", ".join(dict.fromkeys(run.state for run in unfinished))
        told.append(f"not finished ({states}), and replayed as far as recorded: {_names(unfinished)}")
    broken = [each.run for each in histories if each.broken]
    if broken:
        told.append(f"broke off on a metric that is no number, as it would have under any rule: {_names(broken)}")
    cut = [each.run for each in histories if not each.complete and each.run.finished and not each.broken]
    if cut:
        told.append(
            f"stopped by a rule before all epochs had run, so that the best epoch of all may not be on record: "
            f"{_names(cut)}"
        )
    at_cycle_ends = [each.run for each in histories if each.run.settings.get("stop_at") == "cycle-end"]
    if at_cycle_ends:
        told.append(
            f"replayed rules are asked at every epoch, those of these runs were asked at the ends of cycles alone "
            f"(stop_at): {_names(at_cycle_ends)}"
        )
    return told + _kept_nothing(experiments)


def _kept_nothing(experiments: Sequence[ExperimentResults]) -> list[str]:
    rules = [result for experiment in experiments for result in experiment.rules]
    labels = dict.fromkeys(
        result.rule.label for result in rules if any(replay.selected is None for replay in result.replays)
    )
    if not labels:
        return []
    return [f"in some runs no epoch is kept, which the means of best epoch and regret leave out: {', '.join(labels)}"]


def _names(runs: Sequence[RecordedRun]) -> str:
    names = [str(run.path) for run in runs[:_NAMED]]
    return ", ".join(names) + (f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else "")

"""Rules replayed on the runs of some folders, experiment by experiment, and what is to be known of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stopcli.counts import counted
from stopcli.errors import MetricError, RequestError
from stopcli.evidence.replay import AskedRule, Recording, RuleOutcome, replay_all
from stopcli.runs.recorded import Experiment, RecordedRun, experiments_of, read_recorded, without_studies
from stopcli.stopping import BestEpoch
from stopcli.studies.replay.asking import Asking, check_rules

# Of more runs than this, a warning names the first ones.
_NAMED = 3


@dataclass(frozen=True)
class ReplayedExperiment:
    """Every rule on every run of an experiment.

    Attributes:
        recordings: of its runs, by seed as they were given.
        outcomes: of the rules.
    """

    label: str
    recordings: tuple[Recording, ...]
    outcomes: tuple[RuleOutcome, ...]

    @property
    def n(self) -> int:
        return len(self.recordings)

    @property
    def title(self) -> str:
        """What it is, and how many runs of it there are."""
        return f"{self.label}, {counted(self.n, 'run')}"

    @property
    def accuracy(self) -> str | None:
        """The column that its accuracies are of."""
        return self.recordings[0].accuracy


@dataclass(frozen=True)
class Replayed:
    """What was replayed.

    Attributes:
        kept: which epoch counts as kept.
        warnings: what the user should know, a sentence without a full stop each.
    """

    asking: Asking
    kept: BestEpoch
    experiments: tuple[ReplayedExperiment, ...]
    warnings: tuple[str, ...]

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower value of the selecting metric is the better one."""
        return self.kept.is_better(0.0, 1.0)


def replay(paths: Sequence[Path], asking: Asking) -> Replayed:
    """Replay rules on the runs in some folders.

    Raises:
        RequestError: there is nothing to replay, or not what is asked for.
    """
    folders, passed_over = without_studies(paths)
    usable, left_out = _usable(read_recorded(folders))
    if not usable:
        told = [f"{run.path}: {why}" for run, why in left_out] + passed_over
        raise RequestError(told[0], hint="Rules are replayed on runs that trained for an epoch or more.")
    for run in usable:
        asking.check_metrics(run)
    asked, kept = asking.asked_rules(), asking.kept()
    longest = max(usable, key=lambda run: len(run.metrics["epoch"]))
    if asking.start_from_epoch >= len(longest.metrics["epoch"]):
        most = counted(len(longest.metrics["epoch"]), "epoch")
        expected = f"less than the {most} of {longest.path}, else none is ever watched"
        raise RequestError(f"--start-from-epoch: received {asking.start_from_epoch}, expected {expected}")
    experiments, twice = _without_twins(experiments_of(usable))
    left_out += [(run, "the same settings and seed as another") for run in twice]
    replayed = tuple(_replayed(experiment, asked, kept) for experiment in experiments)
    return Replayed(asking, kept, replayed, (*asking.warnings(), *passed_over, *_warnings(replayed, left_out)))


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


def _replayed(experiment: Experiment, asked: Sequence[AskedRule], kept: BestEpoch) -> ReplayedExperiment:
    for run in experiment.runs:
        check_rules(asked, run)
    recordings = [Recording(run, kept) for run in experiment.runs]
    try:
        outcomes = replay_all(recordings, asked)
    except MetricError as error:
        raise RequestError(f"{experiment.label}: {error.message}", hint="Leave that rule out.") from None
    return ReplayedExperiment(experiment.label, tuple(recordings), tuple(outcomes))


def _warnings(experiments: Sequence[ReplayedExperiment], left_out: Sequence[tuple[RecordedRun, str]]) -> list[str]:
    recordings = [recording for experiment in experiments for recording in experiment.recordings]
    told = [
        f"left out: {_names([run for run, each in left_out if each == why])}: {why}"
        for why in dict.fromkeys(why for _, why in left_out)
    ]
    unfinished = [each.run for each in recordings if not each.run.finished]
    if unfinished:
        states = ", ".join(dict.fromkeys(run.state for run in unfinished))
        told.append(f"not finished ({states}), and replayed as far as recorded: {_names(unfinished)}")
    broken = [each.run for each in recordings if each.broken]
    if broken:
        told.append(f"broke off on a metric that is no number, as it would have under any rule: {_names(broken)}")
    cut = [each.run for each in recordings if not each.complete and each.run.finished and not each.broken]
    if cut:
        told.append(
            f"stopped by a rule before all epochs had run, so that the best epoch of all may not be on record: "
            f"{_names(cut)}"
        )
    at_cycle_ends = [each.run for each in recordings if each.run.settings.get("stop_at") == "cycle-end"]
    if at_cycle_ends:
        told.append(
            f"replayed rules are asked at every epoch, those of these runs were asked at the ends of cycles alone "
            f"(stop_at): {_names(at_cycle_ends)}"
        )
    return told + _kept_nothing(experiments)


def _kept_nothing(experiments: Sequence[ReplayedExperiment]) -> list[str]:
    outcomes = [outcome for experiment in experiments for outcome in experiment.outcomes]
    labels = dict.fromkeys(
        outcome.asked.label for outcome in outcomes if any(replay.kept is None for replay in outcome.replays)
    )
    if not labels:
        return []
    return [f"in some runs no epoch is kept, which the means of best epoch and regret leave out: {', '.join(labels)}"]


def _names(runs: Sequence[RecordedRun]) -> str:
    names = [str(run.path) for run in runs[:_NAMED]]
    return ", ".join(names) + (f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else "")

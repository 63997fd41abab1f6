"""What the runs of a reproduction came to, beside what was reported, with a verdict on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stopcli.evidence.differences import Difference, Ratio, paired_difference, ratio_of
from stopcli.evidence.interval import MeanInterval, mean_interval
from stopcli.evidence.verdict import Expected, RunCounts, Verdict, judge_claim, judge_value, trend_words
from stopcli.runs.recorded import RecordedRun, read_recorded
from stopcli.studies.reproducing.measures import MEASURES, Measure
from stopcli.studies.reproducing.planning import Experiment
from stopcli.studies.reproducing.published import ArmFile, Reported


@dataclass(frozen=True)
class ArmRuns:
    """The runs of an arm, by seed.

    Attributes:
        reasons: why those that failed did, a line each.
    """

    runs: RunCounts
    finished: Mapping[int, RecordedRun]
    published: bool
    reasons: tuple[str, ...] = ()

    def values(self, measure: Measure) -> dict[int, float]:
        """A value of each finished run that has it, by seed."""
        found = {seed: measure.value(run.summary) for seed, run in self.finished.items()}
        return {seed: value for seed, value in found.items() if value is not None}


@dataclass(frozen=True)
class ValueResult:
    """A reported value and what was measured.

    Attributes:
        ratio, reported_ratio: of times, as multiples of the baseline arm's; None where there is nothing to compare.
    """

    arm: ArmFile
    reported: Reported
    measure: Measure
    measured: MeanInterval | None
    runs: RunCounts
    verdict: Verdict
    ratio: Ratio | None = None
    reported_ratio: float | None = None


@dataclass(frozen=True)
class ClaimResult:
    """A published comparison of two arms and what was measured.

    Attributes:
        trend: in words, where something was run.
    """

    text: str
    measure: Measure
    expected: Expected
    pair: Difference | None
    runs: RunCounts
    verdict: Verdict
    trend: str


@dataclass(frozen=True)
class ExperimentResult:
    """What came of repeating a published result."""

    experiment: Experiment
    arms: Mapping[str, ArmRuns]
    values: tuple[ValueResult, ...]
    claims: tuple[ClaimResult, ...]


def results_of(experiment: Experiment) -> ExperimentResult:
    """What the folders of an experiment's sweeps say now."""
    published = experiment.published
    arms = {arm.name: _arm_runs(experiment, arm.name) for arm in published.arms}
    values = tuple(_value(experiment, arms, arm, reported) for arm in published.arms for reported in arm.reported)
    claims = tuple(
        _claim(
            MEASURES[each.measure], each.text, each.expected, arms[each.arm], arms[each.than], elsewhere=each.elsewhere
        )
        for each in published.claims
    )
    return ExperimentResult(experiment, arms, values, (*claims, *_reported_differences(experiment, arms, values)))


def _arm_runs(experiment: Experiment, arm: str) -> ArmRuns:
    sweep = experiment.sweep_of(arm)
    if sweep is None:
        return ArmRuns(RunCounts(0, 0), {}, False)
    planned = sweep.config.seeds
    recorded = _recorded(sweep.folder)
    if not sweep.arm:
        recorded = [run for run in recorded if run.arm == arm]
    seeds = range(sweep.config.seed, sweep.config.seed + planned)
    runs = [run for run in recorded if run.seed in seeds]
    finished = {run.seed: run for run in runs if run.finished and run.summary}
    failed = [run for run in runs if run.state == "failed"]
    reasons = tuple(f"{run.path.name}: {(run.summary.get('stop') or {}).get('rule') or 'failed'}" for run in failed)
    return ArmRuns(RunCounts(planned, len(finished), len(failed)), finished, sweep.published, reasons)


def _recorded(path: Path) -> list[RecordedRun]:
    """The runs in a sweep's folder; none where it was not begun, or none of them was."""
    if not (path / "config.toml").is_file():
        return []
    jobs = path / "jobs"
    if jobs.is_dir() and not any(jobs.glob("*/config.toml")):
        return []
    return read_recorded([path])


def _value(experiment: Experiment, arms: Mapping[str, ArmRuns], arm: ArmFile, reported: Reported) -> ValueResult:
    measure, ours = MEASURES[reported.measure], arms[arm.name]
    values = list(ours.values(measure).values())
    measured = mean_interval(values) if values else None
    band = reported.bounds
    # What was reported for another setting has no band, and yet is more than a number beside another.
    # And what some run has not measured has a mean of the others alone.
    mean = measured.mean if measured and measured.n == ours.runs.planned else None
    verdict = judge_value(mean, band, ours.runs, published=ours.published)
    ratio, reported_ratio = _ratios(experiment, arms, arm, reported) if measure.is_time else (None, None)
    return ValueResult(arm, reported, measure, measured, ours.runs, verdict, ratio, reported_ratio)


def _ratios(
    experiment: Experiment, arms: Mapping[str, ArmRuns], arm: ArmFile, reported: Reported
) -> tuple[Ratio | None, float | None]:
    """A time as a multiple of the baseline's, here by seed and as reported."""
    base, measure = experiment.published.arm(experiment.published.baseline), MEASURES[reported.measure]
    ours = ratio_of(arms[arm.name].values(measure), arms[base.name].values(measure))
    theirs = next((each.value for each in base.reported if each.measure == reported.measure), None)
    return ours, reported.value / theirs if reported.value is not None and theirs else None


def _claim(
    measure: Measure, text: str, expected: Expected, arm: ArmRuns, than: ArmRuns, *, elsewhere: str
) -> ClaimResult:
    ours, theirs = arm.values(measure), than.values(measure)
    seeds = sorted(ours.keys() & theirs.keys())
    pair = paired_difference([ours[s] for s in seeds], [theirs[s] for s in seeds]) if seeds else None
    behind = than.runs if arm.runs.verdict is None else arm.runs
    published = arm.published and than.published and not elsewhere
    verdict = judge_claim(expected, pair, behind, published=published)
    return ClaimResult(text, measure, expected, pair, behind, verdict, trend_words(expected, pair))


def _reported_differences(
    experiment: Experiment, arms: Mapping[str, ArmRuns], values: Sequence[ValueResult]
) -> list[ClaimResult]:
    """What stands in the place of values that can be no more than a trend: arms differ as the reported values do.

    Left out where a claim of the file compares the same.
    """
    published = experiment.published
    base = published.arm(published.baseline)
    theirs = {each.measure: each.value for each in base.reported if each.value is not None and not each.elsewhere}
    claimed = {(claim.arm, claim.than, claim.measure) for claim in published.claims}
    found = []
    for each in values:
        name, measure = each.reported.measure, each.measure
        if each.verdict != "trend only" or name not in theirs or (each.arm.name, base.name, name) in claimed:
            continue
        difference = (each.reported.value or 0.0) - theirs[name]
        if difference:
            expected: Expected = "higher" if difference > 0 else "lower"
            text = f"{each.arm.title}: {measure.title} {expected} than {base.title} (reported {difference:+.4g})"
            found.append(_claim(measure, text, expected, arms[each.arm.name], arms[base.name], elsewhere=""))
    return found


def counted(results: Sequence[ExperimentResult]) -> dict[str, int]:
    """How often each verdict was given, over values and claims."""
    verdicts: list[Verdict] = []
    for result in results:
        verdicts += [each.verdict for each in result.values] + [each.verdict for each in result.claims]
    return {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}

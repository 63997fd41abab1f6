"""What the runs of a reproduction came to, beside what was reported, with a verdict on each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stopcli.analysis.arms import RunArm
from stopcli.analysis.run_result import measured_result
from stopcli.reproduce.plan import Experiment
from stopcli.reproduce.spec import MEASURES, ArmSpec, Claim, Measure, ReportedValue
from stopcli.runs.run import Run, read_runs
from stopcli.stats.differences import Difference, Ratio, difference_by_seed, ratio_of
from stopcli.stats.intervals import MeanInterval, mean_interval
from stopcli.stats.verdicts import Expected, RunCounts, Verdict, judge_claim, judge_value, trend_sentence


@dataclass(frozen=True)
class ArmResult:
    """The finished runs of a published arm.

    Attributes:
        published: whether they have the published setting and data.
        failures: why runs failed, a line each.
    """

    spec: ArmSpec
    counts: RunCounts
    runs: RunArm
    published: bool
    failures: tuple[str, ...] = ()

    def values(self, measure: Measure) -> dict[int, float]:
        """A value of each finished run that has it, by seed."""
        return {seed: value / measure.unit for seed, value in self.runs.by_seed(measure.value).items()}


@dataclass(frozen=True)
class ValueResult:
    """A reported value and what was measured; of times also their ratios to the baseline arm's, where there is one."""

    arm: ArmResult
    reported: ReportedValue
    measured: MeanInterval | None
    verdict: Verdict
    ratio: Ratio | None = None
    reported_ratio: float | None = None

    @property
    def measure(self) -> Measure:
        return MEASURES[self.reported.measure]


@dataclass(frozen=True)
class ClaimResult:
    """A published comparison of two arms and what was measured; the trend is in words, where something was run."""

    text: str
    expected: Expected
    difference: Difference | None
    verdict: Verdict
    trend: str


@dataclass(frozen=True)
class ExperimentResult:
    """What came of repeating a published result; the arms by name."""

    experiment: Experiment
    arms: Mapping[str, ArmResult]
    values: tuple[ValueResult, ...]
    claims: tuple[ClaimResult, ...]


def results_of(experiment: Experiment) -> ExperimentResult:
    """What the folders of an experiment's sweeps hold now."""
    published = experiment.published
    arms = {arm.name: _arm_result(experiment, arm) for arm in published.arms}
    base = arms[published.baseline]
    values = tuple(_value(arm, base, reported) for arm in arms.values() for reported in arm.spec.reported)
    claims = [*published.claims, *_reported_differences(published.claims, base, values)]
    return ExperimentResult(experiment, arms, values, tuple(_claim(claim, arms) for claim in claims))


def _arm_result(experiment: Experiment, arm: ArmSpec) -> ArmResult:
    sweep = experiment.sweep_of(arm.name)
    if sweep is None:
        return ArmResult(arm, RunCounts(0, 0), RunArm(arm.title, ()), False)
    seeds = range(sweep.config.seed, sweep.config.seed + sweep.config.most_seeds)
    runs = [run for run in _recorded(sweep.folder) if run.seed in seeds and (sweep.arm or run.arm == arm.name)]
    finished = tuple(measured_result(run, run.results) for run in runs if run.finished and run.results)
    failures = tuple(
        f"{run.path.name}: {run.results.stop.rule if run.results else 'failed'}"
        for run in runs
        if run.state == "failed"
    )
    counts = RunCounts(len(seeds), len(finished), len(failures))
    return ArmResult(arm, counts, RunArm(arm.title, finished), sweep.published, failures)


def _recorded(path: Path) -> list[Run]:
    """The runs in a sweep's folder; none where it or all of them were never started."""
    if not (path / "config.toml").is_file():
        return []
    jobs = path / "jobs"
    if jobs.is_dir() and not any(jobs.glob("*/config.toml")):
        return []
    return read_runs([path])


def _value(arm: ArmResult, base: ArmResult, reported: ReportedValue) -> ValueResult:
    measure = MEASURES[reported.measure]
    values = arm.values(measure)
    measured = mean_interval(list(values.values())) if values else None
    # Where some run has not measured the value, the mean is only of the others.
    mean = measured.mean if measured and measured.n == arm.counts.planned else None
    verdict = judge_value(mean, reported.bounds, arm.counts, published=arm.published)
    if not measure.is_time:
        return ValueResult(arm, reported, measured, verdict)
    of_base = next((other.value for other in base.spec.reported if other.measure == reported.measure), None)
    reported_ratio = reported.value / of_base if reported.value is not None and of_base else None
    return ValueResult(arm, reported, measured, verdict, ratio_of(values, base.values(measure)), reported_ratio)


def _claim(claim: Claim, arms: Mapping[str, ArmResult]) -> ClaimResult:
    measure, arm, than = MEASURES[claim.measure], arms[claim.arm], arms[claim.than]
    difference = difference_by_seed(arm.values(measure), than.values(measure))
    behind = than.counts if arm.counts.verdict is None else arm.counts
    published = arm.published and than.published and not claim.elsewhere
    verdict = judge_claim(claim.expected, difference, behind, published=published)
    return ClaimResult(claim.text, claim.expected, difference, verdict, trend_sentence(claim.expected, difference))


def _reported_differences(claims: Iterable[Claim], base: ArmResult, values: Iterable[ValueResult]) -> list[Claim]:
    """Claims in the place of values that can be no more than a trend: that arms differ as the reported values do.

    Left out where a claim of the file compares the same.
    """
    of_base = {
        reported.measure: reported.value
        for reported in base.spec.reported
        if reported.value is not None and not reported.elsewhere
    }
    compared = {(claim.arm, claim.than, claim.measure) for claim in claims}
    differences = []
    for result in values:
        arm, than, measure = result.arm.spec, base.spec, result.reported.measure
        if result.verdict != "trend only" or measure not in of_base or (arm.name, than.name, measure) in compared:
            continue
        difference = (result.reported.value or 0.0) - of_base[measure]
        if difference:
            expected: Expected = "higher" if difference > 0 else "lower"
            text = f"{arm.title}: {result.measure.title} {expected} than {than.title} (reported {difference:+.4g})"
            differences.append(Claim(text=text, arm=arm.name, than=than.name, measure=measure, expected=expected))
    return differences


def verdict_counts(results: Iterable[ExperimentResult]) -> dict[str, int]:
    """How often each verdict was given, over values and claims."""
    verdicts: list[str] = []
    for result in results:
        verdicts += [value.verdict for value in result.values] + [claim.verdict for claim in result.claims]
    return {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}

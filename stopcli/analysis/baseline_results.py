"""What the networks of a sweep come to beside simpler answers, which are the same in each seed."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stopcli.analysis.sweep import SweepResults, difference_text, mean_cell
from stopcli.report.baselines import TITLE
from stopcli.report.document import Table
from stopcli.runs.headline import Headline
from stopcli.runs.summary import BaselineValues, ModelDifference, RunSummary
from stopcli.stats.differences import NONE, Difference, difference_by_seed, writer_of_differences
from stopcli.stats.intervals import mean_interval
from stopcli.sweeps.plan import JobResult


@dataclass(frozen=True)
class _Comparison:
    """The models of an arm against a baseline, by seed.

    Attributes:
        ours, theirs: the metric that counts on the test rows.
        by_rows: how each seed's model differs over these rows.
    """

    arm: str
    baseline: str
    is_linear: bool
    model: str
    ours: Mapping[int, float]
    theirs: Mapping[int, float]
    by_rows: Mapping[int, ModelDifference]

    @property
    def difference(self) -> Difference | None:
        return difference_by_seed(self.ours, self.theirs)

    def better_in(self, headline: Headline) -> int:
        """In how many seeds the network's value is the better one."""
        sign = -1 if headline.lower_is_better else 1
        return sum(sign * (value - self.theirs[seed]) > 0 for seed, value in self.ours.items())

    @property
    def verdicts(self) -> str:
        """How many seeds have which verdict over the test rows: `better in 2, not distinguishable in 3`."""
        counts = Counter(difference.verdict for difference in self.by_rows.values())
        return ", ".join(
            f"{verdict} in {counts[verdict]}"
            for verdict in ("better", "worse", "not distinguishable")
            if counts[verdict]
        )


def with_baselines(sweep: SweepResults, results: Sequence[JobResult], labels: Mapping[str, str]) -> SweepResults:
    """A sweep's results with how its networks differ from simpler answers, where their runs have any.

    Args:
        labels: of the arms.
    """
    summaries = [
        (labels.get(result.job.arm, result.job.arm), result.summary)
        for result in results
        if result.state == "finished" and result.summary and result.summary.baselines
    ]
    comparisons = _comparisons(summaries)
    if not comparisons:
        return sweep
    headline = summaries[0][1].headline
    several = len({comparison.arm for comparison in comparisons}) > 1
    sentences = [_sentence(comparison, headline, named=several) for comparison in comparisons if comparison.is_linear]
    first, *others = sweep.tables
    return replace(
        sweep,
        tables=(first, _table(comparisons, headline), *others),
        conclusions=(*filter(None, sentences), *sweep.conclusions),
    )


def _comparisons(summaries: Sequence[tuple[str, RunSummary]]) -> list[_Comparison]:
    """By arm, the linear model first."""
    comparisons = []
    for arm in dict.fromkeys(label for label, _ in summaries):
        of_arm = [summary for label, summary in summaries if label == arm]
        baselines = {baseline.name: baseline for summary in of_arm for baseline in summary.baselines}
        for baseline in sorted(baselines.values(), key=lambda one: not one.is_linear):
            comparison = _comparison(arm, baseline, of_arm)
            if comparison.ours:
                comparisons.append(comparison)
    return comparisons


def _comparison(arm: str, baseline: BaselineValues, summaries: Sequence[RunSummary]) -> _Comparison:
    ours: dict[int, float] = {}
    theirs: dict[int, float] = {}
    by_rows: dict[int, ModelDifference] = {}
    for summary in summaries:
        name = summary.headline.name
        value = (summary.best or summary.final).get("test", name)
        for other in summary.baselines:
            of_other = other.test.get(name)
            if other.name != baseline.name or value is None or of_other is None:
                continue
            ours[summary.seed], theirs[summary.seed] = value, of_other
            difference = other.final if summary.best is None else other.best
            by_rows |= {} if difference is None else {summary.seed: difference}
    model = "final" if any(summary.best is None for summary in summaries) else "saved"
    return _Comparison(arm, baseline.name, baseline.is_linear, model, ours, theirs, by_rows)


def _sentence(comparison: _Comparison, headline: Headline, *, named: bool) -> str:
    """In how many seeds the network is better than a linear model, and the mean difference.

    Args:
        named: whether the arm is named, because there are several.
    """
    difference = comparison.difference
    if difference is None:
        return ""
    sentence = difference.sentence(
        f"{comparison.arm}, {comparison.model} model" if named else f"The {comparison.model} model",
        comparison.baseline,
        f"test {headline.label}",
        headline.direction,
        writer_of_differences(headline),
        headline.unit,
    )
    return f"{sentence} Over the test rows of one seed: {comparison.verdicts}." if comparison.verdicts else sentence


def _table(comparisons: Sequence[_Comparison], headline: Headline) -> Table:
    columns = ("arm", "against", "seeds", f"test {headline.axis}", "theirs", "difference", "better in", "over the rows")
    rows = []
    for comparison in comparisons:
        ours = mean_interval(list(comparison.ours.values()))
        rows.append(
            (
                comparison.arm,
                comparison.baseline,
                str(len(comparison.ours)),
                mean_cell(ours, headline),
                # Of the same rows, the same in each seed.
                headline.show(statistics.fmean(comparison.theirs.values())),
                difference_text(comparison.difference, headline),
                str(comparison.better_in(headline)),
                comparison.verdicts or NONE,
            )
        )
    return Table(f"{TITLE}, over seeds", columns, tuple(rows))

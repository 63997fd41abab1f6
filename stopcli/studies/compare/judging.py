"""How arms differ from the one that they are compared with, as far as their runs can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from stopcli.counts import agreeing, counted
from stopcli.evidence.differences import Difference, paired_difference, unpaired_difference
from stopcli.evidence.interval import FEWEST, MeanInterval, mean_interval
from stopcli.evidence.proportion import Proportion, proportion_of
from stopcli.studies.compare.measures import Measure
from stopcli.studies.compare.sameness import other_test_rows
from stopcli.studies.compare.things import Arm

# From so many on, a false one among them is no rare event.
_MANY = 3


@dataclass(frozen=True)
class Comparison:
    """An arm against the one that it is compared with, in one value.

    Attributes:
        view: which of the measure's values.
        found: the difference; None where none is claimed.
        words: a sentence; what the difference says, or why there is none.
    """

    arm: Arm
    base: Arm
    view: str
    found: Difference | None
    words: str


def values_of(arm: Arm, measure: Measure, view: str) -> dict[int, float]:
    """An arm's values by seed, of the runs that have one."""
    found = {outcome.run.seed: measure.of(outcome, view) for outcome in arm.outcomes}
    return {seed: value for seed, value in found.items() if value is not None}


def moments_of(arm: Arm, measure: Measure, view: str) -> MeanInterval | None:
    """Mean and interval of an arm's values; None where it has none."""
    values = tuple(values_of(arm, measure, view).values())
    return _mean_interval(values) if values else None


@cache
def _mean_interval(values: tuple[float, ...]) -> MeanInterval:
    """Once: tables, figure and summary all show it, and the bootstrap takes its time."""
    return mean_interval(values)


def counted_on_rows(arm: Arm, measure: Measure, view: str) -> Proportion | None:
    """How sure the test accuracy of one run alone is, because it was counted on so many rows; None for anything else.

    It says nothing of other seeds.
    """
    values = values_of(arm, measure, view)
    if measure.name != "test_accuracy" or len(values) != 1:
        return None
    ((seed, accuracy),) = values.items()
    (run,) = (outcome.run for outcome in arm.outcomes if outcome.run.seed == seed)
    rows = (run.summary.get("rows") or {}).get("test") or 0
    return proportion_of(accuracy, int(rows))


def compare_to_baseline(arms: Sequence[Arm], base: Arm, measure: Measure) -> list[Comparison]:
    """Every other arm against the base, by each of the measure's values."""
    others = [arm for arm in arms if arm is not base]
    return [_judge(arm, base, measure, view) for view in measure.views for arm in others]


def _judge(arm: Arm, base: Arm, measure: Measure, view: str) -> Comparison:
    what = measure.views[view]
    differ = other_test_rows(arm, base)
    # What it cost is no matter of which rows test.
    if differ and not measure.is_cost:
        words = f"{arm.label} and {base.label} are measured on different test rows ({', '.join(differ)}): no claim."
        return Comparison(arm, base, view, None, words)
    ours, theirs = values_of(arm, measure, view), values_of(base, measure, view)
    if not ours or not theirs:
        missing = arm if not ours else base
        words = f"{arm.label} against {base.label}: {missing.label} has no {what}."
        return Comparison(arm, base, view, None, words)
    found, note = difference_of(ours, theirs)
    return Comparison(arm, base, view, found, found.sentence(arm.label, base.label, what, measure.better) + note)


def difference_of(ours: dict[int, float], theirs: dict[int, float]) -> tuple[Difference, str]:
    """The difference of values by seed, and a note on seeds that it is not of: pairs where enough seeds match, else
    two independent samples where both are large enough, else whatever there is."""
    seeds = sorted(ours.keys() & theirs.keys())
    unmatched = len(ours.keys() ^ theirs.keys())
    if len(seeds) >= FEWEST or (seeds and min(len(ours), len(theirs)) < FEWEST):
        runs = f"{counted(unmatched, 'run')} {agreeing(unmatched, 'has', 'have')}"
        note = f" ({runs} no partner of the same seed.)" if unmatched else ""
        return paired_difference([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]), note
    return unpaired_difference(list(ours.values()), list(theirs.values())), ""


def on_many(comparisons: Sequence[Comparison]) -> list[str]:
    """A note where so many differences are judged that some may be told apart by chance."""
    judged = sum(comparison.found is not None and comparison.found.p is not None for comparison in comparisons)
    if judged < _MANY:
        return []
    return [
        f"{judged} differences are judged, each with an error of 5 %: where nothing differs, one of them is told apart "
        f"by chance with a probability of up to {min(100, judged * 5)} %"
    ]

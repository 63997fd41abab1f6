"""How arms differ from the one that they are compared with, as far as their runs can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stopcli.analysis.arms import RunArm
from stopcli.counts import agreeing, counted
from stopcli.evidence.differences import Difference, difference_by_seed, unpaired_difference
from stopcli.evidence.interval import FEWEST
from stopcli.evidence.proportion import Proportion, proportion_of
from stopcli.studies.compare.measures import Measure
from stopcli.studies.compare.sameness import other_test_rows

# From so many on, a false one among them is no rare event.
_MANY_DIFFERENCES = 3


@dataclass(frozen=True)
class Comparison:
    """An arm against the one that it is compared with, in one value.

    Attributes:
        view: which of the measure's values.
        difference: None where none is claimed.
        sentence: what the difference says, or why there is none.
    """

    arm: RunArm
    base: RunArm
    view: str
    difference: Difference | None
    sentence: str


def counted_on_rows(arm: RunArm, measure: Measure, view: str) -> Proportion | None:
    """How sure the test accuracy of a single run is, because it was counted on so many rows; None for anything else.

    It says nothing of other seeds.
    """
    values = arm.by_seed(measure.value_name(view))
    if measure.name != "test_accuracy" or len(values) != 1:
        return None
    ((seed, accuracy),) = values.items()
    (run,) = (result.run for result in arm.runs if result.seed == seed)
    rows = (run.summary.get("rows") or {}).get("test") or 0
    return proportion_of(accuracy, int(rows))


def compare_to_baseline(arms: Sequence[RunArm], base: RunArm, measure: Measure) -> list[Comparison]:
    """Every other arm against the base, by each of the measure's values."""
    others = [arm for arm in arms if arm is not base]
    return [_compare(arm, base, measure, view) for view in measure.views for arm in others]


def _compare(arm: RunArm, base: RunArm, measure: Measure, view: str) -> Comparison:
    what = measure.views[view]
    settings = other_test_rows(arm, base)
    # What it cost does not depend on which rows test.
    if settings and not measure.is_cost:
        reason = f"{arm.label} and {base.label} are measured on different test rows ({', '.join(settings)}): no claim."
        return Comparison(arm, base, view, None, reason)
    values, others = (each.by_seed(measure.value_name(view)) for each in (arm, base))
    if not values or not others:
        missing = base if values else arm
        return Comparison(arm, base, view, None, f"{arm.label} against {base.label}: {missing.label} has no {what}.")
    difference, note = difference_of(values, others)
    return Comparison(
        arm, base, view, difference, difference.sentence(arm.label, base.label, what, measure.better) + note
    )


def difference_of(values: Mapping[int, float], others: Mapping[int, float]) -> tuple[Difference, str]:
    """The difference of values by seed, and a note on seeds that it is not of: pairs where enough seeds match, else
    two independent samples where both are large enough, else whatever there is."""
    pairs = len(values.keys() & others.keys())
    if pairs >= FEWEST or min(len(values), len(others)) < FEWEST:
        paired = difference_by_seed(values, others)
        if paired is not None:
            unmatched = len(values.keys() ^ others.keys())
            runs = f"{counted(unmatched, 'run')} {agreeing(unmatched, 'has', 'have')}"
            return paired, f" ({runs} no partner of the same seed.)" if unmatched else ""
    return unpaired_difference(list(values.values()), list(others.values())), ""


def note_on_many(comparisons: Sequence[Comparison]) -> list[str]:
    """A note where so many differences are tested that some may be told apart by chance."""
    differences = [comparison.difference for comparison in comparisons]
    tested = sum(difference is not None and difference.p is not None for difference in differences)
    if tested < _MANY_DIFFERENCES:
        return []
    return [
        f"{tested} differences are tested, each with an error of 5 %: where nothing differs, one of them is told apart "
        f"by chance with a probability of up to {min(100, tested * 5)} %."
    ]

"""Which M to choose, as far as the runs say."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.analysis.arms import RunArm, difference, time_ratio
from stopcli.analysis.sweep import incomparable, sentences_against
from stopcli.quantities import numbered
from stopcli.recipes.cutout_sweep.arms import ERROR, Front, front_of
from stopcli.recipes.cutout_sweep.config import copies_of
from stopcli.stats.differences import too_few
from stopcli.stats.intervals import FEWEST


def recommend(arms: Sequence[RunArm], reference: RunArm) -> tuple[str, ...]:
    """Sentences that follow from the finished runs, and say where nothing follows.

    An arm counts as better than another where their paired difference over seeds is distinguishable from 0, by its
    bootstrap interval and a t-test. Of the arms that are better than the reference, the cheapest is recommended that no
    other is better than.

    Args:
        reference: the arm that the others are compared with.
    """
    others = [arm for arm in arms if arm.runs and arm is not reference]
    if reason := incomparable(arms, reference, "differences and no cost ratios"):
        return (reason,)
    costs = _costs(reference, others)
    differences = [(arm, difference(arm, reference, ERROR)) for arm in others]
    n = max((difference.n for _, difference in differences if difference is not None), default=0)
    if n < FEWEST:
        return (_few_runs_tell_little(arms, reference, n), *costs)
    sentences = sentences_against(reference, differences, "error", "min")
    better = [arm for arm, difference in differences if difference is not None and difference.is_better("min")]
    if not better:
        return (f"No M is distinguishable from {reference.label} as an improvement at n = {n}.", *sentences, *costs)
    # Every better arm has seeds in common with the reference.
    ratios = {arm.name: ratio for arm in better if (ratio := time_ratio(arm, reference)) is not None}
    chosen = next(
        arm
        for arm in sorted(better, key=lambda arm: ratios[arm.name].mean)
        if not any(_beats(rival, arm) for rival in better if rival is not arm)
    )
    recommendation = (
        f"Recommended: {chosen.label}. It is the cheapest that is better than {reference.label} and than which no "
        f"other is distinguishably better at n = {n}; it costs {ratios[chosen.name]} times the training of "
        f"{reference.label}."
    )
    return (recommendation, *sentences, *costs)


def _beats(rival: RunArm, arm: RunArm) -> bool:
    errors = difference(rival, arm, ERROR)
    return errors is not None and errors.is_better("min")


def _few_runs_tell_little(arms: Sequence[RunArm], reference: RunArm, n: int) -> str:
    """What is lowest in them, over the seeds that all arms with runs have."""
    front = front_of(arms, reference)
    if not front.seeds:
        return too_few(n)
    of = f"In {numbered('seed', front.seeds)}" if front.unequal else "In these runs"
    lowest = _lowest(arms, reference, front)
    return f"{too_few(n)} {of} {lowest}; --seeds 5 or more would show whether that is more than chance."


def _lowest(arms: Sequence[RunArm], reference: RunArm, front: Front) -> str:
    known = [arm for arm in arms if arm.name in front.errors]
    # Of several that are the same, the cheapest.
    best = min(known, key=lambda arm: (front.errors[arm.name], front.costs[arm.name]))
    lowest = f"the lowest error at the end is that of {best.label}, {front.errors[best.name]:.3f}"
    if best is reference:
        return lowest
    against = f"against {front.errors[reference.name]:.3f} of {reference.label}"
    return f"{lowest}, {against} at {front.costs[best.name]:.2f} times its training"


def _costs(reference: RunArm, others: Sequence[RunArm]) -> tuple[str, ...]:
    """How near the cost comes to growing in proportion to M, where the reference sees each image once."""
    if copies_of(reference.config) != 0:
        return ()
    shares = []
    for arm in others:
        ratio = time_ratio(arm, reference)
        if ratio is not None:
            images = (arm.mean("rows") or 0.0) / (reference.mean("rows") or 1.0)
            share = f"{ratio.mean / images:.0%}"
            shares.append(f"{arm.label} takes {ratio} times for {images:g} times the images ({share})")
    return (f"Cost of training against {reference.label}: {'; '.join(shares)}.",) if shares else ()

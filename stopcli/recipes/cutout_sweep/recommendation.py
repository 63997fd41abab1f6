"""Which M to choose, as far as the runs say."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.counts import numbered
from stopcli.evidence.differences import too_few
from stopcli.evidence.interval import FEWEST
from stopcli.recipes.arms import difference, time_ratio, without_reference
from stopcli.recipes.cutout_sweep.arms import CutoutArm, Front, front_of


def recommend(arms: Sequence[CutoutArm], reference: CutoutArm) -> tuple[str, ...]:
    """Sentences that follow from the finished runs, and say where nothing follows.

    An arm counts as better than another where their paired difference over seeds is distinguishable from 0, by its
    bootstrap interval and a t-test. Of the arms that are better than the reference, the cheapest is recommended that no
    other is better than.

    Args:
        reference: the arm that the others are compared with.
    """
    others = [arm for arm in arms if arm.runs and arm is not reference]
    if not others:
        return ("Too few runs have finished to compare anything.",)
    if not reference.runs:
        return (without_reference(reference, "differences and no cost ratios"),)
    costs = _costs(reference, others)
    found = {arm.name: difference(arm, reference) for arm in others}
    pairs = {name: pair for name, pair in found.items() if pair is not None}
    n = max((pair.n for pair in pairs.values()), default=0)
    if n < FEWEST:
        return (_few_runs_tell_little(arms, reference, n), *costs)
    judged = [arm for arm in others if arm.name in pairs and pairs[arm.name].n >= FEWEST]
    better = [arm for arm in judged if pairs[arm.name].is_better("min")]
    told = [pairs[arm.name].sentence(arm.label, reference.label, "error", "min") for arm in judged]
    told += [f"{arm.label} has too few finished runs to be judged." for arm in others if arm not in judged]
    if not better:
        return (f"No M is distinguishable from {reference.label} as an improvement at n = {n}.", *told, *costs)
    # Every better arm has seeds in common with the reference.
    ratios = {arm.name: ratio for arm in better if (ratio := time_ratio(arm, reference)) is not None}
    chosen = next(
        arm
        for arm in sorted(better, key=lambda arm: ratios[arm.name].mean)
        if not any(_beats(rival, arm) for rival in better)
    )
    words = (
        f"Recommended: {chosen.label}. It is the cheapest that is better than {reference.label} and than which no "
        f"other is distinguishably better at n = {n}; it costs {ratios[chosen.name]} times the training of "
        f"{reference.label}."
    )
    return (words, *told, *costs)


def _beats(rival: CutoutArm, arm: CutoutArm) -> bool:
    pair = difference(rival, arm) if rival is not arm else None
    return pair is not None and pair.is_better("min")


def _few_runs_tell_little(arms: Sequence[CutoutArm], reference: CutoutArm, n: int) -> str:
    """What is lowest in them, over the seeds that all arms with runs have."""
    front = front_of(arms, reference)
    if not front.seeds:
        return too_few(n)
    of = f"In {numbered('seed', front.seeds)}" if front.unequal else "In these runs"
    lowest = _lowest(arms, reference, front)
    return f"{too_few(n)} {of} {lowest}; --seeds 5 or more would show whether that is more than chance."


def _lowest(arms: Sequence[CutoutArm], reference: CutoutArm, front: Front) -> str:
    known = [arm for arm in arms if arm.name in front.errors]
    # Of several that are the same, the cheapest.
    best = min(known, key=lambda arm: (front.errors[arm.name], front.costs[arm.name]))
    lowest = f"the lowest error at the end is that of {best.label}, {front.errors[best.name]:.3f}"
    if best is reference:
        return lowest
    against = f"against {front.errors[reference.name]:.3f} of {reference.label}"
    return f"{lowest}, {against} at {front.costs[best.name]:.2f} times its training"


def _costs(reference: CutoutArm, others: Sequence[CutoutArm]) -> tuple[str, ...]:
    """How near the cost comes to growing in proportion to M, where the reference sees each image once."""
    if reference.m != 0:
        return ()
    shares = []
    for arm in others:
        ratio = time_ratio(arm, reference)
        if ratio is not None:
            images = arm.mean("images") / reference.mean("images")
            share = f"{ratio.mean / images:.0%}"
            shares.append(f"{arm.label} takes {ratio} times for {images:g} times the images ({share})")
    return (f"Cost of training against {reference.label}: {'; '.join(shares)}.",) if shares else ()

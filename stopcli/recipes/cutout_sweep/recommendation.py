"""Which M to choose, as far as the runs say."""

from __future__ import annotations

from collections.abc import Sequence

from stopcli.evidence.interval import FEWEST
from stopcli.evidence.paired import PairedDifference
from stopcli.evidence.words import compared, too_few
from stopcli.recipes.arms import difference
from stopcli.recipes.cutout_sweep.arms import CutoutArm, reference_of


def recommend(arms: Sequence[CutoutArm]) -> tuple[str, ...]:
    """Sentences that follow from the finished runs, and say where nothing follows.

    An arm counts as better than another where their paired difference over seeds is distinguishable from 0, by its
    bootstrap interval and a t-test. Of the arms that are better than the baseline, the cheapest is recommended that no
    other is better than.
    """
    base = reference_of(arms)
    others = [arm for arm in arms if arm.runs and arm is not base]
    if base is None or not others:
        return ("Too few runs have finished to compare anything.",)
    costs = _costs(base, others)
    found = {arm.name: difference(arm, base) for arm in others}
    pairs = {name: pair for name, pair in found.items() if pair is not None}
    n = max((pair.n for pair in pairs.values()), default=0)
    if n < FEWEST:
        return (_one_run_tells_little(base, others, n), *costs)
    judged = [arm for arm in others if arm.name in pairs and pairs[arm.name].n >= FEWEST]
    better = [arm for arm in judged if _is_better(pairs[arm.name])]
    told = [compared(arm.label, base.label, "error", pairs[arm.name], "min") for arm in judged]
    told += [f"{arm.label} has too few finished runs to be judged." for arm in others if arm not in judged]
    if not better:
        return (f"No M is distinguishable from {base.label} as an improvement at n = {n}.", *told, *costs)
    chosen = next(
        arm
        for arm in sorted(better, key=lambda arm: arm.mean("seconds"))
        if not any(_beats(rival, arm) for rival in better)
    )
    times = chosen.mean("seconds") / base.mean("seconds")
    words = (
        f"Recommended: {chosen.label}. It is the cheapest that is better than {base.label} and than which no other is "
        f"distinguishably better at n = {n}; it costs {times:.1f} times the training of {base.label}."
    )
    return (words, *told, *costs)


def _is_better(pair: PairedDifference) -> bool:
    return pair.distinguishable and pair.mean < 0


def _beats(rival: CutoutArm, arm: CutoutArm) -> bool:
    pair = difference(rival, arm) if rival is not arm else None
    return pair is not None and _is_better(pair)


def _one_run_tells_little(base: CutoutArm, others: Sequence[CutoutArm], n: int) -> str:
    best = min((base, *others), key=lambda arm: arm.mean("error"))
    lowest = f"the lowest error at the end is that of {best.label}, {best.mean('error'):.3f}"
    against = f", against {base.mean('error'):.3f} of {base.label}" if best is not base else ""
    at = f" at {best.mean('seconds') / base.mean('seconds'):.1f} times its training" if best is not base else ""
    return (
        f"{too_few(n)} In these runs {lowest}{against}{at}; "
        "--seeds 5 or more would show whether that is more than chance."
    )


def _costs(base: CutoutArm, others: Sequence[CutoutArm]) -> tuple[str, ...]:
    """How near the cost comes to growing in proportion to M, where the baseline sees each image once."""
    if base.m != 0:
        return ()
    shares = []
    for arm in others:
        images = arm.mean("images") / base.mean("images")
        times = arm.mean("seconds") / base.mean("seconds")
        shares.append(f"{arm.label} {times:.2f} times for {images:g} times the images ({times / images:.0%})")
    return (f"Cost of training against {base.label}: {'; '.join(shares)}.",)

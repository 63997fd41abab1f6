"""What the curves of a range test come to: suggestions by seed, and bounds for all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any

from stopcli.counts import agreeing, counted
from stopcli.evidence.interval import FEWEST, mean_interval
from stopcli.evidence.rate_range import Suggestions, suggest
from stopcli.recipes.lr_range.config import LrRangeConfig
from stopcli.report.tables import Table
from stopcli.training.rising_rate import RangeCurve

# In the order of the columns, with what they are called.
KINDS = {"steepest": "steepest fall", "valley": "valley", "minimum_tenth": "minimum / 10"}
BOUNDS = {"base_lr": "base", "max_lr": "max"}
_ENDED = {
    "complete": "all updates",
    "diverged": "runaway loss",
    "non_finite": "NaN or infinity",
    "interrupted": "interrupted",
}


@dataclass(frozen=True)
class RangeResults:
    """The suggestions of all seeds.

    Attributes:
        found: by seed; None where a seed's loss never fell.
        values: of each suggestion and each bound, a value for each seed that has one.
    """

    curves: Mapping[int, RangeCurve]
    found: Mapping[int, Suggestions | None]

    @property
    def values(self) -> dict[str, list[float]]:
        there = [each for each in self.found.values() if each is not None]
        values = {kind: [getattr(each, kind) for each in there] for kind in KINDS}
        return {**values, **{name: [each.bounds[i] for each in there] for i, name in enumerate(BOUNDS)}}

    @property
    def bounds(self) -> dict[str, float] | None:
        """Geometric means over the seeds; None where no seed's loss fell."""
        values = self.values
        return {name: geometric_mean(values[name]) for name in BOUNDS} if values["max_lr"] else None

    def table(self) -> Table:
        """A row for each seed, then the geometric mean and its interval."""
        columns = ("seed", *KINDS.values(), *BOUNDS.values(), "updates", "ended by")
        rows = [self._row(seed) for seed in self.curves]
        values = self.values
        n = len(values["max_lr"])
        if n > 1:
            rows.append(
                ("geometric mean", *(f"{geometric_mean(each):.1e}" for each in values.values()), "", f"n = {n}")
            )
        if n >= FEWEST:
            cells = ["{:.1e} … {:.1e}".format(*geometric_interval(each)) for each in values.values()]
            rows.append(("95 % interval", *cells, "", ""))
        return Table("Results", columns, tuple(rows), sums=len(rows) - len(self.curves))

    def _row(self, seed: int) -> tuple[str, ...]:
        curve, found = self.curves[seed], self.found[seed]
        ended = (str(len(curve.rates)), _ENDED[curve.ended])
        if found is None:
            return (str(seed), *["–"] * (len(KINDS) + len(BOUNDS)), *ended)
        values = [*(getattr(found, kind) for kind in KINDS), *found.bounds]
        return (str(seed), *(f"{value:.1e}" for value in values), *ended)

    def csv(self) -> str:
        """The same for those who go on elsewhere, in full precision."""
        rows = []
        for seed, found in self.found.items():
            values = [*(getattr(found, kind) for kind in KINDS), *found.bounds] if found else [""] * 5
            rows.append((str(seed), *map(str, values), str(len(self.curves[seed].rates)), self.curves[seed].ended))
        return Table("", ("seed", *KINDS, *BOUNDS, "updates", "ended"), tuple(rows)).csv()

    def summary(self) -> dict[str, Any]:
        """Each suggestion with its interval, and the bounds."""
        suggestions = {}
        for name, values in self.values.items():
            interval = geometric_interval(values) if len(values) >= FEWEST else (None, None)
            mean = geometric_mean(values) if values else None
            suggestions[name] = {"n": len(values), "mean": mean, "low": interval[0], "high": interval[1]}
        return {"bounds": self.bounds, "suggestions": suggestions}

    def conclusions(self) -> tuple[str, ...]:
        """What to do with it, in sentences."""
        bounds, n = self.bounds, len(self.values["max_lr"])
        if not self.curves:
            return ("No seed was finished, so nothing can be said yet.",)
        if bounds is None:
            return ("The loss never fell by more than its noise: no learning rate of this range trains.",)
        told = [f"Suggested: --base-lr {bounds['base_lr']:.2g} --max-lr {bounds['max_lr']:.2g}."]
        if n < len(self.found):
            told.append(f"Of {counted(len(self.found), 'seed')}, the loss of {len(self.found) - n} never fell.")
        if n < FEWEST:
            give = agreeing(n, "gives", "give")
            told.append(f"{counted(n, 'seed')} {give} no interval; --seeds 5 would show how much it varies.")
        return tuple(told)


def results_of(config: LrRangeConfig, curves: Mapping[int, RangeCurve]) -> RangeResults:
    """What each seed's curve suggests."""
    found = {seed: suggest(curve.rates, curve.losses, config.smoothing) for seed, curve in curves.items()}
    return RangeResults(curves, found)


def geometric_interval(values: list[float]) -> tuple[float, float]:
    """The bootstrap 95 % interval of the geometric mean of three values or more."""
    found = mean_interval([math.log(value) for value in values])
    assert found.low is not None, "three values or more"
    assert found.high is not None, "three values or more"
    return math.exp(found.low), math.exp(found.high)

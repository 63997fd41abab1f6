"""The recipe of `stopcli lr-range`, and what the curves of a range test come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any

from stopcli.configs.lr_range import LrRangeConfig
from stopcli.configs.training import POINT, large_batch
from stopcli.quantities import agreeing, counted
from stopcli.recipes.base import LoadedConfig, Recipe
from stopcli.recipes.images import read_data
from stopcli.report.document import Table
from stopcli.runs.summary import RateBounds
from stopcli.stats.intervals import FEWEST, mean_interval
from stopcli.stats.lr_finder import Suggestions, suggest
from stopcli.training.session import Observer

if TYPE_CHECKING:
    from stopcli.training.range_test import RangeCurve


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
        suggestions: by seed; None where a seed's loss never fell.
    """

    curves: Mapping[int, RangeCurve]
    suggestions: Mapping[int, Suggestions | None]

    @property
    def values(self) -> dict[str, list[float]]:
        """Each suggestion and each bound: a value for each seed that has one."""
        rows = [row for seed in self.suggestions if (row := self._row(seed))]
        return {name: [row[i] for row in rows] for i, name in enumerate((*KINDS, *BOUNDS))}

    @property
    def bounds(self) -> RateBounds | None:
        """Geometric means over the seeds; None where no seed's loss fell."""
        values = self.values
        return RateBounds(*(geometric_mean(values[name]) for name in BOUNDS)) if values["max_lr"] else None

    @property
    def marks(self) -> dict[str, float]:
        """The geometric mean of each suggestion by what it is called; empty where no seed's loss fell."""
        return {label: geometric_mean(values) for name, label in KINDS.items() if (values := self.values[name])}

    def table(self) -> Table:
        """A row for each seed, then the geometric mean and its interval."""
        columns = ("seed", *KINDS.values(), *BOUNDS.values(), "updates", "ended by")
        dashes = ["–"] * len(self.values)
        rows = []
        for seed, curve in self.curves.items():
            cells = [f"{value:.1e}" for value in self._row(seed)] or dashes
            rows.append((str(seed), *cells, str(len(curve.rates)), _ENDED[curve.ended]))
        columns_of_values = self.values.values()
        n = len(self.values["max_lr"])
        if n > 1:
            means = (f"{geometric_mean(values):.1e}" for values in columns_of_values)
            rows.append(("geometric mean", *means, "", f"n = {n}"))
        if n >= FEWEST:
            intervals = ("{:.1e} … {:.1e}".format(*geometric_interval(values)) for values in columns_of_values)
            rows.append(("95 % interval", *intervals, "", ""))
        return Table("Results", columns, tuple(rows), sums=len(rows) - len(self.curves))

    def _row(self, seed: int) -> list[float]:
        """A seed's suggestions and bounds; empty where its loss never fell."""
        suggestions = self.suggestions[seed]
        if suggestions is None:
            return []
        return [*(getattr(suggestions, kind) for kind in KINDS), *suggestions.bounds]

    def csv(self) -> str:
        """The rows of the seeds in full precision."""
        rows = []
        for seed, curve in self.curves.items():
            cells = [str(value) for value in self._row(seed)] or [""] * len(self.values)
            rows.append((str(seed), *cells, str(len(curve.rates)), curve.ended))
        return Table("", ("seed", *KINDS, *BOUNDS, "updates", "ended"), tuple(rows)).csv()

    def means(self) -> dict[str, Any]:
        """Each suggestion and each bound: the geometric mean over the seeds, and its interval."""
        means = {}
        for name, values in self.values.items():
            low, high = geometric_interval(values) if len(values) >= FEWEST else (None, None)
            mean = geometric_mean(values) if values else None
            means[name] = {"n": len(values), "mean": mean, "low": low, "high": high}
        return means

    def conclusions(self) -> tuple[str, ...]:
        """What follows from the suggestions, in sentences."""
        bounds, n = self.bounds, len(self.values["max_lr"])
        if not self.curves:
            return ("No seed has finished, so there are no results yet.",)
        if bounds is None:
            return ("The loss never fell by more than its noise: no learning rate in this range trains the model.",)
        sentences = [f"Suggested: --base-lr {bounds.base_lr:.2g} --max-lr {bounds.max_lr:.2g}."]
        if n < len(self.suggestions):
            seeds = counted(len(self.suggestions), "seed")
            sentences.append(f"Of {seeds}, the loss of {len(self.suggestions) - n} never fell.")
        if n < FEWEST:
            verb = agreeing(n, "gives", "give")
            sentences.append(f"{counted(n, 'seed')} {verb} no interval; --seeds 5 shows how much it varies.")
        return tuple(sentences)


def results_of(config: LrRangeConfig, curves: Mapping[int, RangeCurve]) -> RangeResults:
    """What each seed's curve suggests."""
    curves = dict(sorted(curves.items()))
    suggestions = {seed: suggest(curve.rates, curve.losses, config.smoothing) for seed, curve in curves.items()}
    return RangeResults(curves, suggestions)


def geometric_interval(values: Sequence[float]) -> tuple[float, float]:
    """The bootstrap 95 % interval of the geometric mean of three values or more."""
    interval = mean_interval([math.log(value) for value in values])
    assert interval.low is not None, "three values or more"
    assert interval.high is not None, "three values or more"
    return math.exp(interval.low), math.exp(interval.high)


class LrRange(Recipe):
    """What a range test is run on; the runner trains the model with a rising rate itself."""

    def load(self, config: LrRangeConfig, observer: Observer) -> LoadedConfig:
        """The images or points to train on."""
        loaded = read_data(config, observer)
        config, train = loaded.config, loaded.data.parts.train
        large = large_batch(config, train.count, "image" if loaded.data.pixels else POINT)
        description = (
            f"{loaded.description[0]}.",
            f"Range test: {config.describe_model()}, {config.updates(train.batches(config.batch_size))} updates, "
            f"batch {config.batch_size}, {config.optimizer}, {config.describe_ramp()}; it stops where the smoothed "
            f"loss is {config.stop_factor:g} times its lowest.",
        )
        return replace(loaded, notes=(*loaded.notes, *filter(None, [large])), description=description)

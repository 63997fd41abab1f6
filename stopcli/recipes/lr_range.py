"""The range test: training with a rising learning rate, what its curve suggests, the recipe of `stopcli lr-range`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stopcli.configs.lr_range import LrRangeConfig
from stopcli.configs.training import POINT, StopPlan, large_batch
from stopcli.data.dataset import Splits
from stopcli.quantities import agreeing, counted
from stopcli.recipes.base import LoadedConfig, Recipe
from stopcli.recipes.images import inputs_of, loss_of, make_model, optimizer_of, read_data, xla_pays
from stopcli.report.document import Table
from stopcli.runs.summary import FEWEST_UPDATES, RateBounds
from stopcli.stats.intervals import FEWEST, mean_interval
from stopcli.stopping import BestEpoch, NonFinite
from stopcli.training.session import Observer, StopRequest

if TYPE_CHECKING:
    from stopcli.training.loop import Loop
    from stopcli.training.trainer import Experiment

Ended = Literal["complete", "diverged", "non_finite", "interrupted"]


@dataclass(frozen=True)
class RangeCurve:
    """The updates of a range test.

    Attributes:
        rates, losses: of each update, shape [updates]. Of a test that ended by the loss, the updates until then.
        ended: why: all updates were made, the loss ran away, it was not finite any more, or the test was interrupted.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    ended: Ended


def run_range(
    loop: Loop,
    iterations: int,
    request: StopRequest,
    diverged: Callable[[NDArray[np.float64]], int | None],
    on_updates: Callable[[int], None],
) -> RangeCurve:
    """Train on until a number of updates is reached.

    Args:
        loop: in its initial state, with a schedule that rises, no rows to evaluate, and a log of its steps.
        diverged: from the losses so far to the index at which they have run away; None where they have not.
        on_updates: called with the number of updates that are done.
    """
    log = np.empty((0, 2))
    epoch = 1
    ended: Ended = "complete"
    while len(log) < iterations and ended == "complete":
        # A time budget is for whoever runs several of these: a single one is short.
        if request.interrupted:
            ended = "interrupted"
            break
        epoch += loop.advance(epoch, 1) is not None
        steps = loop.take_log()
        assert steps is not None, "the loop logs its steps"
        log = np.concatenate([log, steps.values.astype(np.float64)])[:iterations]
        on_updates(len(log))
        broken = np.flatnonzero(~np.isfinite(log[:, 1]))
        if len(broken):
            log, ended = log[: broken[0]], "non_finite"
        # Before a loss is not finite it has often run away already.
        end_index = diverged(log[:, 1])
        if end_index is not None:
            log, ended = log[: end_index + 1], "diverged"
    return RangeCurve(log[:, 0], log[:, 1], ended)


Floats = NDArray[np.float64]

# A cycle's lowest rate is at most this share of its highest (L. Smith, arXiv 1506.01186, section 3.3: a third or a
# fourth).
BASE_SHARE = 1 / 4
# The share of the updates over which a slope is measured.
STRETCH = 0.1
# A loss that falls by no more than this share of its first value has not trained.
LEAST_FALL = 0.02
# A fall of less than so many standard deviations is noise: of many updates the lowest lies two or three below.
SURE = 4.0


@dataclass(frozen=True)
class Suggestions:
    """Learning rates that a range test points to.

    Attributes:
        steepest: where the smoothed loss falls fastest, against the logarithm of the rate, over a tenth of the updates.
        valley: two thirds along the longest descent of the smoothed loss.
        minimum_tenth: a tenth of the rate at which the smoothed loss is lowest, or the first rate where that is higher.
        start: the first rate of the test, below which nothing is known.
    """

    steepest: float
    valley: float
    minimum_tenth: float
    start: float = 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """A lowest and a highest rate for cycles: the span of the three, and where that is short, a fourth of the
        highest for the lowest; no lower than the test began."""
        rates = (self.steepest, self.valley, self.minimum_tenth)
        return max(self.start, min(*rates, max(rates) * BASE_SHARE)), max(rates)


def smoothed(losses: Floats, beta: float) -> Floats:
    """The exponential moving average of losses, its beginning corrected for the missing past.

    Args:
        losses: shape [updates].
        beta: the weight of the past, in [0, 1).
    """
    means = np.empty(len(losses))
    mean = 0.0
    for i, loss in enumerate(losses.tolist()):
        mean = beta * mean + (1 - beta) * loss
        means[i] = mean / (1 - beta ** (i + 1))
    return means


def runaway(losses: Floats, beta: float, factor: float) -> int | None:
    """The first update at which the smoothed loss is more than `factor` times the lowest it has been; None for none.

    Args:
        losses: not smoothed, finite. beta: as for `smoothed`.
    """
    curve = smoothed(losses, beta)
    far = np.flatnonzero(curve > factor * np.minimum.accumulate(curve))
    # The first updates have nothing to run away from.
    far = far[far >= FEWEST_UPDATES]
    return int(far[0]) if len(far) else None


def suggest(rates: Floats, losses: Floats, beta: float) -> Suggestions | None:
    """What a curve suggests; None where its loss has not fallen by more than its noise.

    Args:
        rates: ascending, > 0, shape [updates].
        losses: of each update, finite, of the same shape.
        beta: as for `smoothed`.
    """
    if len(rates) < FEWEST_UPDATES:
        return None
    curve = smoothed(losses, beta)
    lowest = int(np.argmin(curve))
    first = max(3, len(losses) // 10)
    # From one update to the next the loss changes almost only by chance.
    noise = float(np.std(np.diff(losses[: max(lowest, first)]))) / math.sqrt(2)
    # What chance does to the mean of the first losses, and to a smoothed one.
    chance = SURE * noise * math.sqrt(1 / first + (1 - beta) / (1 + beta))
    initial = float(np.mean(losses[:first]))
    if lowest < 2 or initial - curve[lowest] < max(LEAST_FALL * abs(initial), chance):
        return None
    tenth = max(float(rates[lowest]) / 10, float(rates[0]))
    steepest = float(rates[_steepest(np.log(rates), curve, lowest)])
    suggestions = Suggestions(steepest, float(rates[_valley(curve)]), tenth, float(rates[0]))
    return suggestions if suggestions.bounds[0] < suggestions.bounds[1] else None


def _steepest(log_rates: Floats, losses: Floats, lowest: int) -> int:
    """The middle of the stretch before the lowest loss over which the losses fall fastest.

    The slope is that of the straight line that fits a stretch best: between two neighbours, the noise of a batch falls
    faster than any training.
    """
    width = min(max(3, round(len(losses) * STRETCH)), lowest + 1)
    x = np.lib.stride_tricks.sliding_window_view(log_rates[: lowest + 1], width)
    y = np.lib.stride_tricks.sliding_window_view(losses[: lowest + 1], width)
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    slopes = (x * y).sum(axis=1) / (x * x).sum(axis=1)
    return int(np.argmin(slopes)) + width // 2


def _valley(losses: Floats) -> int:
    """The index two thirds along the longest descent: the longest subsequence of ever smaller losses."""
    n = len(losses)
    length, before = np.ones(n, int), np.full(n, -1)
    for i in range(1, n):
        higher = np.flatnonzero(losses[:i] > losses[i])
        if len(higher):
            # Of several that are as long the one that ends last: a plain before the descent is no part of it.
            best = higher[::-1][np.argmax(length[higher[::-1]])]
            length[i], before[i] = length[best] + 1, best
    end = begin = int(np.argmax(length))
    while before[begin] >= 0:
        begin = int(before[begin])
    return begin + round((end - begin) * 2 / 3)


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

    def build(self, loaded: LoadedConfig) -> Experiment:
        """The model of one seed, with a learning rate that rises from update to update. Only its loss is measured, on
        the rows that it trains on."""
        from stopcli.schedules.cyclic import RampLR
        from stopcli.training.trainer import Experiment

        config: LrRangeConfig = loaded.config
        train = loaded.data.parts.train
        updates, unmeasured = config.updates(train.batches(config.batch_size)), train.take(0, 0)
        return Experiment(
            make_model(config, loaded.data, config.seed),
            optimizer_of(config, config.start_lr),
            loss_of(loaded.data),
            (),
            Splits(train, unmeasured, unmeasured),
            config.batch_size,
            math.ceil(updates / train.batches(config.batch_size)),
            config.seed,
            StopPlan(NonFinite(("loss",)), BestEpoch("loss", "auto")),
            dataset=config.dataset,
            jit_compile=xla_pays(),
            long_epochs=True,
            inputs=inputs_of(config, loaded.data),
            schedule=RampLR(config.start_lr, config.end_lr, updates, config.ramp),
            log_steps=True,
        )

"""Bounds for a learning rate, from the loss of a range test: a training in which the rate rose."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stopcli.runs.summary import FEWEST_UPDATES

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

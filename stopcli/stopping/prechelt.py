"""The stopping criteria of L. Prechelt, "Early Stopping – But When?" (1998).

With E_va(t) the validation loss after epoch t, E_tr(t) the training loss, E_opt(t) the lowest validation loss so far::

    GL(t)  = 100 · (E_va(t) / E_opt(t) − 1)                                      generalization loss, in percent
    P_k(t) = 1000 · (mean of the last k E_tr / lowest of the last k E_tr − 1)    training progress, in per mille

GL compares GL(t) with a limit after every epoch. At the end of each strip of k epochs, PQ compares GL(t) / P_k(t) with
a limit, and UP compares E_va(t) with E_va(t − k). Prechelt found slower criteria to generalise about 4 % better on
average, at about 4 times the training time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from stopcli.errors import ConfigError, MetricError
from stopcli.stopping.rule import (
    MetricRule,
    State,
    Verdict,
    check_count,
    check_number,
    first_true,
    resolve_direction,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


# Epochs of a strip, where none are given.
STRIP = 5
# Of training progress, in per mille, and of a quotient's share above this much progress, by how much they may differ
# from the same in other roundings.
_HARDLY_ANY, _ROUNDING = 1e-6, 1e-4


class BestSoFar(NamedTuple):
    """The lowest validation loss and its epoch; 0 before there is one."""

    best_epoch: int = 0
    best_value: float | None = None


def generalization_loss(value: float, lowest: float) -> float:
    """GL in percent: by how much a loss lies above the lowest so far, both ≥ 0; infinite above a lowest of 0."""
    if lowest == 0:
        return 0.0 if value == 0 else math.inf
    return 100 * (value / lowest - 1)


def generalization_losses(values: NDArray[Any]) -> NDArray[Any]:
    """`generalization_loss` of every value above the lowest up to it; NaN where both are 0."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # A lowest of -0.0 would make it infinite the wrong way.
        return 100 * (values / (np.minimum.accumulate(values) + 0.0) - 1)


def update_best(best: BestSoFar, epoch: int, name: str, value: float) -> BestSoFar:
    """The lowest value with that of an epoch.

    Raises:
        MetricError: the value is below 0, where a ratio to the lowest says nothing.
    """
    if value < 0:
        raise MetricError(f"epoch {epoch}: {name} is {value:g}; Prechelt's rules compare by ratio, and need losses ≥ 0")
    if best.best_value is None or value < best.best_value:
        return BestSoFar(epoch, value)
    return best


def best_until(values: NDArray[Any], index: int) -> BestSoFar:
    """The lowest of the values up to an index, that included."""
    lowest = int(values[: index + 1].argmin())
    return BestSoFar(lowest + 1, float(values[lowest]))


class LossRule(MetricRule[State]):
    """A rule that compares losses: its metric is better when lower."""

    monitor: str

    def watching(self, metric: str, mode: str) -> LossRule[Any]:
        if resolve_direction(metric, mode) != "min":
            raise ConfigError(
                "stop", metric, f"a metric that is better when lower behind @: {self.keyword} compares losses"
            )
        watching: LossRule[Any] = replace(self, monitor=metric)  # type: ignore[type-var]  # subclasses are dataclasses
        return watching

    def verdict(self, epoch: int, best: BestSoFar, value: float) -> Verdict:
        """The verdict at an epoch with this validation loss."""
        lowest, wait = best.best_value or 0.0, epoch - best.best_epoch
        margin = value - lowest
        return Verdict(self.kind, self.describe(), epoch, wait, best.best_epoch, lowest, margin, self.monitor)


@dataclass(frozen=True)
class GeneralizationLoss(LossRule[BestSoFar]):
    """GL: stop after the first epoch whose generalization loss is above `alpha` percent.

    Args:
        alpha: in percent, ≥ 0; Prechelt's are 1 to 5.
        monitor: the validation loss.

    Raises:
        ConfigError: `alpha` is out of its range.
    """

    kind = "generalization_loss"
    state_class = BestSoFar
    keyword = "gl"
    example = "gl:2 (generalization loss, %)"
    label = "generalization loss (gl)"
    marker = "s"
    sentences = (("generalization_loss", "the validation loss lay too far above its lowest"),)

    alpha: float
    monitor: str = "val_loss"

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha)

    @property
    def earliest_stop(self) -> int:
        # The first loss is the lowest so far.
        return 2

    def decide(self, state: BestSoFar, epoch: int, values: Sequence[float]) -> tuple[BestSoFar, Verdict | None]:
        (value,) = values
        state = update_best(state, epoch, self.monitor, value)
        above = generalization_loss(value, state.best_value or 0.0) > self.alpha
        return state, self.verdict(epoch, state, value) if above else None

    def scan(self, columns: Sequence[NDArray[Any]]) -> Verdict | None:
        (values,) = columns
        if (values < 0).any():
            return super().scan(columns)
        index = first_true(generalization_losses(values) > self.alpha)
        if index is None:
            return None
        return self.verdict(index + 1, best_until(values, index), float(values[index]))

    def describe(self) -> str:
        return f"{self.monitor} GL>{self.alpha:g}"


class QuotientState(NamedTuple):
    """The lowest validation loss, and the training losses of the strip so far."""

    best_epoch: int = 0
    best_value: float | None = None
    strip: tuple[float, ...] = ()


class StripsState(NamedTuple):
    """The lowest validation loss, that of the last strip's end, and how many strips in a row have risen."""

    best_epoch: int = 0
    best_value: float | None = None
    last_end: float | None = None
    risen: int = 0


def training_progress(strip: Sequence[float]) -> float:
    """P_k in per mille: by how much the mean of a strip's training losses lies above the lowest of them, all ≥ 0."""
    mean, lowest = math.fsum(strip) / len(strip), min(strip)
    if lowest == 0:
        return 0.0 if mean == 0 else math.inf
    return 1000 * (mean / lowest - 1)


def progress_quotient(loss: float, strip: Sequence[float]) -> float:
    """A generalization loss divided by the training progress of a strip."""
    # Without any generalization loss there is no reason to stop, however little progress.
    if loss == 0:
        return 0.0
    progress = training_progress(strip)
    return math.inf if progress == 0 else loss / progress


@dataclass(frozen=True)
class ProgressQuotient(LossRule[QuotientState]):
    """PQ: stop at the end of the first strip after which generalization loss / training progress is above `alpha`.

    Where training made no progress in the strip, the quotient is infinite as soon as there is any generalization loss.

    Args:
        alpha: ≥ 0; Prechelt's are 0.5 to 3.
        k: epochs of a strip, ≥ 1.
        monitor: the validation loss.
        training: the training loss.

    Raises:
        ConfigError: an option is out of its range.
    """

    kind = "progress_quotient"
    state_class = QuotientState
    keyword = "pq"
    example = "pq:0.75 (progress quotient)"
    label = "progress quotient (pq)"
    marker = "^"
    sentences = (("progress_quotient", "the validation loss rose faster than training progressed"),)

    alpha: float
    k: int = STRIP
    monitor: str = "val_loss"
    training: str = "loss"

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha)
        check_count("k", self.k, least=1)

    @property
    def monitors(self) -> tuple[str, ...]:
        return (self.monitor, self.training)

    def watching(self, metric: str, mode: str) -> ProgressQuotient:
        if not metric.startswith("val_"):
            raise ConfigError("stop", metric, "a metric of validation behind @, such as val_loss")
        return replace(self, monitor=super().watching(metric, mode).monitor, training=metric.removeprefix("val_"))

    @property
    def earliest_stop(self) -> int:
        # The first loss is the lowest so far.
        return max(self.k, 2)

    def decide(self, state: QuotientState, epoch: int, values: Sequence[float]) -> tuple[QuotientState, Verdict | None]:
        value, trained = values
        if trained < 0:
            update_best(BestSoFar(), epoch, self.training, trained)
        best = update_best(BestSoFar(state.best_epoch, state.best_value), epoch, self.monitor, value)
        # Counted, because Keras may leave epochs without validation.
        strip = (*state.strip, trained)
        if len(strip) < self.k:
            return QuotientState(*best, strip), None
        state = QuotientState(*best)
        above = progress_quotient(generalization_loss(value, best.best_value or 0.0), strip) > self.alpha
        return state, self.verdict(epoch, best, value) if above else None

    def scan(self, columns: Sequence[NDArray[Any]]) -> Verdict | None:
        values, trained = columns
        if (values < 0).any() or (trained < 0).any():
            return super().scan(columns)
        losses = generalization_losses(values)[self.k - 1 :: self.k]
        strips = trained[: len(losses) * self.k].reshape(-1, self.k)
        for strip in self._candidates(losses, strips).tolist():
            if progress_quotient(float(losses[strip]), strips[strip].tolist()) > self.alpha:
                index = (strip + 1) * self.k - 1
                return self.verdict(index + 1, best_until(values, index), float(values[index]))
        return None

    def _candidates(self, losses: NDArray[Any], strips: NDArray[Any]) -> NDArray[Any]:
        """The strips whose quotient may be above `alpha`: NumPy's means are rounded otherwise than `math.fsum`."""
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            progress = 1000 * (strips.mean(axis=1) / strips.min(axis=1) - 1)
            below = losses / progress < self.alpha * (1 - _ROUNDING)
        # Of hardly any progress the rounding may be all there is. Without a loss, or NaN of 0 and 0, there is no stop.
        return np.flatnonzero((losses > 0) & ~(below & (progress > _HARDLY_ANY)))

    def describe(self) -> str:
        strips = "" if self.k == STRIP else f" k={self.k}"
        return f"{self.monitor} PQ>{self.alpha:g}{strips}"


@dataclass(frozen=True)
class SuccessiveIncreases(LossRule[StripsState]):
    """UP: stop at the end of a strip when the validation loss has risen from strip end to strip end `s` times in a row.

    Args:
        s: ≥ 1; Prechelt's are 2 to 8.
        k: epochs of a strip, ≥ 1.
        monitor: the validation loss.

    Raises:
        ConfigError: an option is out of its range.
    """

    kind = "strips_up"
    state_class = StripsState
    keyword = "up"
    example = "up:3 (strips of 5 epochs that rise; up:3:10 and pq:0.75:10 for strips of 10)"
    label = "rising strips (up)"
    marker = "D"
    sentences = (("strips_up", "the validation loss rose from strip to strip"),)

    s: int
    k: int = STRIP
    monitor: str = "val_loss"

    def __post_init__(self) -> None:
        check_count("s", self.s, least=1)
        check_count("k", self.k, least=1)

    @property
    def earliest_stop(self) -> int:
        return (self.s + 1) * self.k

    def decide(self, state: StripsState, epoch: int, values: Sequence[float]) -> tuple[StripsState, Verdict | None]:
        (value,) = values
        best = BestSoFar(state.best_epoch, state.best_value)
        if best.best_value is None or value < best.best_value:
            best = BestSoFar(epoch, value)
        if epoch % self.k:
            return StripsState(*best, state.last_end, state.risen), None
        risen = state.risen + 1 if state.last_end is not None and value > state.last_end else 0
        state = StripsState(*best, value, risen)
        return state, self.verdict(epoch, best, value) if risen >= self.s else None

    def scan(self, columns: Sequence[NDArray[Any]]) -> Verdict | None:
        import numpy as np

        (values,) = columns
        ends = values[self.k - 1 :: self.k]
        indices = np.arange(len(ends))
        not_risen = np.concatenate(([True], ends[1:] <= ends[:-1]))[: len(ends)]
        strip = first_true(indices - np.maximum.accumulate(np.where(not_risen, indices, 0)) >= self.s)
        if strip is None:
            return None
        index = (strip + 1) * self.k - 1
        return self.verdict(index + 1, best_until(values, index), float(values[index]))

    def describe(self) -> str:
        strips = "" if self.k == STRIP else f" k={self.k}"
        return f"{self.monitor} UP={self.s}{strips}"

    def progress(self, state: StripsState) -> str:
        return f"strips up {state.risen}/{self.s}"

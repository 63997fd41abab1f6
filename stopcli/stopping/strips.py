"""Prechelt's criteria that look at the ends of strips of k epochs: progress quotient, strips of rising error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stopcli.stopping.prechelt import (
    BestSoFar,
    best_until,
    check_alpha,
    check_count,
    generalization_loss,
    generalization_losses,
    stop_verdict,
    update_best,
)
from stopcli.stopping.rule import Columns, Metrics, Rule, Verdict, monitored, non_finite
from stopcli.stopping.scanning import finite_part, first_true

STRIP = 5


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


def training_progress(strip: tuple[float, ...]) -> float:
    """P_k in per mille: by how much the mean of a strip's training losses lies above the lowest of them, all ≥ 0."""
    mean, lowest = math.fsum(strip) / len(strip), min(strip)
    if lowest == 0:
        return 0.0 if mean == 0 else math.inf
    return 1000 * (mean / lowest - 1)


def progress_quotient(loss: float, strip: tuple[float, ...]) -> float:
    """A generalization loss divided by the training progress of a strip."""
    # Without any generalization loss there is no reason to stop, however little progress.
    if loss == 0:
        return 0.0
    progress = training_progress(strip)
    return math.inf if progress == 0 else loss / progress


@dataclass(frozen=True)
class ProgressQuotient(Rule[QuotientState]):
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

    kind: ClassVar[str] = "progress_quotient"

    alpha: float
    k: int = STRIP
    monitor: str = "val_loss"
    training: str = "loss"

    def __post_init__(self) -> None:
        check_alpha("alpha", self.alpha)
        check_count("k", self.k)

    @property
    def monitors(self) -> tuple[str, ...]:
        return (self.monitor, self.training)

    @property
    def earliest_stop(self) -> int:
        # The first loss is the lowest so far.
        return max(self.k, 2)

    def init(self) -> QuotientState:
        return QuotientState()

    def update(self, state: QuotientState, epoch: int, metrics: Metrics) -> tuple[QuotientState, Verdict | None]:
        value, trained = monitored(metrics, self.monitor, epoch), monitored(metrics, self.training, epoch)
        broken = non_finite(epoch, self.monitor, value) or non_finite(epoch, self.training, trained)
        if broken is not None:
            return state, broken
        if trained < 0:
            update_best(BestSoFar(), epoch, self.training, trained)
        best = update_best(BestSoFar(state.best_epoch, state.best_value), epoch, self.monitor, value)
        # Counted, not told from the epoch's number: Keras may leave epochs without validation.
        strip = (*state.strip, trained)
        if len(strip) < self.k:
            return QuotientState(*best, strip), None
        state = QuotientState(*best)
        if not progress_quotient(generalization_loss(value, best.best_value or 0.0), strip) > self.alpha:
            return state, None
        return state, stop_verdict(self, epoch, best, value)

    def first_stop(self, columns: Columns) -> Verdict | None:
        epochs, broken = finite_part(columns, self.monitors)
        values, trained = (columns[name][:epochs] for name in self.monitors)
        if (values < 0).any() or (trained < 0).any():
            return super().first_stop(columns)
        losses = generalization_losses(values)[self.k - 1 :: self.k]
        strips = trained[: len(losses) * self.k].reshape(-1, self.k)
        for i in np.flatnonzero(self._may_be_above(losses, strips)).tolist():
            index = (i + 1) * self.k - 1
            best, value = best_until(values, index), float(values[index])
            loss = generalization_loss(value, best.best_value or 0.0)
            if progress_quotient(loss, tuple(strips[i].tolist())) > self.alpha:
                return stop_verdict(self, index + 1, best, value)
        return broken

    def _may_be_above(self, losses: NDArray[np.float64], strips: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Strips whose quotient may be above alpha, as far as sums that are rounded on the way can tell."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = strips.mean(axis=1) / strips.min(axis=1)
            least = 1000 * (ratio - 1) - 1000 * ratio * (self.k + 8) * np.finfo(float).eps
            surely_below = losses < self.alpha * least * (1 - 1e-12)
        maybe: NDArray[np.bool_] = np.logical_not(surely_below | (losses == 0))
        return maybe

    def describe(self) -> str:
        strips = "" if self.k == STRIP else f" k={self.k}"
        return f"{self.monitor} PQ>{self.alpha:g}{strips}"

    def state_from_dict(self, values: Mapping[str, Any]) -> QuotientState:
        return QuotientState(**{**values, "strip": tuple(values["strip"])})


@dataclass(frozen=True)
class SuccessiveIncreases(Rule[StripsState]):
    """UP: stop at the end of a strip when the validation loss has risen from strip end to strip end `s` times running.

    Args:
        s: ≥ 1; Prechelt's are 2 to 8.
        k: epochs of a strip, ≥ 1.
        monitor: the validation loss.

    Raises:
        ConfigError: an option is out of its range.
    """

    kind: ClassVar[str] = "strips_up"

    s: int
    k: int = STRIP
    monitor: str = "val_loss"

    def __post_init__(self) -> None:
        check_count("s", self.s)
        check_count("k", self.k)

    @property
    def monitors(self) -> tuple[str, ...]:
        return (self.monitor,)

    @property
    def earliest_stop(self) -> int:
        return (self.s + 1) * self.k

    def init(self) -> StripsState:
        return StripsState()

    def update(self, state: StripsState, epoch: int, metrics: Metrics) -> tuple[StripsState, Verdict | None]:
        value = monitored(metrics, self.monitor, epoch)
        broken = non_finite(epoch, self.monitor, value)
        if broken is not None:
            return state, broken
        best = BestSoFar(state.best_epoch, state.best_value)
        if best.best_value is None or value < best.best_value:
            best = BestSoFar(epoch, value)
        if epoch % self.k:
            return StripsState(*best, state.last_end, state.risen), None
        risen = state.risen + 1 if state.last_end is not None and value > state.last_end else 0
        state = StripsState(*best, value, risen)
        if risen < self.s:
            return state, None
        return state, stop_verdict(self, epoch, best, value)

    def first_stop(self, columns: Columns) -> Verdict | None:
        epochs, broken = finite_part(columns, self.monitors)
        values = columns[self.monitor][:epochs]
        ends = values[self.k - 1 :: self.k]
        indices = np.arange(len(ends))
        not_risen = np.concatenate(([True], ends[1:] <= ends[:-1]))[: len(ends)]
        turn = first_true(indices - np.maximum.accumulate(np.where(not_risen, indices, 0)) >= self.s)
        if turn is None:
            return broken
        index = (turn + 1) * self.k - 1
        return stop_verdict(self, index + 1, best_until(values, index), float(values[index]))

    def describe(self) -> str:
        strips = "" if self.k == STRIP else f" k={self.k}"
        return f"{self.monitor} UP={self.s}{strips}"

    def progress(self, state: StripsState) -> str:
        return f"strips up {state.risen}/{self.s}"

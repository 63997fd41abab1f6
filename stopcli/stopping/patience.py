"""Patience: stop when a metric has not improved for a number of epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from stopcli.errors import ConfigError
from stopcli.stopping.rule import (
    MetricRule,
    Verdict,
    check_count,
    first_true,
    is_below,
    resolve_direction,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


MIN_DELTA = "a finite number ≥ 0, or a share of the best value below 100 %, such as 1%"


def parse_share(text: str) -> float:
    """The share that a text such as `1%` names, in [0, 1).

    Raises:
        ConfigError: it names none.
    """
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not (text.endswith("%") and 0 <= percent < 100):
        raise ConfigError("min_delta", text, MIN_DELTA)
    return percent / 100


def check_min_delta(value: object) -> None:
    """Raise ConfigError where a value is neither a number ≥ 0 nor a share such as `1%`."""
    if isinstance(value, str):
        parse_share(value)
    elif isinstance(value, bool) or not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
        raise ConfigError("min_delta", value, MIN_DELTA)


class PatienceState(NamedTuple):
    """What patience remembers from one epoch to the next.

    Attributes:
        wait: epochs since the last one that both improved and beat the baseline.
        reference: the value that an improvement has to beat by `min_delta`.
        best_epoch, best_value: the raw best, whatever `min_delta` says.
        met_baseline: whether an improvement has beaten the baseline yet.
    """

    wait: int = 0
    reference: float | None = None
    best_epoch: int = 0
    best_value: float | None = None
    met_baseline: bool = False


@dataclass(frozen=True)
class Patience(MetricRule[PatienceState]):
    """Stop when `monitor` has not improved for `patience` epochs.

    Stops at the same epoch as `keras.callbacks.EarlyStopping` with the same options, but for two things: the wait is
    checked at every epoch, also at one that improves without beating the baseline, where Keras up to 3.15 never stops;
    and a value that is NaN or infinite ends the run, where Keras keeps a NaN of the first epoch as the best forever.

    Args:
        patience: epochs without improvement after which to stop, ≥ 0. 0 and 1 stop at the same epoch.
        monitor: the metric's name.
        mode: `min`, `max`, or `auto` by the metric's name.
        min_delta: an improvement is a change of more than this: a number ≥ 0, or as text such as `1%` a share of the
            size of the value that has to be beaten, below 100 %. With r the share and b that value, an improvement is
            below b − r·|b|, or above b + r·|b| where higher is better: for b ≥ 0 as in PyTorch's `ReduceLROnPlateau`
            with `threshold_mode="rel"`. Of a b of 0, every change is one. Only the wait depends on `min_delta`: the
            best epoch is the one with the raw best value.
        baseline: only improvements beyond it (by `min_delta`) reset the wait. Where it was never beaten, the reason of
            the stop is `baseline`.
        start_from_epoch: the first epochs, this many, do not count, ≥ 0.

    Raises:
        ConfigError: an option is out of its range.
    """

    kind = "patience"
    state_class = PatienceState
    keyword = "patience"
    example = "patience:200 (patience:200:1% with a min_delta)"
    label = "patience"
    sentences = (
        ("patience", "no improvement since epoch {since}"),
        ("baseline", "{wait} and the baseline was never beaten"),
    )
    waits = True
    resume_hint = "--patience N trains it further, with more patience; so do other rules."

    patience: int
    monitor: str = "val_loss"
    mode: str = "auto"
    min_delta: float | str = 0.0
    baseline: float | None = None
    start_from_epoch: int = 0

    def __post_init__(self) -> None:
        check_count("patience", self.patience)
        check_min_delta(self.min_delta)
        share = parse_share(self.min_delta) if isinstance(self.min_delta, str) else 0.0
        if isinstance(self.min_delta, str):
            # One way to write it, so that rules are the same where they do the same.
            text = f"{float(self.min_delta.removesuffix('%'))!r}%".replace(".0%", "%")
            object.__setattr__(self, "min_delta", text if share else 0.0)
        check_count("start_from_epoch", self.start_from_epoch)
        if self.baseline is not None and not math.isfinite(self.baseline):
            raise ConfigError("baseline", self.baseline, "a finite number")
        # +1 where lower is better, -1 where higher is: every comparison below is then "lower is better". Negation is
        # exact in floating point, so this is Keras's `current ± min_delta`.
        sign = 1.0 if resolve_direction(self.monitor, self.mode) == "min" else -1.0
        object.__setattr__(self, "_sign", sign)
        object.__setattr__(self, "_share", share)

    @property
    def earliest_stop(self) -> int:
        # The first epoch that counts starts the wait again, unless it has a baseline to beat.
        first = self.start_from_epoch + (1 if self.baseline is None else 0)
        return max(first + max(self.patience, 1), 2)

    def decide(self, state: PatienceState, epoch: int, values: Sequence[float]) -> tuple[PatienceState, Verdict | None]:
        (value,) = values
        if epoch <= self.start_from_epoch:
            return state, None
        sign: float = self._sign  # type: ignore[attr-defined]
        wait, reference, best_epoch, best_value, met_baseline = state
        if best_value is None or is_below(sign * value, sign * best_value):
            best_epoch, best_value = epoch, value
        wait += 1
        if reference is None or self._better(value, reference):
            reference = value
            if self.baseline is None or self._better(value, self.baseline):
                wait, met_baseline = 0, True
        state = PatienceState(wait, reference, best_epoch, best_value, met_baseline)
        # As in Keras, the first epoch never stops a run: there is nothing that it could have failed to improve on.
        if wait == 0 or wait < self.patience or epoch == 1:
            return state, None
        return state, self._verdict(state, epoch, value)

    def _verdict(self, state: PatienceState, epoch: int, value: float) -> Verdict:
        assert state.best_value is not None
        reason, margin = "patience" if state.met_baseline else "baseline", abs(value - state.best_value)
        best = (state.best_epoch, state.best_value)
        return Verdict(reason, self.describe(), epoch, state.wait, *best, margin, self.monitor)

    def scan(self, columns: Sequence[NDArray[Any]]) -> Verdict | None:
        import numpy as np

        start = self.start_from_epoch
        values = columns[0][start:]
        # From here on epochs are counted from `start`: the wait begins at 0 and after each reset, and is over where the
        # next one comes too late.
        begins = np.concatenate(([0], self._resets(values) + 1))
        ends = np.append(begins[1:], len(values) + 1)
        stops = begins + max(self.patience, 1)
        if start == 0:
            stops[0] = max(stops[0], 2)
        turn = first_true(stops < ends)
        if turn is None:
            return None
        stop, value = int(stops[turn]), float(values[stops[turn] - 1])
        # Beyond float32 is infinity, as in `is_below`.
        with np.errstate(over="ignore"):
            best = int(np.argmin((self._sign * values[:stop]).astype(np.float32)))  # type: ignore[attr-defined]
        state = PatienceState(stop - int(begins[turn]), None, start + best + 1, float(values[best]), turn > 0)
        return self._verdict(state, start + stop, value)

    def _resets(self, values: NDArray[Any]) -> NDArray[Any]:
        """The indices of values at which the wait starts again."""
        import numpy as np

        signed = self._sign * values  # type: ignore[attr-defined]
        share, signed_baseline = self._share, self._sign * (self.baseline or 0.0)  # type: ignore[attr-defined]
        # Beyond float32 is infinity, as in `is_below`.
        with np.errstate(over="ignore"):
            if share:
                keys, levels = signed.astype(np.float32), (signed * (1 - np.copysign(share, signed))).astype(np.float32)
                baseline = np.float32(_less_its_share(signed_baseline, share))
            else:
                keys, levels = (signed + self.min_delta).astype(np.float32), signed.astype(np.float32)
                baseline = np.float32(signed_baseline)
        # Only a key below all keys before it can be an improvement: the level to get below is never above a key that
        # did not, nor above one that did.
        lowest = np.ones(len(keys), bool)
        lowest[1:] = keys[1:] < np.minimum.accumulate(keys)[:-1]
        indices = np.flatnonzero(lowest)
        if self.min_delta:
            improvements: list[int] = []
            to_beat = 0.0
            candidates = (indices.tolist(), keys[indices].tolist(), levels[indices].tolist())
            for index, key, level in zip(*candidates, strict=True):
                # There is nothing yet that the first would have to beat.
                if not improvements or key < to_beat:
                    improvements.append(index)
                    to_beat = level
            indices = np.array(improvements, np.intp)
        return indices if self.baseline is None else indices[keys[indices] < baseline]

    def _better(self, value: float, than: float) -> bool:
        """Whether a value is better than another by more than `min_delta`."""
        sign: float = self._sign  # type: ignore[attr-defined]
        if isinstance(self.min_delta, str):
            return is_below(sign * value, _less_its_share(sign * than, self._share))  # type: ignore[attr-defined]
        return is_below(sign * value + self.min_delta, sign * than)

    @classmethod
    def from_text(cls, numbers: Sequence[str], monitor: str, mode: str) -> Patience:
        patience, *deltas = numbers
        (delta,) = deltas or ("0",)
        return cls(int(patience), monitor, mode, delta if "%" in delta else float(delta))

    @property
    def delta_text(self) -> str:
        """`min_delta` as the command line has it."""
        return self.min_delta if isinstance(self.min_delta, str) else f"{self.min_delta:g}"

    def describe(self) -> str:
        options = [f"patience={self.patience}"]
        if self.min_delta:
            options.append(f"min_delta={self.delta_text}")
        if self.baseline is not None:
            options.append(f"baseline={self.baseline:g}")
        if self.start_from_epoch:
            options.append(f"start_from_epoch={self.start_from_epoch}")
        return " ".join([self.monitor, *options])

    def progress(self, state: PatienceState) -> str:
        return f"wait {state.wait}/{self.patience}"


def _less_its_share(value: float, share: float) -> float:
    """A value less a share of its size. Of a value ≥ 0, to the last bit what PyTorch compares with."""
    return value * (1 - math.copysign(share, value))

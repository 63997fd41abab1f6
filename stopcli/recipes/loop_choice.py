"""Which loop trains a model of the user's, and whether XLA compiles it: measured on a few steps; and whether the model
computes the same twice.

The loops give the same numbers up to rounding, so a choice belongs to a run: it is recorded, and a resumed run computes
with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from stopcli.data.dataset import Splits
from stopcli.errors import StopcliError

if TYPE_CHECKING:
    from stopcli.training.epochs_loop import EpochsLoop
    from stopcli.training.trainer import Experiment

# An epoch that takes no longer than a call of the loop should, so that Ctrl-C and a time budget are heeded soon.
SHORT_EPOCH_SECONDS = 0.25
# Batches that are measured on.
_BATCHES = 8
# One way of computing is measured for so long, so often, and the fastest counts: another load of the machine makes some
# of these times longer, and seldom all.
_MEASURE_SECONDS, _MEASUREMENTS = 0.1, 6
# XLA has to be faster by this share: what differs by less differs otherwise on another day.
_GAIN = 0.1
# A way of computing that takes so many times as long is not measured on.
_HOPELESS = 3.0
# Above this, measuring ends with what is known.
_MOST_SECONDS = 60.0
# A step of a small dense network on a CPU, compiled by XLA: as on one that does 5·10⁹ operations a second, of which a
# parameter takes 6 a row and 10 to be updated. Right within a factor of a few, which is enough to tell epochs of
# milliseconds from those of seconds.
_SMALL_STEP_SECONDS, _OPERATION_SECONDS = 2e-5, 2e-10
# What a call of each loop trains.
_CALLS = {"epochs": "many epochs", "steps": "a part of an epoch"}


class LoopSettings(Protocol):
    """The settings of a run that say how it is computed, or leave that open."""

    @property
    def loop(self) -> Any: ...

    @property
    def xla(self) -> Any: ...

    @property
    def epochs(self) -> Any: ...


@dataclass(frozen=True)
class LoopChoice:
    """How a run is computed.

    Attributes:
        loop: `epochs` where a call of the compiled loop trains many of them, `steps` where it trains a part of one.
        xla: whether XLA compiles it.
        exact: whether steps from the same state gave the same state twice, bit by bit.
        reason: how that was decided, in a sentence without a full stop.
    """

    loop: Literal["epochs", "steps"]
    xla: Literal["yes", "no"]
    exact: bool
    reason: str


@dataclass(frozen=True)
class Cost:
    """One way of computing: seconds that it took to compile, and a step; and whether it is reproducible."""

    compile_seconds: float
    step_seconds: float
    exact: bool


def choose_loop(
    experiment: Experiment,
    config: LoopSettings,
    stage: Callable[[str], None] = lambda text: None,
    others: Iterable[Experiment] = (),
) -> LoopChoice:
    """Choose what the settings leave open, by training a few steps. The model is as it was afterwards.

    Args:
        experiment: its model is in its initial state.
        stage: receives what takes a while, before it is begun.
        others: of further arms, which are computed in the same way: tried for whether they give the same numbers twice.

    Raises:
        StopcliError: the model cannot be trained.
    """
    start, begin = experiment.initial_state(), time.perf_counter()
    trial = _trial(experiment)
    steps = experiment.steps_per_epoch * config.epochs
    plain = by_xla = None
    reason = "as the settings say"
    try:
        stage("measuring a few steps")
        if config.xla != "yes":
            plain = _measure(trial, xla=False, compared=config.xla == "auto")
        if plain is None:
            by_xla = _measure(trial, xla=True, compared=False)
        elif config.xla == "auto":
            if steps * plain.step_seconds < plain.compile_seconds:
                reason = f"all epochs take about {_seconds(steps * plain.step_seconds)}"
            elif time.perf_counter() - begin > _MOST_SECONDS:
                reason = f"measuring took {_seconds(time.perf_counter() - begin)} already"
            else:
                stage("measuring a few steps, compiled by XLA")
                by_xla = _with_xla(trial, plain)
                reason = "XLA cannot compile it"
                if by_xla is not None:
                    reason = f"a step takes {_seconds(plain.step_seconds)}, with XLA {_seconds(by_xla.step_seconds)}"
    finally:
        _restore(trial, start)

    def choice() -> LoopChoice:
        is_large = experiment.parts.train.is_large
        return choose_between(plain, by_xla, config, experiment.steps_per_epoch, reason, is_large=is_large)

    for other in others:
        if not choice().exact:
            break
        stage("trying a few steps of another arm")
        xla = choice().xla == "yes"
        cost = _with_xla(_trial(other)) if xla else _measure(_trial(other), xla=False)
        if cost is None and plain is not None:
            by_xla, reason = None, "XLA cannot compile every arm"
        elif cost is not None and not cost.exact:
            plain, by_xla = (None if way is None else replace(way, exact=False) for way in (plain, by_xla))
    return choice()


def loop_of_dense(parts: Splits, config: LoopSettings, batch_size: int, parameters: int) -> LoopChoice:
    """The choice for a dense network of Keras's own layers on a CPU, without a trial: XLA is the fastest as a rule, and
    computes the same twice. A trial would take seconds of every run.

    Args:
        parts: its rows.
        parameters: how many numbers it trains.
    """
    batch, steps = min(batch_size, parts.train.count), parts.train.batches(batch_size)
    operations = (6 * batch + 10) * parameters
    seconds = steps * (_SMALL_STEP_SECONDS + operations * _OPERATION_SECONDS)
    loop = config.loop
    if loop == "auto":
        loop = "epochs" if seconds <= SHORT_EPOCH_SECONDS and not parts.train.is_large else "steps"
    return LoopChoice(loop, "yes", exact=True, reason=f"{_CALLS[loop]} a call, with XLA (by the size of the network)")


def choose_between(
    plain: Cost | None,
    by_xla: Cost | None,
    config: LoopSettings,
    steps_per_epoch: int,
    reason: str,
    *,
    is_large: bool = False,
) -> LoopChoice:
    """The choice between two ways of computing, of which at least one was measured.

    Args:
        plain, by_xla: without and with XLA; None for one that is not to be used, or cannot be.
        reason: why these were measured, or what came out.
        is_large: whether the rows are; only the loop that trains a part of an epoch a call does without a second copy.
    """
    steps = steps_per_epoch * config.epochs
    cost = plain if by_xla is None or (plain is not None and not _pays(plain, by_xla, steps)) else by_xla
    assert cost is not None, "one of them was measured"
    epoch_seconds, loop = cost.step_seconds * steps_per_epoch, config.loop
    if loop == "auto":
        short = epoch_seconds <= SHORT_EPOCH_SECONDS and not is_large
        loop = "epochs" if short and cost.exact else "steps"
    xla = cost is by_xla
    how = f"{_CALLS[loop]} a call, {'with' if xla else 'without'} XLA"
    text = f"{how} ({reason}; an epoch takes {_seconds(epoch_seconds)})"
    return LoopChoice(loop, "yes" if xla else "no", cost.exact, text)


def _pays(plain: Cost, by_xla: Cost, steps: int) -> bool:
    """Whether XLA is to be used: reproducibility first, then the time that all steps take, with that for compiling."""
    if plain.exact != by_xla.exact:
        return by_xla.exact
    faster = by_xla.step_seconds < (1 - _GAIN) * plain.step_seconds
    saved = steps * (plain.step_seconds - by_xla.step_seconds)
    return faster and saved > by_xla.compile_seconds - plain.compile_seconds


def _trial(experiment: Experiment) -> Experiment:
    """The experiment on few of its rows, in the loop that trains several epochs a call."""
    return replace(experiment.with_few_rows(_BATCHES * experiment.batch_size), long_epochs=False)


def _with_xla(trial: Experiment, plain: Cost | None = None) -> Cost | None:
    """How fast it is with XLA; None where that cannot compile it."""
    import tensorflow as tf

    start = trial.initial_state()
    try:
        return _measure(trial, xla=True, other=plain)
    except StopcliError:
        raise
    # Operations that XLA does not know, shapes that it cannot tell.
    except (tf.errors.OpError, ValueError, TypeError, NotImplementedError):
        _restore(trial, start)
        return None


def _measure(trial: Experiment, *, xla: bool, other: Cost | None = None, compared: bool = True) -> Cost:
    """How fast it is, and whether the same steps give the same bits; the latter is not tried (False) of what is so slow
    beside another way that it will not be chosen.

    Args:
        other: the way that it is compared with, where that was measured before.
        compared: whether it is compared with another one, so that its time has to be exact.
    """
    start = trial.initial_state()
    # Without an order: XLA sorts more slowly than TensorFlow, and long epochs are put in order outside their loop.
    loop: EpochsLoop = replace(trial, jit_compile=xla).make_loop(shuffle=False)  # type: ignore[assignment]
    begin = time.perf_counter()
    loop.compile()
    compile_seconds = time.perf_counter() - begin
    states = []
    seconds = float("inf")
    for _ in range(2):
        loop.restore(start)
        begin = time.perf_counter()
        block = loop.run(1, 1)
        seconds = min(seconds, time.perf_counter() - begin)
        if other is not None and seconds > _HOPELESS * other.step_seconds * loop.steps_per_epoch and seconds > 1:
            loop.restore(start)
            return Cost(compile_seconds, seconds / loop.steps_per_epoch, False)
        states.append([block.metrics.tobytes(), *(array.tobytes() for array in loop.state())])
    epochs = int(min(max(_MEASURE_SECONDS / max(seconds, 1e-6), 1), 1000))
    if compared and seconds < _MEASURE_SECONDS:
        for _ in range(_MEASUREMENTS):
            begin = time.perf_counter()
            loop.run(2, epochs)
            seconds = min(seconds, (time.perf_counter() - begin) / epochs)
    loop.restore(start)
    return Cost(compile_seconds, seconds / loop.steps_per_epoch, states[0] == states[1])


def _restore(trial: Experiment, state: tuple[Any, ...]) -> None:
    """Put the state of a model and its optimizer back."""
    variables = [*trial.model.variables, *trial.optimizer.variables]
    for variable, value in zip(variables, state, strict=True):
        variable.assign(value)


def _seconds(seconds: float) -> str:
    """A time at the length of a sentence: `41 µs`, `1.3 ms`, `2.4 s`."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1 or unit == "µs":
            # From where two digits would be written with an exponent.
            return f"{seconds * factor:.2g} {unit}" if seconds * factor < 99.5 else f"{seconds * factor:.0f} {unit}"
    return ""

"""Which loop trains a model of the user's, and whether XLA compiles it: measured on a few steps; and whether the model
computes the same twice.

The loops give the same numbers up to rounding, so a choice belongs to a run: it is recorded, and a resumed run computes
with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
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
_BATCHES = 32
# One way of computing is measured for so long, and the faster of two such times counts.
_MEASURE_SECONDS = 0.3
# XLA has to be faster by this share: what differs by less differs otherwise on another day.
_GAIN = 0.1
# Above this, measuring ends with what is known.
_MOST_SECONDS = 60.0


class LoopSettings(Protocol):
    """The settings of a run that say how it is computed, or leave that open."""

    loop: Any
    xla: Any
    epochs: Any


@dataclass(frozen=True)
class LoopChoice:
    """How a run is computed.

    Attributes:
        loop: `epochs` where a call of the compiled loop trains many of them, `steps` where it trains a part of one.
        xla: whether XLA compiles it.
        exact: whether steps from the same state gave the same state twice, bit by bit.
        reason: how that was decided, in a sentence without a full stop.
        notes: what the user should know, likewise.
    """

    loop: Literal["epochs", "steps"]
    xla: Literal["yes", "no"]
    exact: bool
    reason: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Speed:
    """One way of computing: seconds that it took to compile, and a step; and whether it is reproducible."""

    compile_seconds: float
    step_seconds: float
    exact: bool


def choose_loop(
    experiment: Experiment, config: LoopSettings, stage: Callable[[str], None] = lambda text: None
) -> LoopChoice:
    """Choose what the settings leave open, by training a few steps. The model is as it was afterwards.

    Args:
        experiment: its model is in its initial state.
        stage: receives what takes a while, before it is begun.

    Raises:
        StopcliError: the model cannot be trained.
    """
    start, begin = experiment.initial_state(), time.perf_counter()
    trial = _trial(experiment)
    steps = experiment.steps_per_epoch * config.epochs
    try:
        plain = compiled = None
        stage("measuring a few steps")
        if config.xla != "yes":
            plain = _measure(trial, xla=False)
        reason = "as the settings say"
        if config.xla == "auto" and plain is not None:
            if steps * plain.step_seconds < plain.compile_seconds:
                reason = f"all epochs take about {_seconds(steps * plain.step_seconds)} without XLA"
            elif time.perf_counter() - begin > _MOST_SECONDS:
                reason = f"measuring took {_seconds(time.perf_counter() - begin)} already"
            else:
                stage("measuring a few steps, compiled by XLA")
                compiled = _with_xla(trial)
                reason = "XLA does not compile it"
        elif config.xla == "yes":
            compiled = _measure(trial, xla=True)
    finally:
        _restore(trial, start)
    if plain is not None and compiled is not None:
        reason = f"a step takes {_seconds(plain.step_seconds)}, with XLA {_seconds(compiled.step_seconds)}"
    chosen = plain if plain is not None and (compiled is None or not _pays(plain, compiled, steps)) else compiled
    assert chosen is not None, "one of them was measured"
    return _choice(config, chosen, chosen is compiled, reason, experiment)


def _choice(config: LoopSettings, speed: _Speed, xla: bool, reason: str, experiment: Experiment) -> LoopChoice:
    steps_per_epoch = experiment.steps_per_epoch
    epoch_seconds = speed.step_seconds * steps_per_epoch
    loop = config.loop
    if loop == "auto":
        # Only the loop that trains a part of an epoch a call does without a second copy of large data.
        short = epoch_seconds <= SHORT_EPOCH_SECONDS and not experiment.parts.train.is_large
        loop = "epochs" if short and speed.exact else "steps"
    names = f"{'many epochs' if loop == 'epochs' else 'a part of an epoch'} a call, {'with' if xla else 'without'} XLA"
    notes = () if speed.exact else (NOT_EXACT,)
    text = f"{names}: {reason}; an epoch of {steps_per_epoch} takes {_seconds(epoch_seconds)}"
    return LoopChoice(loop, "yes" if xla else "no", speed.exact, text, notes)


NOT_EXACT = (
    "the same steps from the same weights gave other numbers the second time, so a run of this model cannot be "
    "repeated or resumed to the bit"
)


def _pays(plain: _Speed, compiled: _Speed, steps: int) -> bool:
    """Whether XLA is to be used: reproducibility first, then the time that all steps take, with that for compiling."""
    if plain.exact != compiled.exact:
        return compiled.exact
    faster = compiled.step_seconds < (1 - _GAIN) * plain.step_seconds
    saved = steps * (plain.step_seconds - compiled.step_seconds)
    return faster and saved > compiled.compile_seconds - plain.compile_seconds


def _trial(experiment: Experiment) -> Experiment:
    """The experiment on few of its rows, in the loop that trains several epochs a call."""
    parts = experiment.parts
    rows = min(parts.train.count, _BATCHES * experiment.batch_size)
    few = [part.take(0, min(part.count, experiment.batch_size)) for part in (parts.validation, parts.test)]
    validation, test = few if parts.test_is_held_out else (few[0], few[0])
    return replace(experiment, parts=Splits(parts.train.take(0, rows), validation, test), long_epochs=False)


def _with_xla(trial: Experiment) -> _Speed | None:
    """How fast it is with XLA; None where that cannot compile it."""
    import tensorflow as tf

    start = trial.initial_state()
    try:
        return _measure(trial, xla=True)
    except StopcliError:
        raise
    # Operations that XLA does not know, shapes that it cannot tell.
    except (tf.errors.OpError, ValueError, TypeError, NotImplementedError):
        _restore(trial, start)
        return None


def _measure(trial: Experiment, *, xla: bool) -> _Speed:
    start = trial.initial_state()
    loop: EpochsLoop = replace(trial, jit_compile=xla).make_loop()  # type: ignore[assignment]
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
        states.append([block.metrics.tobytes(), *(array.tobytes() for array in loop.state())])
    epochs = int(min(max(_MEASURE_SECONDS / max(seconds, 1e-6), 1), 1000))
    if seconds < _MEASURE_SECONDS:
        for _ in range(2):
            begin = time.perf_counter()
            loop.run(2, epochs)
            seconds = min(seconds, (time.perf_counter() - begin) / epochs)
    loop.restore(start)
    return _Speed(compile_seconds, seconds / loop.steps_per_epoch, states[0] == states[1])


def _restore(trial: Experiment, state: tuple[Any, ...]) -> None:
    """Put the state of a model and its optimizer back."""
    variables = [*trial.model.variables, *trial.optimizer.variables]
    for variable, value in zip(variables, state, strict=True):
        variable.assign(value)


def _seconds(seconds: float) -> str:
    """A time at the length of a sentence: `41 µs`, `1.3 ms`, `2.4 s`."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1 or unit == "µs":
            return f"{seconds * factor:.2g} {unit}" if seconds * factor < 100 else f"{seconds * factor:.0f} {unit}"
    return ""

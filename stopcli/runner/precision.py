"""What computing in another precision would take, or costs, on this machine: measured on a few steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.configs.precision import FLOAT32
from stopcli.errors import in_a_line
from stopcli.processor import computes_in
from stopcli.quantities import format_duration
from stopcli.recipes.base import LoadedConfig, recipe_for
from stopcli.runner.estimate import SweepEstimate, measure_arm, step_seconds_of
from stopcli.runs.run import Run
from stopcli.training.session import NullObserver
from stopcli.training.tf_setup import gpus_compute_in, has_gpu

if TYPE_CHECKING:
    import keras

    from stopcli.runs.folder import RunFolder
    from stopcli.training.loop import Loop
    from stopcli.training.session import Session, Start
    from stopcli.training.trainer import Experiment

BFLOAT16 = "bfloat16"
# A training that takes less is not worth compiling another one for its sake.
LONG_SECONDS = 600.0
# How often each of two precisions is timed.
_ROUNDS = 3
# Above this nothing more is built, compiled or timed, and there may be no result: training is what the user waits for.
_MOST_SECONDS = 60.0
# Rows that the other precision is given are enough for steps of so long, so that memory need not hold all rows twice.
_ROWS_SECONDS = 5.0


class ComparisonError(Exception):
    """A model could not be trained in another precision, for what its text says; the run itself may go on."""


@dataclass(frozen=True)
class PrecisionCost:
    """What a training step takes in a run's precision, and in the one that it is compared with.

    Attributes:
        seconds: of all training in the run's precision.
        ratio: of a step in the other precision to one in the run's, > 0.
    """

    precision: str
    other: str
    seconds: float
    ratio: float

    @property
    def sentence(self) -> str:
        """What the user should know of it, without a full stop."""
        if self.precision == FLOAT32:
            return (
                f"in {self.other} (--precision {self.other}) a training step takes {self.ratio:.2f} times as long: "
                f"about {format_duration(self.seconds * self.ratio)} instead of {format_duration(self.seconds)}"
            )
        times = f"a training step takes {1 / self.ratio:.2f} times as long as in {self.other}"
        return f"{slow_precision(self.precision)}: {times}"


def slow_precision(precision: str) -> str:
    """Why a precision saves no time here, in a clause."""
    return f"this machine has no instructions for {precision}, which saves time only where there are some"


def with_factor(sentences: Iterable[str], precision: str) -> str:
    """The first of some sentences that says how slow a precision is, measured; empty where none does."""
    measured = slow_precision(precision) + ":"
    return next((sentence for sentence in sentences if sentence.startswith(measured)), "")


def measured_before(run: Path, precision: str) -> str:
    """The sentence in the results of a run that is resumed; empty where it has none."""
    return with_factor(getattr(Run.read(run).summary, "warnings", ()), precision)


def is_slow(config: Any) -> bool:
    """Whether a config's precision is one that this machine has no instructions for."""
    precision = getattr(config, "precision", FLOAT32)
    return precision != FLOAT32 and computes_here(precision) is False


def compare_precisions(
    loaded: LoadedConfig, experiment: Experiment, loop: Loop, folder: RunFolder, session: Session, start: Start
) -> tuple[str, ...]:
    """Say in a run's log, and to whoever listens, what its training would take in another precision, as `measured_cost`
    does. Returns it where it is a warning."""
    config = loaded.config
    slow = is_slow(config)
    # Nobody hears a job of a sweep, which says of all of them what one of them has measured.
    listens = not isinstance(session.observer, NullObserver)
    measures = not start.resumed and (listens or (slow and session.measures_precision))
    measured = ""
    if measures:
        try:
            with session.stopwatch.part("compile"):
                cost = measured_cost(
                    loaded, experiment, loop, session.observer.stage, lambda: session.request.stop_requested
                )
            measured = cost.sentence if cost else ""
        except ComparisonError as error:
            folder.log(str(error))
    elif slow and start.resumed:
        # It cannot be changed any more, and what it has measured before holds.
        measured = measured_before(folder.path, config.precision)
    sentence = measured or (slow_precision(config.precision) if slow and (listens or measures) else "")
    if not sentence:
        return ()
    folder.log(sentence)
    session.observer.note(sentence)
    return (sentence,) if slow else ()


def measured_cost(
    loaded: LoadedConfig,
    experiment: Experiment,
    loop: Loop,
    stage: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
) -> PrecisionCost | None:
    """Measure a run's training step, and one in the precision that might suit the machine better.

    That is float32 where it has no instructions for the run's; and bfloat16 where it has some, and the run is long.

    Args:
        experiment: in its initial state.
        loop: of it, compiled; as it was afterwards.
        stage: receives what takes a while, before it is begun.
        stop: whether to end it without a result, such as when the run is to stop.

    Returns:
        None where there is nothing to compare, or no time for it.

    Raises:
        ComparisonError: the model cannot be trained in the other precision.
    """
    from stopcli.models.twin import has_short_numbers

    config = loaded.config
    other = other_precision(config)
    if other is None:
        return None
    if other == BFLOAT16 and (
        not experiment.long_epochs or _own_policy(loaded) is not None or has_short_numbers(experiment.model)
    ):
        return None
    stage("measuring a few steps")
    begin = time.perf_counter()

    def ends() -> bool:
        return stop() or time.perf_counter() - begin > _MOST_SECONDS

    own = _timed(experiment, loop)
    steps = experiment.steps_per_epoch * experiment.epochs
    step_seconds = own()
    if (other == BFLOAT16 and steps * step_seconds < LONG_SECONDS) or ends():
        return None
    stage(f"measuring a few steps in {other}")
    with _comparison(other):
        compared = recipe_for(config).build(replace(loaded, config=replace(config, precision=other)))
        if ends():
            return None
        if compared.long_epochs:
            compared = compared.with_few_rows(int(_ROWS_SECONDS / step_seconds + 1) * experiment.batch_size)
        compared_loop = compared.make_loop()
        compared_loop.compile()
        in_other = _timed(compared, compared_loop)
        # In turn, and the fastest of each: another load of the machine makes some of these times longer, seldom all.
        rounds: list[tuple[float, float]] = []
        while len(rounds) < _ROUNDS and not ends():
            rounds.append((own(), in_other()))
    if not rounds:
        return None
    step_seconds, other_seconds = (min(seconds) for seconds in zip(*rounds, strict=True))
    return PrecisionCost(config.precision, other, steps * step_seconds, other_seconds / step_seconds)


@contextmanager
def _comparison(other: str) -> Iterator[None]:
    """Around a training that nobody has asked for: whatever it raises, such as a layer of the user's that computes in
    float32 alone, or for want of memory, must not end the run."""
    try:
        yield
    except Exception as error:
        raise ComparisonError(f"what {other} would take could not be measured: {in_a_line(error)}") from error


def _timed(experiment: Experiment, loop: Loop) -> Callable[[], float]:
    """What times a loop's step, and leaves the loop at its start."""
    start = experiment.initial_state()

    def seconds() -> float:
        try:
            return step_seconds_of(loop, experiment.epochs)
        finally:
            loop.reset(start, experiment.seed)

    return seconds


def planned_cost(plan: SweepEstimate, loaded: LoadedConfig) -> PrecisionCost | None:
    """The same for a plan, by its first arm. Raises ComparisonError as `measured_cost` does."""
    other = other_precision(plan.config)
    job = plan.jobs[0]
    arm = plan.arms[job.arm]
    if other is None or (
        other == BFLOAT16 and (plan.seconds < LONG_SECONDS or _own_policy(loaded) is not None or arm.has_short_numbers)
    ):
        return None
    config = replace(job.config, precision=other)
    with _comparison(other):
        seconds = measure_arm(replace(loaded, config=config), 0.0).train_seconds
    return PrecisionCost(plan.config.precision, other, plan.seconds, seconds / arm.train_seconds)


def policies_of(model: keras.Model) -> str:
    """The names of Keras's dtype policies, but for float32, that the layers of a model have, in order; else float32."""
    layers = model._flatten_layers(include_self=False)
    # A lookup of words computes in none.
    names = {layer.dtype_policy.name for layer in layers if "float" in str(layer.compute_dtype)}
    return ", ".join(sorted(names - {FLOAT32})) or FLOAT32


def _own_policy(loaded: LoadedConfig) -> Any:
    """Keras's dtype policy that a user's file sets itself, which is refused beside another precision; else None."""
    return getattr(getattr(loaded.data, "code", None), "own_policy", None)


def other_precision(config: Any) -> str | None:
    """The precision that might suit the machine better than a config's."""
    if is_slow(config):
        return FLOAT32
    return BFLOAT16 if getattr(config, "precision", "") == FLOAT32 and computes_here(BFLOAT16) else None


def computes_here(precision: str) -> bool | None:
    """Whether the GPU that trains, or else the processor, computes in a precision; None where the GPU does not tell."""
    return gpus_compute_in(precision) if has_gpu() else computes_in(precision)

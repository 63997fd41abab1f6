"""What is trained: everything that a recipe decides, handed to the trainer in one piece."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from stopcli.configs.training import StopPlan
from stopcli.data.dataset import Splits
from stopcli.errors import MetricError
from stopcli.runs.folder import RunFolder
from stopcli.schedules.plateau import Plateau
from stopcli.training.epochs_loop import EVALUATION_BATCH as SHORT_EVALUATION_BATCH
from stopcli.training.epochs_loop import EpochsLoop
from stopcli.training.loop import Loop, State, initial_state
from stopcli.training.step import Inputs, Metric, Schedule
from stopcli.training.steps_loop import EVALUATION_BATCH as LONG_EVALUATION_BATCH
from stopcli.training.steps_loop import StepsLoop


@dataclass(frozen=True)
class Experiment:
    """A model with its data, how it is trained, and when training stops.

    Attributes:
        model: compiled with `optimizer` and `loss`, so that its file holds them.
        parts: rows in memory.
        batch_size, epochs, seed: as in the run's config.
        dataset: what the rows are, in a word or a path.
        jit_compile: whether XLA compiles the loop.
        long_epochs: whether an epoch is trained in several calls, rather than several epochs in a call.
        inputs, schedule, momentum, log_steps: as for StepsLoop; only for long epochs.
        plateau: reduces the learning rate after an epoch; only for long epochs, because a call of short ones runs on.
        classes: the names of the classes, where the targets are class indices and the predictions probabilities.
        afterwards: what is computed once training has ended, from the loop in its last state and from the run's folder;
            returns fields of the run's summary.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    loss: Callable[[Any, Any], Any]
    metrics: tuple[Metric, ...]
    parts: Splits
    batch_size: int
    epochs: int
    seed: int
    plan: StopPlan
    dataset: str
    jit_compile: bool = True
    long_epochs: bool = False
    inputs: Inputs = field(default_factory=Inputs)
    schedule: Schedule | None = None
    momentum: Schedule | None = None
    log_steps: bool = False
    plateau: Plateau | None = None
    classes: tuple[str, ...] = ()
    afterwards: Callable[[Loop, RunFolder], Mapping[str, Any]] | None = None

    @property
    def evaluation_batch(self) -> int:
        """Rows that are evaluated at a time."""
        return LONG_EVALUATION_BATCH if self.long_epochs else SHORT_EVALUATION_BATCH

    @property
    def steps_per_epoch(self) -> int:
        return self.parts.train.batches(self.batch_size)

    def initial_state(self) -> State:
        return initial_state(self.model, self.optimizer)

    def make_loop(self) -> Loop:
        """A loop for this experiment; other seeds of it can use the same one after `reset`.

        Raises:
            MetricError: a rule reads a metric that the loop does not report, or one of held-out test rows.
        """
        shared: dict[str, Any] = {
            "train": self.parts.train,
            "evaluated": self.parts.evaluated(),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "jit_compile": self.jit_compile,
        }
        loop: Loop
        if self.long_epochs:
            shared |= {name: getattr(self, name) for name in ("inputs", "schedule", "momentum", "log_steps")}
            loop = StepsLoop(self.model, self.optimizer, self.loss, self.metrics, **shared)
        else:
            loop = EpochsLoop(self.model, self.optimizer, self.loss, self.metrics, **shared)
        unknown = sorted(self.plan.monitors - set(readable(loop.columns)))
        if unknown:
            names = ", ".join(readable(loop.columns))
            raise MetricError(f"no metric {unknown[0]!r} can be monitored; there are: {names}")
        return loop


def readable(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that rules may read: no learning rate, and nothing of held-out test rows."""
    return tuple(name for name in columns if name != "learning_rate" and not name.startswith("test_"))

"""Compiled training loops: what they have in common, and what they return.

Keras's `fit` returns to Python for every batch, which on a small model costs a thousand times the training itself. Here
a `tf.function` runs many steps a call: many epochs where they are short (`EpochsLoop`), some steps of one where they
are long (`StepsLoop`). Either way a call lasts about a quarter second, and everything that training changes is a
`State`, from which it can be resumed anywhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from stopcli.data.dataset import Examples
from stopcli.seeding import derive_seed
from stopcli.training.step import Batch, Step

State = tuple[NDArray[Any], ...]
"""The values of the model's variables (weights, statistics, seed generators), then of the optimizer's."""


@dataclass(frozen=True)
class EpochBlock:
    """Complete epochs.

    Attributes:
        first_epoch: counted from 1.
        metrics: float32, shape [epochs, columns], a row an epoch.
        anchor: a state from which the loop can recover that after any of these epochs: the one before the first, or, of
            a single epoch, the one after it.
    """

    first_epoch: int
    metrics: NDArray[np.float32]
    anchor: State

    @property
    def last_epoch(self) -> int:
        return self.first_epoch + len(self.metrics) - 1


@dataclass(frozen=True)
class Partial:
    """How far a loop is within an epoch.

    Attributes:
        steps: of the epoch that are done, ≥ 1.
        sums: the step's carry over the batches so far, and at last the last learning rate, float32 [1]; of a carry of
            one vector, the rate is a last number in it.
    """

    steps: int
    sums: tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class StepLog:
    """The learning rate and the loss of some consecutive steps.

    Attributes:
        first_step: counted from 1 over the whole run.
        values: float32, shape [steps, 2].
    """

    first_step: int
    values: NDArray[np.float32]


def initial_state(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> State:
    """The current state of a model and its optimizer, in a loop's order."""
    return tuple(variable.numpy().copy() for variable in _variables(model, optimizer))


def _variables(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[Any]:
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    return [*model.variables, *optimizer.variables]


def batch_of(rows: Examples) -> Batch:
    """Rows as a step takes them."""
    return (rows.x, rows.y) if rows.weight is None else (rows.x, rows.y, rows.weight)


class Loop(ABC):
    """Trains a model on rows in memory.

    Args:
        step: what is computed on a batch. Its model has been built; the optimizer is built here where it is not yet.
            Their variables are the loop's: every call changes them.
        train: the rows to train on.
        evaluated: rows to measure after every epoch, by the prefix of their metrics' names (`val` gives `val_loss`, …).
        batch_size: rows a step, ≥ 1; the smaller last batch of an epoch is trained on too.
        seed: the run's seed, from which everything random is drawn.

    Attributes:
        columns: the names of the metrics in the order of a block's columns; `learning_rate` is that of the epoch's last
            update.
        steps_per_epoch: ≥ 1.
    """

    def __init__(
        self, step: Step, train: Examples, evaluated: Mapping[str, Examples], batch_size: int, seed: int
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"received batch_size {batch_size}, expected ≥ 1")
        self._model, self._step, self._optimizer = step.model, step, step.optimizer
        # Whether updates have gone on from the variables, and whether the variables have been changed since.
        self._is_ahead, self._is_behind = False, True
        prefixes = ["", *(f"{prefix}_" for prefix in evaluated)]
        self.columns = (*(prefix + name for prefix in prefixes for name in step.columns), "learning_rate")
        self._variables = [variable.value for variable in _variables(step.model, step.optimizer)]
        self._rows, self._batch = train.count, min(batch_size, train.count)
        self.steps_per_epoch = train.batches(self._batch)
        self._begin(seed)

    @property
    def model(self) -> keras.Model:
        """What is trained, with the variables as training has left them."""
        self._settle()
        return self._model

    def _settle(self) -> None:
        """Bring the variables to where updates are."""
        if self._is_ahead:
            self._step.store()
            self._is_ahead = False

    def _go_ahead(self) -> None:
        """Have updates go on from the variables, which are left behind."""
        if self._is_behind:
            self._step.load()
            self._is_behind = False
        self._is_ahead = True

    def _variables_changed(self) -> None:
        self._is_ahead, self._is_behind = False, True

    def _begin(self, seed: int) -> None:
        """Draw from this seed, from the first epoch on."""
        self._order_seed = derive_seed(seed, "order")
        self._augment_seed = derive_seed(seed, "augment")

    @abstractmethod
    def compile(self) -> None:
        """Compile by running nothing. The state stays as it is."""

    @abstractmethod
    def advance(self, epoch: int, most: int) -> EpochBlock | None:
        """Train on for about a quarter second.

        Args:
            epoch: the epoch after those that are complete.
            most: epochs that may be completed, ≥ 1.

        Returns:
            The epochs that were completed; None where the call ended within an epoch.
        """

    @abstractmethod
    def advance_part(self, epoch: int, steps: int) -> None:
        """Train on for about a quarter second towards the end of training within an epoch, which is never completed.
        `partial` says how far it is.

        Args:
            epoch: the epoch after those that are complete.
            steps: of it that are trained in all, 1 … `steps_per_epoch` − 1.
        """

    def reset(self, state: State, seed: int) -> None:
        """Begin another run of the same model and data from its initial state and its seed, without compiling again."""
        self.restore(state)
        self._begin(seed)

    @abstractmethod
    def replay_states(self, block: EpochBlock, epochs: Iterable[int]) -> Iterator[tuple[int, State]]:
        """The states after some epochs of a block, exactly as training went through them.

        Leaves the loop in the state of the last of them. `restore` puts another one back.

        Args:
            block: one of this run, the last or an earlier one.
            epochs: epochs of the block, ascending.

        Raises:
            ReplayError: the state cannot be recovered.
        """

    @property
    def partial(self) -> Partial | None:
        """How far the loop is within an epoch; None between two of them."""
        return None

    @property
    def evaluates_next(self) -> bool:
        """Whether the next call measures rows and trains nothing. Calls that do both train."""
        return False

    @property
    def fraction(self) -> float:
        """The share of an epoch's work that is done since the last complete one, in [0, 1)."""
        return 0.0

    def resume(self, state: State, partial: Partial | None) -> None:
        """Put the loop where an earlier one was."""
        self.restore(state)

    def take_log(self) -> StepLog | None:
        """The steps since the last call of this; None where the loop does not log them."""
        return None

    def set_learning_rate(self, value: float) -> None:
        """Change the optimizer's learning rate, which is a part of the state."""
        self._settle()
        self._optimizer.learning_rate.assign(value)
        self._variables_changed()

    @property
    def learning_rate(self) -> float:
        """The optimizer's current learning rate."""
        self._settle()
        return float(self._optimizer.learning_rate.numpy())

    def state(self) -> State:
        """A copy of everything that training changes."""
        self._settle()
        return tuple(variable.numpy().copy() for variable in self._variables)

    def restore(self, state: State) -> None:
        """Put a state back."""
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)
        self._variables_changed()

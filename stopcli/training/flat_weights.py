"""A model's weights, the averages of its batch normalizations and its optimizer's slots, each as one vector.

A ResNet-44 has 178 weights and 86 averages: reading, penalising, updating and writing each by itself takes some 2,000
small operations a step. As vectors they take some dozens, with the same arithmetic on every number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from stopcli.models.fused_batch_norm import FusedBatchNorm, batch_statistics
from stopcli.models.wide_kernels import KINDS, SHORT_PRECISIONS, WideKernel
from stopcli.training.update import apply_gradients

Tensor = Any

# Beyond so many numbers a step's arithmetic is far more than its small operations, and a second copy costs memory.
MOST_NUMBERS = 1 << 22
# Optimizers whose update of a number depends on that number, its gradient and its slots alone.
_ELEMENTWISE = (keras.optimizers.SGD, keras.optimizers.RMSprop, keras.optimizers.Adam)
# Options of theirs with which it does not, or which act on variables by their names.
_OTHER_OPTIONS = (
    "weight_decay",
    "clipnorm",
    "global_clipnorm",
    "use_ema",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)


@dataclass(frozen=True)
class Pass:
    """A step's way forward and back.

    Attributes:
        loss: with the penalties of weights, scalar float32.
        gradient: of the loss by the weights, float32 [weights].
        statistics: the averages after the step, float32 [averages].
    """

    loss: Tensor
    predictions: Tensor
    gradient: Tensor
    statistics: Tensor


class FlatWeights:
    """Vectors that a step updates, beside the variables of a model and of its optimizer.

    Whoever trains calls `load` before the first step and after every change of the variables, and `store` before the
    variables are read.

    Args:
        called: the model that is called in training; built.
        optimizer: built; `can_be_flat` with `called`.

    Attributes:
        optimizer: one like that, of one variable: the vector of weights.
    """

    def __init__(self, called: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        self._called, self._of = called, optimizer
        self._norms = [layer for layer in called.layers if isinstance(layer, FusedBatchNorm)]
        self._averages = [average for norm in self._norms for average in norm.averages]
        short = {id(weight): layer.compute_dtype for layer in called.layers for weight in _rounded_weights(layer)}
        # Those that layers read in the same precision stand together, and are rounded at once.
        variables = optimizer._trainable_variables
        precisions = [short.get(id(weight), "float32") for weight in variables]
        order = sorted(range(len(variables)), key=lambda i: precisions[i])
        self._in_order = weights = [variables[i] for i in order]
        self._precisions = sorted(set(precisions))
        self._groups = [[variables[i] for i in order if precisions[i] == name] for name in self._precisions]
        self._weights = keras.Variable(_joined(weights), name="weights", trainable=True)
        self._statistics = tf.Variable(_joined(self._averages), trainable=False)
        self._penalties = tf.constant(_by_number(weights, [_penalty(weight) for weight in weights]))
        self.optimizer = type(optimizer).from_config(optimizer.get_config())
        self.optimizer.build([self._weights])
        # Vectors of the optimizer's with the slots that they stand for, in the order of the weights.
        slots = _slots(optimizer, len(variables))
        self._slots = [
            (flat, [slots[name][i] for i in order])
            for name, (flat,) in _slots(self.optimizer, 1).items()
            if slots[name]
        ]
        # As traces: calls of functions would be counted with those of other models, and warned of.
        self._load, self._store = (
            tf.function(copy, autograph=False).get_concrete_function() for copy in (self._copy_in, self._copy_out)
        )

    def load(self) -> None:
        """Make the vectors what the variables are."""
        self._load()

    def store(self) -> None:
        """Make the variables what the vectors are."""
        self._store()

    def _copies(self) -> list[tuple[Any, Sequence[Any]]]:
        return [(self._weights, self._in_order), *self._slots]

    def _copy_in(self) -> None:
        for vector, variables in self._copies():
            vector.assign(_concatenated([variable.value for variable in variables]))
        if self._averages:
            self._statistics.assign(_concatenated([average.value for average in self._averages]))
        self.optimizer.iterations.assign(self._of.iterations)
        self.optimizer.learning_rate.assign(self._of.learning_rate)

    def _copy_out(self) -> None:
        for vector, variables in self._copies():
            for variable, part in zip(variables, _parts(vector.value, variables), strict=True):
                variable.assign(part)
        for average, part in zip(self._averages, _parts(self._statistics, self._averages), strict=True):
            average.assign(part)
        self._of.iterations.assign(self.optimizer.iterations)
        self._of.learning_rate.assign(self.optimizer.learning_rate)

    def forward_and_back(self, x: Tensor, loss_of: Callable[[Tensor], Tensor]) -> Pass:
        """Call the model for training.

        Args:
            x: what it is called with.
            loss_of: predictions → scalar, without penalties of weights.
        """
        weights = self._weights.value
        read = self._as_read(weights)
        with tf.GradientTape() as tape:
            tape.watch(read)
            values = [part for vector, of in zip(read, self._groups, strict=True) for part in _parts(vector, of)]
            with keras.StatelessScope() as scope, batch_statistics(self._norms) as measured:
                # Not by the scope's mapping, which would convert them to float32.
                for weight, value in zip(self._in_order, values, strict=True):
                    scope.add_update((weight, value))
                predictions = self._called(x, training=True)
                loss = tf.cast(loss_of(predictions), tf.float32)
            changed = [(v, scope.get_current_value(v)) for v in self._called.non_trainable_variables]
        gradients = [tf.cast(gradient, tf.float32) for gradient in tape.gradient(loss, read)]
        gradient = gradients[0] if len(gradients) == 1 else tf.concat(gradients, axis=0)
        # Such as the seed generators of dropout.
        for variable, value in changed:
            if value is not None:
                variable.assign(value)
        # The gradient of p · w² is 2 · p · w.
        penalised = self._penalties * weights
        loss += tf.reduce_sum(penalised * weights)
        return Pass(loss, predictions, gradient + 2.0 * penalised, self._followed(measured))

    def _as_read(self, weights: Tensor) -> list[Tensor]:
        """The vector of weights in parts as layers read them, a part for each group."""
        parts = tf.split(weights, [sum(map(_size, group)) for group in self._groups])
        return [tf.cast(part, precision) for part, precision in zip(parts, self._precisions, strict=True)]

    def _followed(self, measured: Sequence[tuple[Tensor, Tensor, int]]) -> Tensor:
        """The averages with a batch's means and variances, of each normalization in turn."""
        if not self._norms:
            return self._statistics.value()
        batch: list[Tensor] = []
        shares: list[float] = []
        momenta: list[float] = []
        for norm, (mean, variance, count) in zip(self._norms, measured, strict=True):
            batch += [mean, variance]
            share = 1.0 - norm.momentum
            shares += [share, share * norm.biased(count)]
            momenta += [norm.momentum, norm.momentum]
        before = self._statistics * _by_number(self._averages, momenta)
        return before + tf.concat(batch, axis=0) * _by_number(self._averages, shares)

    def apply(self, done: Pass, momentum: Tensor | None) -> Tensor:
        """Update the vectors, by a momentum where one is passed. Returns the update's learning rate, scalar float32."""
        self._statistics.assign(done.statistics)
        return apply_gradients(self.optimizer, [done.gradient], [self._weights], momentum)


def can_be_flat(called: keras.Model, optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether vectors give what single variables give.

    Args:
        called: a model as it is called in training; built.
    """
    if type(optimizer) not in _ELEMENTWISE or any(getattr(optimizer, name) for name in _OTHER_OPTIONS):
        return False
    if not isinstance(optimizer._learning_rate, keras.Variable):
        return False
    weights = called.trainable_weights
    penalised = [weight for weight in weights if weight.regularizer is not None]
    plain = all(weight.dtype == "float32" and weight.constraint is None for weight in weights)
    return (
        plain
        and all(type(weight.regularizer) is keras.regularizers.L2 for weight in penalised)
        and not any(map(_may_add_a_loss, called._flatten_layers(include_self=False)))
        and len({id(weight) for weight in weights}) == len(weights)
        and sum(map(_size, weights)) <= MOST_NUMBERS
    )


def _may_add_a_loss(layer: keras.layers.Layer) -> bool:
    """Whether a layer's call may add a loss, such as of its activations."""
    known = type(layer).__module__.split(".")[0] == "keras" or isinstance(layer, (FusedBatchNorm, WideKernel))
    return not known or getattr(layer, "activity_regularizer", None) is not None


def _rounded_weights(layer: keras.layers.Layer) -> list[Any]:
    """The weights that a layer reads in 16 bits, alone."""
    of = getattr(layer, "_of", layer)
    if type(of) not in KINDS or of.compute_dtype not in SHORT_PRECISIONS:
        return []
    return list(of.trainable_weights)


def _slots(optimizer: keras.optimizers.Optimizer, count: int) -> dict[str, list[Any]]:
    """An optimizer's lists of slots, one for each of its so many variables, by their names."""
    return {
        name: list(value)
        for name, value in vars(optimizer).items()
        if isinstance(value, list)
        and name not in ("_variables", "_trainable_variables")
        and len(value) == count
        and all(isinstance(slot, keras.Variable) for slot in value)
    }


def _size(variable: Any) -> int:
    return int(np.prod(variable.shape))


def _penalty(weight: Any) -> float:
    return 0.0 if weight.regularizer is None else float(weight.regularizer.l2)


def _by_number(variables: Sequence[Any], values: Sequence[float]) -> np.ndarray:
    """A value of each variable for each of its numbers, float32."""
    return np.repeat(np.asarray(values, np.float32), [_size(variable) for variable in variables])


def _joined(variables: Sequence[Any]) -> np.ndarray:
    if not variables:
        return np.zeros(0, np.float32)
    return np.concatenate([variable.numpy().ravel() for variable in variables])


def _concatenated(values: Sequence[Tensor]) -> Tensor:
    return tf.concat([tf.reshape(value, [-1]) for value in values], axis=0)


def _parts(vector: Tensor, variables: Sequence[Any]) -> list[Tensor]:
    """A vector's parts, in the shapes of the variables that it stands for."""
    if not variables:
        return []
    parts = tf.split(vector, [_size(variable) for variable in variables])
    return [tf.reshape(part, variable.shape) for part, variable in zip(parts, variables, strict=True)]

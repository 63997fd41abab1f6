"""A step of a model by what it was compiled with: loss, weights of losses, and metrics, as `fit` computes them.

The forward pass reads and changes the model's own variables (weights, statistics, seed generators). Loss and metrics
are computed in a scope in which the metrics' variables are values that the loop carries, so that an epoch's metrics are
a part of what is saved within it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from stopcli.data.dataset import Examples
from stopcli.data.nest import Nest, leaves, map_nest
from stopcli.errors import RequestError
from stopcli.models.twin import with_wide_kernels
from stopcli.training.loop import batch_of
from stopcli.training.step import Batch, Carry, Schedule, Step, Tensor, count_of
from stopcli.training.tf_setup import hush_short_numbers
from stopcli.training.update import apply_gradients

Augment = Callable[[Nest, Nest, Tensor], tuple[Nest, ...]]
"""(inputs, targets, int32 seed of shape [2]) → (inputs, targets) or (inputs, targets, weights), by TensorFlow's
operations. It may give another number of rows, which must not depend on values; that many then count in the loss."""

# Rows by which loss and metrics are built.
_FEW = 2
# Reductions of a loss that are the same however rows are cut into batches.
_MEANS = ("sum_over_batch_size", "mean")


class CompiledStep(Step):
    """A step by the model's own compile.

    The columns are the names that `fit` logs: `loss`, the metrics in the order in which they were compiled, the loss of
    each output where there are several.

    Args:
        model: compiled with a loss and an optimizer; built. Its methods are not called beside `call`: one that
            overrides `train_step` or `compute_loss` is trained as if it did not.
        rows: some of its rows, by which loss and metrics are built where they are not yet.
        augment: what happens to a training batch before.
        schedule: the learning rate of every update, instead of the optimizer's. A schedule in the optimizer is then
            replaced by a plain number: `optimizer` is another one, also the model's.
        momentum: likewise its momentum, which the optimizer has to have (`keras.optimizers.SGD`, momentum > 0).

    Raises:
        RequestError: a metric is not a single number, or is none of the compile's; the loss keeps a state.
    """

    def __init__(
        self,
        model: keras.Model,
        rows: Examples,
        augment: Augment | None = None,
        schedule: Schedule | None = None,
        momentum: Schedule | None = None,
    ) -> None:
        hush_short_numbers(model)
        self.model, self._called = model, with_wide_kernels(model)
        self._rows = rows.take(0, _FEW)
        self._augment, self._schedule, self._momentum = augment, schedule, momentum
        if schedule is not None:
            _use_plain_rate(model)
        self.optimizer = model.optimizer
        batch = self._prepared(batch_of(self._rows))
        model._symbolic_build(data_batch=batch)
        self._metrics = [
            model._loss_tracker,
            *([] if model._compile_metrics is None else [model._compile_metrics]),
            *model._compile_loss.metrics,
        ]
        self._variables = [variable for metric in self._metrics for variable in metric.variables]
        known = [id(variable) for metric in model._compile_loss.metrics for variable in metric.variables]
        self._variables_of_outputs = [i for i, variable in enumerate(self._variables) if id(variable) in known]
        _check_metrics(model, self._metrics)
        for metric in self._metrics:
            metric.reset_state()
        self._initial = tuple(variable.numpy() for variable in self._variables)
        self.columns = tuple(self._results())
        if not model.trainable_weights:
            raise RequestError("model: received one without weights that can be trained, expected some")
        predictions, self._moving, uneven = _measured_once(model, batch)
        _check_loss_keeps_nothing(model, batch, predictions, self._variables)
        self.rows_are_independent = not uneven and _rows_are_independent(model, batch, predictions)

    @property
    def initial(self) -> Carry:
        """The metrics' variables as they are at the start of an epoch."""
        return tuple(map(tf.constant, self._initial))

    def train(self, batch: Batch, update: Tensor, augment_seed: Tensor, carry: Carry) -> tuple[Carry, Tensor, Tensor]:
        batch = self._prepared(batch)
        if self._augment is not None:
            batch = self._prepared(self._augmented(batch, tf.stack([augment_seed, update])))
        if self._schedule is not None:
            self.optimizer.learning_rate.assign(self._schedule(update))
        weights = self.model.trainable_weights
        with tf.GradientTape() as tape:
            loss, carry = self._measured(batch, carry, training=True)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, weights)
        momentum = None if self._momentum is None else self._momentum(update)
        learning_rate = apply_gradients(self.optimizer, gradients, weights, momentum)
        return carry, tf.cast(loss, tf.float32), learning_rate

    def evaluate(self, batch: Batch, carry: Carry) -> Carry:
        """Measure rows that are not trained on; whatever is measured, training goes on as if it had not been."""
        before = [tf.identity(variable.value) for variable in self._moving]
        carry = self._measured(self._prepared(batch), carry, training=False)[1]
        for variable, value in zip(self._moving, before, strict=True):
            variable.assign(value)
        return carry

    def finish(self, carry: Carry, rows: int) -> Tensor:
        with keras.StatelessScope(list(zip(self._variables, carry, strict=True))):
            return tf.stack([tf.cast(value, tf.float32) for value in self._results().values()])

    def of(self, model: keras.Model) -> Step:
        return CompiledStep(model, self._rows, self._augment, self._schedule, self._momentum)

    def _measured(self, batch: Batch, carry: Carry, *, training: bool) -> tuple[Tensor, Carry]:
        """The loss of a batch, and the carry with it."""
        x, y, weight = (*batch, None)[:3]
        # What is measured is what the model's own layers compute.
        called = self._called if training else self.model
        predictions = called(x, training=training)
        # Outside the scope, where those of the forward pass and the real weights are.
        further = [tf.reduce_sum(tf.cast(loss, tf.float32)) for loss in called.losses]
        rows, of_outputs = count_of(x), self._variables_of_outputs
        values = [tf.zeros_like(value) if i in of_outputs else value for i, value in enumerate(carry)]
        with keras.StatelessScope(list(zip(self._variables, values, strict=True))) as scope:
            loss = self.model._compile_loss(y, predictions, weight)
            if further:
                loss = tf.add_n([loss, *further])
            self.model._loss_tracker.update_state(loss, sample_weight=tf.constant(rows))
            if self.model._compile_metrics is not None:
                self.model._compile_metrics.update_state(y, predictions, weight)
            values = [tf.convert_to_tensor(scope.get_current_value(variable)) for variable in self._variables]
        # Sum and count of an output's loss, which were weighted by the rows here. `fit`, which compiles for any number
        # of them, takes the mean over batches, a smaller last one like all others.
        for i in of_outputs:
            values[i] = carry[i] + values[i] / rows
        return loss, tuple(values)

    def _results(self) -> dict[str, Tensor]:
        """What the metrics come to, by the names that `fit` logs."""
        results: dict[str, Tensor] = {}
        for metric in self._metrics:
            value = metric.result()
            results |= value if isinstance(value, dict) else {metric.name: value}
        return results

    def prepare(self, x: Nest) -> Nest:
        """Inputs as `fit` gives them to a model: floating point numbers in Keras's precision, a list where the model
        has a list of inputs."""
        x = map_nest(_as_floatx, x)
        return list(x) if isinstance(x, tuple) and isinstance(_inputs_of(self.model), list) else x

    def _prepared(self, batch: Batch) -> Batch:
        x, *others = batch
        return (self.prepare(x), *map_nest(_as_floatx, others))

    def _augmented(self, batch: Batch, seed: Tensor) -> Batch:
        x, y, *weight = batch
        assert self._augment is not None
        result = self._augment(x, y, seed)
        if not isinstance(result, (tuple, list)) or len(result) not in (2, 3):
            raise RequestError("augment: expected (x, y) or (x, y, weight) back", hint=_shape_of(result))
        counts = {array.shape[0] for array in leaves(tuple(result))}
        if len(counts) > 1 or None in counts:
            shapes = ", ".join(str(list(array.shape)) for array in leaves(tuple(result)))
            raise RequestError(
                f"augment: received arrays of the shapes {shapes}, expected the same number of rows in each",
                hint="It must not depend on values: batches are compiled for it.",
            )
        self._check_targets(y, result[1])
        if weight and len(result) == 2:
            if counts != {count_of(x)}:
                raise RequestError(
                    f"augment: received {counts.pop()} rows of {count_of(x)} weighted ones, expected their weights too",
                    hint="Return (x, y, weight).",
                )
            return (*result, *weight)
        return tuple(result)

    def _check_targets(self, before: Nest, now: Nest) -> None:
        """Raise RequestError where augmented targets have another shape, which a loss of Keras would repeat to fit."""
        losses = [entry.loss for entry in self.model._compile_loss._flat_losses]
        if not all(_is_keras(type(loss)) and _is_keras(_function_of(loss) or type(loss)) for loss in losses):
            return
        for array, expected in zip(leaves(now), leaves(before), strict=False):
            shape = _row_shape(array)
            if None not in shape and shape != _row_shape(expected):
                raise RequestError(
                    f"augment: received targets whose rows have the shape {list(array.shape[1:])}, expected "
                    f"{list(expected.shape[1:])}, as data() gives them"
                )


def _row_shape(array: Tensor) -> list[int | None]:
    """Without a last axis of size 1, which Keras adds or drops."""
    shape = list(array.shape[1:])
    return shape[:-1] if shape[-1:] == [1] else shape


def _inputs_of(model: keras.Model) -> Nest:
    """The symbolic inputs of a model as they were defined; None where it was not by them."""
    functional = getattr(model, "_functional", None) or model
    return getattr(functional, "_inputs_struct", None)


def _as_floatx(array: Any) -> Tensor:
    tensor = tf.convert_to_tensor(array)
    return tf.cast(tensor, keras.config.floatx()) if tensor.dtype.is_floating else tensor


def _shape_of(value: object) -> str:
    return f"It returned {f'{len(value)} values' if isinstance(value, (tuple, list)) else type(value).__name__}."


def _check_metrics(model: keras.Model, metrics: list[Any]) -> None:
    """Raise RequestError for what cannot be a column."""
    foreign = [metric.name for metric in model.metrics if all(metric is not known for known in metrics)]
    if foreign:
        raise RequestError(
            f"metrics: the model has some that it was not compiled with: {', '.join(foreign)}",
            hint="Name them in compile(metrics=…).",
        )
    for metric in metrics:
        value = metric.result()
        for name, number in value.items() if isinstance(value, dict) else [(metric.name, value)]:
            if isinstance(number, dict) or np.shape(number) != ():
                shape = "several values" if isinstance(number, dict) else f"an array of shape {list(np.shape(number))}"
                raise RequestError(
                    f"metrics: {name} is {shape}, expected a single number",
                    hint="Of one with a value for each class, name how they are averaged, such as average='macro'.",
                )


def _check_loss_keeps_nothing(model: keras.Model, batch: Batch, predictions: Nest, known: list[Any]) -> None:
    """Raise RequestError where the loss changes a variable, such as a counter or a generator of random numbers: it is
    computed in a scope out of which only those of the metrics are taken.

    Args:
        known: the variables of the metrics.
    """
    y, weight = (*batch[1:], None)[:2]
    with keras.StatelessScope() as scope:
        model._compile_loss(y, predictions, weight)
    if scope.state_mapping.keys() - {id(variable) for variable in known}:
        raise RequestError(
            "loss: received one that changes a variable or draws random numbers, expected a function of targets and "
            "predictions",
            hint="A layer may keep a state, and add a loss that follows from it (add_loss).",
        )


def _measured_once(model: keras.Model, batch: Batch) -> tuple[Nest, list[Any], bool]:
    """Call a model as for a measurement. It is as it was afterwards.

    Returns:
        What it predicts; the variables that a call changes (a recurrent layer with dropout draws its noise also where
        it does not use it); and whether the loss of some rows depends on what shares their batch: Keras divides by the
        rows that are not masked, and adds up the penalties of activations.
    """
    before = [variable.numpy() for variable in model.non_trainable_variables]
    predictions = model(batch[0], training=False)
    moving = []
    for variable, value in zip(model.non_trainable_variables, before, strict=True):
        if not np.array_equal(variable.numpy(), value):
            moving.append(variable)
            variable.assign(value)
    masked = any(getattr(output, "_keras_mask", None) is not None for output in leaves(predictions))
    return predictions, moving, masked or any(layer._losses for layer in _layers(model))


def _rows_are_independent(model: keras.Model, batch: Batch, predictions: Nest) -> bool:
    """Whether loss and metrics are the same however rows are cut into batches. What is not Keras's own may look at a
    whole batch; its rows are measured in the batches that `fit` takes, as are several outputs, whose losses it averages
    over batches."""
    if model._compile_loss.metrics:
        return False
    metrics = [] if model._compile_metrics is None else model._compile_metrics.metrics
    losses = [loss.loss for loss in model._compile_loss._flat_losses]
    operations = list(getattr(model, "operations", ()))
    functions = [function for item in (*losses, *metrics) if (function := _function_of(item)) is not None]
    if not all(map(_is_keras, [*map(type, (*losses, *metrics)), *functions])):
        return False
    if any(loss.reduction not in _MEANS for loss in losses):
        return False
    targets, predicted = leaves(batch[1]), leaves(predictions)
    if len(targets) != 1 or len(predicted) != 1:
        return False
    # As Keras calls them: a loss in its own dtype.
    calls = [(loss.call, tf.cast(targets[0], loss.dtype), tf.cast(predicted[0], loss.dtype)) for loss in losses]
    calls += [
        (functools.partial(metric._fn, **metric._fn_kwargs), targets[0], predicted[0])
        for metric in metrics
        if hasattr(metric, "_fn_kwargs")
    ]
    if not all(_is_by_row(*call) for call in calls):
        return False
    if not all(isinstance(operation, keras.layers.Layer) for operation in operations):
        return False
    return all(_is_keras(type(layer)) and not isinstance(layer, keras.layers.Lambda) for layer in _layers(model))


def _is_by_row(call: Callable[[Tensor, Tensor], Tensor], targets: Tensor, predicted: Tensor) -> bool:
    """Whether what is computed has a value for each row, by which its mean is taken. Dice and Tversky have one for the
    whole batch; what leaves a class out (`ignore_class`), and circle, which compares rows with each other, have a mask,
    and Keras divides by what it leaves."""
    # By several numbers of rows, because there may be as many classes.
    for rows in range(1, _FEW + 1):
        values = call(targets[:rows], predicted[:rows])
        if not values.shape.rank or values.shape[0] != rows or getattr(values, "_keras_mask", None) is not None:
            return False
    return True


def _layers(model: keras.Model) -> Iterator[Any]:
    yield from model._flatten_layers()


def _function_of(item: Any) -> Any:
    """The function that a loss or a metric wraps; None where it is none."""
    return getattr(item, "fn", None) or getattr(item, "_fn", None)


def _is_keras(definition: Any) -> bool:
    """Whether a class or a function is one of Keras."""
    module: str = getattr(definition, "__module__", None) or ""
    return module.split(".")[0] == "keras"


def _use_plain_rate(model: keras.Model) -> None:
    """Replace a schedule of learning rates in a model's optimizer by its first rate."""
    optimizer = model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if isinstance(inner._learning_rate, keras.Variable):
        return
    config = inner.get_config()
    config["learning_rate"] = float(inner.learning_rate)
    plain = type(inner).from_config(config)
    if inner is not optimizer:
        plain = keras.optimizers.LossScaleOptimizer(plain, initial_scale=optimizer.initial_scale)
    model.optimizer = plain

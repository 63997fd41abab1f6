"""Batch normalization by TensorFlow's fused kernel, for training models of standard Keras layers faster.

Keras 3 composes its `BatchNormalization` of a dozen small operations, each of which goes through memory once more. The
fused kernel does the same in one, and TensorFlow joins it with the ReLU that follows. The one difference is corrected
here: the kernel reports a batch's variance with n − 1 in the denominator, where Keras averages the one with n.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Tensor = Any

# The kernel adds at least this to the variance.
_LEAST_EPSILON = 1.001e-5


def can_be_fused(layer: keras.layers.Layer) -> bool:
    """Whether `FusedBatchNorm` can take a layer's place: that of a `BatchNormalization` over the last of four axes.

    Others (dense, synchronized, without scale or centre) compute as they are.
    """
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.trainable
        and not layer.synchronized
        and layer.scale
        and layer.center
        and layer.epsilon >= _LEAST_EPSILON
        and layer.built
        # One that is called twice has several inputs.
        and len(layer._inbound_nodes) == 1
        and len(layer.input.shape) == 4
        and layer.axis in (-1, 3)
        and layer.activity_regularizer is None
    )


class FusedBatchNorm(keras.layers.Layer):  # type: ignore[misc]
    """Computes what a built `keras.layers.BatchNormalization` computes, from its variables.

    Args:
        layer: over the last axis of [rows, height, width, channels].
    """

    def __init__(self, layer: keras.layers.BatchNormalization) -> None:
        # Scale and statistics stay float32 under mixed precision, as the kernel wants them.
        super().__init__(name=f"{layer.name}_fused", dtype=layer.dtype_policy, autocast=False)
        self._of = layer
        # Where a block of `batch_statistics` takes them: of each call mean, variance with n − 1, and n.
        self._taken: tuple[Tensor, Tensor, int] | None = None
        self._takes = False

    @property
    def averages(self) -> tuple[keras.Variable, keras.Variable]:
        """The moving mean and variance."""
        return self._of.moving_mean, self._of.moving_variance

    @property
    def momentum(self) -> float:
        """What is kept of the averages in a step."""
        momentum: float = self._of.momentum
        return momentum

    def biased(self, count: int) -> float:
        """What the kernel's variance of so many values is multiplied by to be the one with n in the denominator."""
        # One value a channel has variance 0 either way; the kernel divides by max(n − 1, 1) there.
        return max(count - 1, 1) / count

    def call(self, inputs: Tensor, training: bool = False, mask: Tensor = None) -> Tensor:
        layer = self._of
        scale, offset = layer.gamma.value, layer.beta.value
        if not training:
            mean, variance = layer.moving_mean.value, layer.moving_variance.value
            return _normalize(inputs, scale, offset, mean, variance, layer.epsilon, training=False)[0]
        nothing = tf.zeros([0], tf.float32)
        outputs, mean, variance = _normalize(inputs, scale, offset, nothing, nothing, layer.epsilon, training=True)
        if self._takes:
            self._taken = mean, variance, int(np.prod(inputs.shape[:-1]))
            return outputs
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], tf.float32)
        # One value a channel has variance 0 either way; the kernel divides by max(n − 1, 1) there.
        biased = variance * (tf.maximum(count - 1.0, 1.0) / count)
        for moving, batch in ((layer.moving_mean, mean), (layer.moving_variance, biased)):
            moving.assign(moving.value * layer.momentum + batch * (1.0 - layer.momentum))
        return outputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


@contextlib.contextmanager
def batch_statistics(layers: Sequence[FusedBatchNorm]) -> Iterator[list[tuple[Tensor, Tensor, int]]]:
    """Have the calls that the block traces leave the layers' averages as they are.

    Yields:
        A list that holds, after the block, for each layer the mean and the variance of its batch (with n − 1 in the
        denominator), float32 [channels], and n.
    """
    measured: list[tuple[Tensor, Tensor, int]] = []
    for layer in layers:
        layer._takes = True
    try:
        yield measured
        for layer in layers:
            assert layer._taken is not None, "every layer is called"
            measured.append(layer._taken)
    finally:
        for layer in layers:
            layer._takes, layer._taken = False, None


def _normalize(
    x: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor, epsilon: float, *, training: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The kernel: (outputs, mean, variance with n − 1)."""
    result = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=training
    )
    return result.y, result.batch_mean, result.batch_variance

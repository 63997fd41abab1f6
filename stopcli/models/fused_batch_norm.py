"""Batch normalization by TensorFlow's fused kernel, for training models of standard Keras layers faster.

Keras 3 composes its `BatchNormalization` of a dozen small operations, each of which goes through memory once more. The
fused kernel does the same in one, and TensorFlow joins it with the ReLU that follows. The one difference is corrected
here: the kernel reports a batch's variance with n − 1 in the denominator, where Keras averages the one with n.
"""

from typing import Any

import keras
import tensorflow as tf

Tensor = Any

# The kernel adds at least this to the variance.
_LEAST_EPSILON = 1.001e-5


def can_be_fused(layer: keras.layers.Layer) -> bool:
    """Whether `FusedBatchNorm` can take a layer's place: that of a `BatchNormalization` over the last of four axes. Others
    (dense, synchronized, without scale or centre) compute as they are."""
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

    def call(self, inputs: Tensor, training: bool = False, mask: Tensor = None) -> Tensor:
        layer = self._of
        scale, offset = layer.gamma.value, layer.beta.value
        if not training:
            mean, variance = layer.moving_mean.value, layer.moving_variance.value
            return _normalize(inputs, scale, offset, mean, variance, layer.epsilon, training=False)[0]
        nothing = tf.zeros([0], tf.float32)
        outputs, mean, variance = _normalize(inputs, scale, offset, nothing, nothing, layer.epsilon, training=True)
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], tf.float32)
        # One value a channel has variance 0 either way; the kernel divides by max(n − 1, 1) there.
        biased = variance * (tf.maximum(count - 1.0, 1.0) / count)
        for moving, batch in ((layer.moving_mean, mean), (layer.moving_variance, biased)):
            moving.assign(moving.value * layer.momentum + batch * (1.0 - layer.momentum))
        return outputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


def _normalize(
    x: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor, epsilon: float, *, training: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The kernel: (outputs, mean, variance with n − 1)."""
    result = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=training
    )
    return result.y, result.batch_mean, result.batch_variance

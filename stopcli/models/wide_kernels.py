"""Layers of 16-bit numbers that are computed by kernels of 32 bits, for processors that do not multiply such numbers.

There TensorFlow's own kernels convert each number by itself: a convolution's gradients in bfloat16 take 13 times as
long as in float32. Here whole arrays are converted before and after a float32 kernel, which gives what a processor with
bfloat16 computes: products of rounded numbers, added up in float32, and rounded once.
"""

from typing import Any

import keras
import tensorflow as tf

from stopcli.processor import computes_in

Tensor = Any

# Layers that read all of their weights in the precision that they compute in.
KINDS = (keras.layers.Conv2D, keras.layers.Dense)
SHORT_PRECISIONS = ("bfloat16", "float16")


def is_wide(layer: keras.layers.Layer) -> bool:
    """Whether `WideKernel` can take a layer's place, and is faster where this process computes."""
    return (
        type(layer) in KINDS
        and layer.built
        and layer.dtype_policy.name in ("mixed_bfloat16", "mixed_float16")
        and layer.activity_regularizer is None
        and not layer.lora_enabled
        and layer.quantization_mode is None
        # One that is called twice has several inputs.
        and len(layer._inbound_nodes) == 1
        and not computes_in(layer.compute_dtype)
        and not tf.config.list_physical_devices("GPU")
    )


class WideKernel(keras.layers.Layer):  # type: ignore[misc]
    """Computes what a built layer of 16-bit numbers computes, from its variables, with a float32 kernel.

    Args:
        layer: `keras.layers.Conv2D` or `keras.layers.Dense`, with a mixed dtype policy.
    """

    def __init__(self, layer: Any) -> None:
        # The variables stay float32 until they are rounded here.
        super().__init__(name=f"{layer.name}_wide", dtype=layer.dtype_policy, autocast=False)
        self._of = layer
        # A mask goes through a dense layer to those after it, and to the loss.
        self.supports_masking = layer.supports_masking

    def call(self, inputs: Tensor) -> Tensor:
        layer, precision = self._of, self._of.compute_dtype
        x, kernel = _rounded(inputs, precision), _rounded(layer.kernel, precision)
        if isinstance(layer, keras.layers.Dense):
            outputs = keras.ops.matmul(x, kernel)
        else:
            outputs = layer.convolution_op(x, kernel)
        if layer.use_bias:
            # An operation that TensorFlow joins with the convolution.
            data_format = "NCHW" if getattr(layer, "data_format", "") == "channels_first" else "NHWC"
            outputs = tf.nn.bias_add(outputs, _rounded(layer.bias, precision), data_format)
        outputs = tf.cast(outputs, precision)
        return outputs if layer.activation is None else layer.activation(outputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        shape: tuple[int | None, ...] = self._of.compute_output_shape(input_shape)
        return shape


def _rounded(x: Tensor, precision: str) -> Tensor:
    """A tensor rounded to a precision, float32. Its gradient is rounded as well."""
    return tf.cast(tf.cast(x, precision), tf.float32)

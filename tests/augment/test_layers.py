"""The public layers: active in training alone, saved with every argument, at home in a plain Keras model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stopcli

pytestmark = pytest.mark.usefixtures("tensorflow")

LAYERS = {
    "RandomErasing": {
        "p": 0.9,
        "area": (0.1, 0.2),
        "aspect": (0.5, 2.0),
        "value": (0.2, 0.3),
        "pixel_level": True,
        "log_aspect": True,
        "seed": 4,
    },
    "Cutout": {"size": 5, "value": 0.5, "seed": 4},
    "RandomShift": {"pixels": 3, "seed": 4},
}


def images() -> np.ndarray:
    return np.random.default_rng(0).random((32, 16, 16, 3), np.float32)


def make(name: str) -> Any:
    return getattr(stopcli, name)(**LAYERS[name])


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_acts_in_training_alone(name: str) -> None:
    layer, x = make(name), images()
    assert (layer(x, training=False).numpy() == x).all()
    first, second = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    assert first.shape == x.shape
    assert (first != x).any()
    assert (first != second).any()
    # The seed fixes the sequence; another layer with it draws the same.
    assert (make(name)(x, training=True).numpy() == first).all()
    one = make(name)(x[0], training=True).numpy()
    assert one.shape == x[0].shape


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_saved_with_all_of_its_arguments(name: str, tmp_path: Path) -> None:
    import keras

    config = make(name).get_config()
    assert {key: config[key] for key in LAYERS[name]} == LAYERS[name]
    model = keras.Sequential([keras.Input((16, 16, 3)), make(name), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    read = again.layers[0].get_config()
    assert {key: tuple(v) if isinstance(v := read[key], list) else v for key in LAYERS[name]} == LAYERS[name]
    np.testing.assert_array_equal(again.predict(images(), verbose=0), model.predict(images(), verbose=0))


def test_the_layers_work_in_fit_and_in_a_data_set() -> None:
    import keras
    import tensorflow as tf

    stack = [make(name) for name in LAYERS]
    model = keras.Sequential([keras.Input((16, 16, 3)), *stack, keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(images(), np.arange(32) % 2, batch_size=12, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    layer = make("Cutout")
    data = tf.data.Dataset.from_tensor_slices(images()).batch(12).map(lambda x: layer(x, training=True))
    assert sum(int((batch == 0.5).numpy().any(axis=(1, 2, 3)).sum()) for batch in data) == 32


@pytest.mark.parametrize("name", LAYERS)
def test_one_image_is_changed_in_a_graph_as_it_is_outside(name: str) -> None:
    import tensorflow as tf

    batch = images()[:1]
    expected = make(name)(batch, training=True).numpy()
    assert (expected != batch).any()

    def in_function(one: np.ndarray, layer: Any, *, compiled: bool) -> Any:
        return tf.function(lambda x: layer(x, training=True), jit_compile=compiled)(tf.constant(one))

    def mapped(data: Any, layer: Any) -> Any:
        return next(iter(data.map(lambda x: layer(x, training=True))))

    single = tf.data.Dataset.from_tensors(batch[0])
    for changed in (
        in_function(batch, make(name), compiled=False),
        in_function(batch, make(name), compiled=True),
        mapped(single, make(name)),
        mapped(single.batch(1, drop_remainder=True), make(name)),
    ):
        np.testing.assert_allclose(changed.numpy().reshape(expected.shape), expected, rtol=1e-6)
    whole = mapped(tf.data.Dataset.from_tensors((batch[0] * 255).astype(np.uint8)), make(name))
    assert whole.dtype == tf.uint8


@pytest.mark.parametrize("compiled", [True, False])
def test_the_layers_train_on_batches_of_one_image_at_either_precision(compiled: bool) -> None:
    import keras

    policy = "mixed_float16" if compiled else "float32"
    stack = [getattr(stopcli, name)(**LAYERS[name], dtype=policy) for name in LAYERS]
    last = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    # Height and width are known of the images alone.
    size = 16 if compiled else None
    model = keras.Sequential([keras.Input(batch_shape=(1, size, size, 3)), *stack, *last])
    model.compile("sgd", "mse", jit_compile=compiled)
    history = model.fit(images()[:3], np.zeros((3, 2)), batch_size=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()


AXES = r"expected \[images, height, width, channels\], or \[height, width, channels\] with up to 4 channels"


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("training", [True, False])
def test_images_without_channels_are_refused(name: str, training: bool) -> None:
    import keras

    gray = images()[..., 0]
    for shaped in (gray[0], gray, gray[:, None, None, :, None]):
        with pytest.raises(
            ValueError, match=rf"images: received shape \({', '.join(map(str, shaped.shape))}\), {AXES}"
        ):
            make(name)(shaped, training=training)
    with pytest.raises(ValueError, match=rf"images: received shape \(None, 16, 16\), {AXES}"):
        keras.Sequential([keras.Input((16, 16)), make(name)])
    assert make(name)(gray[..., None], training=training).shape == (32, 16, 16, 1)
    assert make(name)(gray[0, ..., None], training=training).shape == (16, 16, 1)


@pytest.mark.parametrize("name", [*LAYERS, "CutoutCopies"])
def test_images_of_unknown_size_are_refused_in_training_alone(name: str) -> None:
    import tensorflow as tf

    layer, known = getattr(stopcli, name)(), tf.TensorSpec((None, None, None, 3))
    with pytest.raises(ValueError, match=r"images: received shape \(None, None, None, 3\), expected a known height"):
        tf.function(lambda x: layer(x, training=True)).get_concrete_function(known)
    tf.function(lambda x: layer(x, training=False)).get_concrete_function(known)


@pytest.mark.parametrize(
    ("name", "changed", "told"),
    [
        ("RandomErasing", {"p": 1.5}, "p: received 1.5, expected 0 to 1"),
        ("RandomErasing", {"p": float("nan")}, "p: received nan"),
        ("RandomErasing", {"area": (0.4, 0.02)}, r"area: received \(0.4, 0.02\), expected LOW ≤ HIGH within \(0, 1\]"),
        ("RandomErasing", {"area": (0.0, 0.4)}, "area: received"),
        ("RandomErasing", {"area": (0.2, 1.4)}, "area: received"),
        ("RandomErasing", {"aspect": (0.0, 1.0)}, "aspect: received"),
        ("RandomErasing", {"aspect": (1.0, float("nan"))}, "aspect: received .* expected two numbers"),
        ("RandomErasing", {"value": (1.0, 0.0)}, "value: received"),
        ("Cutout", {"size": 0}, "size: received 0, expected a whole number of pixels, 1 or more"),
        ("Cutout", {"size": 2.5}, "size: received 2.5"),
        ("RandomShift", {"pixels": -1}, "pixels: received -1, expected a whole number, 0 or more"),
    ],
)
def test_arguments_out_of_range_are_refused(name: str, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        getattr(stopcli, name)(**changed)


def test_boxes_that_never_fit_are_refused_instead_of_drawn_for_ever() -> None:
    layer = stopcli.RandomErasing(area=(0.9, 1.0), aspect=(8.0, 10.0))
    with pytest.raises(ValueError, match="expected boxes that fit into 16 × 16"):
        layer(images(), training=True)

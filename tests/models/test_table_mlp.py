from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stopcli.data.dataset import Examples

pytestmark = pytest.mark.usefixtures("tensorflow")

RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.normal(size=(64, 3)).astype(np.float32)
INDICES = RANDOM.integers(0, 5, (64, 2)).astype(np.int32)


def seeded(*arguments: Any) -> Any:
    import keras

    from stopcli.models.table_mlp import table_mlp

    keras.utils.set_random_seed(3)
    return table_mlp(*arguments)


def test_layers_by_numpy() -> None:
    model = seeded(3, (4, 9), 0, (5,), 0.5, 0.01, 20.0, 4.0)
    weights = [variable.numpy() for variable in model.variables if "seed" not in variable.path]
    # For 4 and 9 words and one that is none of them, vectors of √4 + 1 and √9 + 1 numbers.
    shapes = [(5, 3), (10, 4), (3 + 3 + 4, 5), (5,), (5, 1), (1,)]
    assert [array.shape for array in weights] == shapes
    first, second, hidden, hidden_bias, output, output_bias = weights
    x = np.concatenate([NUMBERS, first[INDICES[:, 0]], second[INDICES[:, 1]]], axis=1)
    expected = (np.maximum(x @ hidden + hidden_bias, 0) @ output + output_bias) * 4 + 20
    np.testing.assert_allclose(model({"numbers": NUMBERS, "words": INDICES}), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("outputs", "shape", "columns"),
    [(0, 1, ("loss", "rmse", "mae")), (2, 1, ("loss", "accuracy", "auc")), (3, 3, ("loss", "accuracy"))],
)
def test_a_model_trains_in_both_loops_as_by_fit(outputs: int, shape: int, columns: tuple[str, ...]) -> None:
    from stopcli.training.compiled_step import CompiledStep
    from stopcli.training.epochs_loop import EpochsLoop
    from stopcli.training.steps_loop import StepsLoop

    y = NUMBERS[:, 0] * 3 + 7 if outputs == 0 else (INDICES[:, 0] % outputs).astype(np.int32)
    x: Any = {"numbers": NUMBERS, "words": INDICES} if outputs else NUMBERS
    vocabularies = (4, 4) if outputs else ()
    rows = Examples(x, y)
    fitted = seeded(3, vocabularies, outputs, (6, 6), 0.0, 0.02, 7.0, 3.0)
    assert fitted.output_shape == (None, shape)
    history = fitted.fit(x, y, batch_size=64, epochs=3, shuffle=False, verbose=0).history
    # Of all rows in one batch, whose order does not matter.
    loops: tuple[tuple[Any, dict[str, Any]], ...] = (
        (EpochsLoop, {"jit_compile": True}),
        (StepsLoop, {"jit_compile": False}),
    )
    for kind, options in loops if outputs == 0 else loops[outputs - 2 : outputs - 1]:
        step = CompiledStep(seeded(3, vocabularies, outputs, (6, 6), 0.0, 0.02, 7.0, 3.0), rows)
        loop = kind(step, train=rows, batch_size=64, seed=0, **options)
        values: list[np.ndarray] = []
        while len(values) < 3:
            block = loop.advance(len(values) + 1, 3 - len(values))
            values.extend([] if block is None else block.metrics)
        assert step.columns == columns
        for i, name in enumerate(step.columns):
            np.testing.assert_allclose(np.stack(values)[:, i], history[name], rtol=1e-4)


@pytest.mark.parametrize("unit", [1e-15, 1e-5, 1e5, 1e12])
def test_targets_of_any_size_are_learned_alike(unit: float) -> None:
    """Adam moves every weight by its learning rate in the first steps, whatever the gradients' size: in float32 their
    squares are 0 or infinite for some of these targets."""
    import tensorflow as tf

    y = (NUMBERS @ np.array([1.0, -2.0, 0.5], np.float32)) * np.float32(unit)
    kernels = []
    for scale in (1.0, unit):
        targets = y / np.float32(unit) * np.float32(scale)
        model = seeded(3, (), 0, (), 0.0, 0.02, 0.0, float(np.std(targets, dtype=float)))
        for _ in range(3):
            with tf.GradientTape() as tape:
                loss = model.compute_loss(NUMBERS, tf.constant(targets), model(NUMBERS))
            model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        kernels.append(model.layers[1].kernel.numpy())
    np.testing.assert_allclose(kernels[1], kernels[0], rtol=1e-3)

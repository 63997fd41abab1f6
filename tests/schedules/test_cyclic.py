"""Cyclical learning rates against PyTorch's documented formulas and the reference's, in plain Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")

BASE, MAXIMUM, GAMMA = 1e-7, 1e-2, 0.99994


def reference(it: int, step_size: int, mode: str) -> float:
    """bckenstler/CLR's formula (REFERENCE: L. Smith, arXiv 1506.01186)."""
    cycle = math.floor(1 + it / (2 * step_size))
    x = abs(it / step_size - 2 * cycle + 1)
    scale = {"triangular": 1.0, "triangular2": 0.5 ** (cycle - 1), "exp_range": GAMMA**it}[mode]
    return BASE + (MAXIMUM - BASE) * max(0.0, 1 - x) * scale


def pytorch(it: int, up: int, down: int, mode: str) -> float:
    """`torch.optim.lr_scheduler.CyclicLR`, as its documentation and source define it."""
    total = float(up + down)
    ratio = up / total
    cycle = math.floor(1 + it / total)
    x = 1.0 + it / total - cycle
    scale = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
    factor = {"triangular": 1.0, "triangular2": 0.5 ** (cycle - 1), "exp_range": GAMMA**it}[mode]
    return BASE + (MAXIMUM - BASE) * scale * factor


def rates(count: int, **options: Any) -> Any:
    import tensorflow as tf

    from stopcli.schedules.cyclic import CyclicLR

    return CyclicLR(BASE, MAXIMUM, **options)(tf.range(count)).numpy()


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
@pytest.mark.parametrize("step_size", [1, 7, 782, 2000])
def test_ten_thousand_updates_have_the_documented_rates(mode: str, step_size: int) -> None:
    found = rates(10_000, step_size=step_size, mode=mode, gamma=GAMMA)
    assert found.dtype == np.float32
    for expected in (
        [reference(it, step_size, mode) for it in range(10_000)],
        [pytorch(it, step_size, step_size, mode) for it in range(10_000)],
    ):
        assert np.max(np.abs(found - np.array(expected))) <= 1e-7 * MAXIMUM
    assert found[0] == np.float32(BASE)


def test_the_way_down_can_have_another_length() -> None:
    found = rates(10_000, step_size=300, step_size_down=1100, mode="triangular2")
    expected = [pytorch(it, 300, 1100, "triangular2") for it in range(10_000)]
    assert np.max(np.abs(found - np.array(expected))) <= 1e-7 * MAXIMUM


def test_it_is_saved_with_an_optimizer_and_comes_back() -> None:
    import keras

    from stopcli.schedules.cyclic import CyclicLR

    schedule = CyclicLR(0.1, 0.5, 4, "exp_range", 0.9, 6)
    saved = keras.optimizers.serialize(keras.optimizers.SGD(schedule))
    again = keras.optimizers.deserialize(saved)._learning_rate
    assert isinstance(again, CyclicLR)
    assert again.get_config() == schedule.get_config()
    assert [float(again(it)) for it in range(30)] == [float(schedule(it)) for it in range(30)]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"maximum": BASE}, "base, maximum: received"),
        ({"base": -1.0}, "base, maximum: received"),
        ({"step_size": 0}, "step_size: received"),
        ({"step_size_down": 0}, "step_size: received"),
        ({"mode": "square"}, "mode: received 'square', expected one of triangular, triangular2, exp_range"),
        ({"gamma": 0.0}, "gamma: received"),
        ({"gamma": 1.5}, "gamma: received"),
    ],
)
def test_arguments_out_of_range_are_refused(changed: dict[str, Any], told: str) -> None:
    from stopcli.schedules.cyclic import CyclicLR

    with pytest.raises(ValueError, match=told):
        CyclicLR(**{"base": BASE, "maximum": MAXIMUM, "step_size": 4, **changed})


def halved(cycle: Any) -> Any:
    """A scale of one's own: triangular2's, written otherwise."""
    return 2.0 / (2.0**cycle)


def fading(it: Any) -> Any:
    return GAMMA**it


@pytest.mark.parametrize(
    ("scale", "scale_by", "mode"), [(halved, "cycle", "triangular2"), (fading, "iteration", "exp_range")]
)
def test_a_function_of_ones_own_scales_the_cycles(scale: Any, scale_by: str, mode: str) -> None:
    found = rates(10_000, step_size=782, scale=scale, scale_by=scale_by)
    expected = np.asarray([reference(it, 782, mode) for it in range(10_000)])
    assert np.max(np.abs(found - expected)) <= 1e-7 * MAXIMUM


def test_functions_without_a_name_are_refused() -> None:
    from stopcli import CyclicLR

    def inner(cycle: Any) -> Any:
        return cycle

    with pytest.raises(ValueError, match=r"scale: received a lambda, expected a function of a module"):
        CyclicLR(BASE, MAXIMUM, 4, scale=lambda cycle: cycle)
    with pytest.raises(ValueError, match=r"scale: received .*inner.*, expected"):
        CyclicLR(BASE, MAXIMUM, 4, scale=inner)
    with pytest.raises(ValueError, match="scale_by: received 'epoch', expected one of cycle, iteration"):
        CyclicLR(BASE, MAXIMUM, 4, scale=halved, scale_by="epoch")


def test_a_registered_function_is_saved_by_its_name() -> None:
    import keras

    from stopcli import CyclicLR

    @keras.saving.register_keras_serializable(package="stopcli_tests")
    def square(cycle: Any) -> Any:
        return 1.0 / cycle**2

    schedule = CyclicLR(BASE, MAXIMUM, 4, scale=square)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert again.scale is square
    assert [float(again(it)) for it in range(30)] == [float(schedule(it)) for it in range(30)]


def test_momentum_mirrors_the_cycle_as_in_pytorch() -> None:
    import keras
    import tensorflow as tf

    from stopcli import CyclicLR, CyclicMomentum

    schedule = CyclicLR(BASE, MAXIMUM, 7, "triangular2", step_size_down=3)
    momentum = CyclicMomentum(schedule, 0.8, 0.9)
    found = momentum(tf.range(1000)).numpy()
    # PyTorch: max_momentum − (max_momentum − base_momentum) · scaled height of the learning rate's cycle.
    heights = [(pytorch(it, 7, 3, "triangular2") - BASE) / (MAXIMUM - BASE) for it in range(1000)]
    assert found == pytest.approx(0.9 - 0.1 * np.asarray(heights), abs=1e-6)
    assert (found[0], found[7]) == pytest.approx((0.9, 0.8))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(momentum))
    assert (again(tf.range(50)).numpy() == found[:50]).all()


def test_momentum_that_cannot_be() -> None:
    import keras

    from stopcli import CyclicLR, CyclicMomentum

    with pytest.raises(ValueError, match=r"low, high: received 0\.9, 0\.8"):
        CyclicMomentum(CyclicLR(BASE, MAXIMUM, 4), 0.9, 0.8)
    with pytest.raises(ValueError, match="schedule: received CosineDecay, expected CyclicLR or OneCycleLR"):
        CyclicMomentum(keras.optimizers.schedules.CosineDecay(0.1, 10))

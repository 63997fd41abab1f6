"""The range test's ramp and the one-cycle rate against their formulas in plain Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def one_cycle(it: int, maximum: float, steps: int, rise: float, start: float, end: float) -> float:
    """`torch.optim.lr_scheduler.OneCycleLR` with cosine annealing, as its documentation and source define it."""

    def annealed(a: float, b: float, share: float) -> float:
        return b + (a - b) / 2.0 * (math.cos(math.pi * share) + 1)

    top, last = rise * steps - 1, steps - 1
    first = maximum / start
    if it <= top:
        return annealed(first, maximum, it / top)
    return annealed(maximum, first / end, (it - top) / (last - top))


@pytest.mark.parametrize(("steps", "rise"), [(10, 0.3), (1000, 0.3), (9600, 0.45), (7, 0.5)])
def test_one_cycle_has_pytorchs_rates(steps: int, rise: float) -> None:
    import tensorflow as tf

    from stopcli import OneCycleLR

    found = OneCycleLR(0.1, steps, rise)(tf.range(steps + 5)).numpy()
    expected = [one_cycle(it, 0.1, steps, rise, 25.0, 1e4) for it in range(steps)]
    assert found[:steps] == pytest.approx(expected, abs=1e-8)
    assert (found[steps:] == found[steps - 1]).all()
    assert found[0] == pytest.approx(0.004)


@pytest.mark.parametrize("mode", ["exponential", "linear"])
def test_a_ramp_goes_from_the_first_to_the_last_rate(mode: str) -> None:
    import tensorflow as tf

    from stopcli import RampLR

    found = RampLR(1e-7, 10.0, 100, mode)(tf.range(103)).numpy()
    shares = [it / 99 for it in range(100)]
    expected = [1e-7 * 1e8**share if mode == "exponential" else 1e-7 + (10 - 1e-7) * share for share in shares]
    assert found[:100] == pytest.approx(expected, rel=1e-6)
    assert (found[99:] == np.float32(10)).all()


def test_both_are_saved_with_all_of_their_arguments() -> None:
    import keras

    from stopcli import OneCycleLR, RampLR

    for schedule in (OneCycleLR(0.2, 50, 0.4, 10.0, 100.0), RampLR(1e-3, 1e-1, 20, "linear")):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
        assert again.get_config() == schedule.get_config()
        assert [float(again(it)) for it in range(60)] == [float(schedule(it)) for it in range(60)]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("OneCycleLR", (0.0, 10), "maximum: received 0.0"),
        ("OneCycleLR", (0.1, 1), "steps: received 1"),
        ("OneCycleLR", (0.1, 10, 1.0), "rise: received 1.0"),
        ("OneCycleLR", (0.1, 10, 0.05), "rise: received 0.05 of 10 updates, expected more than one of them"),
        ("OneCycleLR", (0.1, 10, 0.3, 1.0), "start_divisor, end_divisor: received 1.0"),
        ("RampLR", (0.0, 1.0, 10), "first, last: received 0.0"),
        ("RampLR", (0.1, math.inf, 10), "first, last: received 0.1, inf"),
        ("RampLR", (0.1, 1.0, 1), "steps: received 1"),
        ("RampLR", (0.1, 1.0, 10, "cubic"), "mode: received 'cubic'"),
    ],
)
def test_arguments_that_cannot_be(name: str, arguments: tuple[Any, ...], message: str) -> None:
    import stopcli

    with pytest.raises(ValueError, match=message):
        getattr(stopcli, name)(*arguments)

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_the_mlp_is_the_published_one() -> None:
    from stopcli.models.mlp import binary_mlp

    model = binary_mlp(2, 500, seed=0)
    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "Dense"]
    assert [layer.units for layer in model.layers] == [500, 1]
    assert [layer.activation.__name__ for layer in model.layers] == ["relu", "sigmoid"]
    assert model.count_params() == 2 * 500 + 500 + 500 + 1


def test_weights_depend_on_the_seed_alone() -> None:
    import keras

    from stopcli.models.mlp import binary_mlp

    keras.utils.set_random_seed(1)
    one = binary_mlp(2, 50, seed=3).get_weights()
    keras.utils.set_random_seed(2)
    for a, b in zip(one, binary_mlp(2, 50, seed=3).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one[0], binary_mlp(2, 50, seed=4).get_weights()[0])
    # Glorot uniform: within ±√(6 / (inputs + units)), and using that range.
    limit = np.sqrt(6 / 52)
    assert 0.8 * limit < np.abs(one[0]).max() <= limit
    assert not one[1].any()


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_optimizers_are_keras_s_with_the_learning_rate(name: str) -> None:
    import keras

    from stopcli.models.layers import make_optimizer

    made, keras_s = make_optimizer(name, 0.25), keras.optimizers.get(name)
    assert type(made) is type(keras_s)
    differing = {k for k, v in made.get_config().items() if v != keras_s.get_config()[k]}
    assert differing <= {"learning_rate", "name"}
    assert float(made.learning_rate) == 0.25

"""Networks in 16 bits: what of them stays float32, and the dtype policy of a user's file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from program import run, summary_of

from stopcli.data.dataset import Examples, Splits
from stopcli.errors import ConfigError
from stopcli.recipes.user_code import UserCode, load_code
from stopcli.runner.verify import compare, fingerprint_of
from stopcli.source import read_source

pytestmark = pytest.mark.usefixtures("tensorflow")

SHORT = ["bfloat16", "float16"]
RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(60, 3)).astype(np.float32)
CLASSES = (POINTS[:, 0] > 0).astype(np.int32)
NET = """
import keras
import numpy as np
%s
def data():
    x = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
    return x, (x[:, 0] > 0).astype("int32")

def build(x, y):
    model = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""
OWN_POLICY = 'keras.config.set_dtype_policy("mixed_bfloat16")'


def code_of(folder: Path, precision: Any, statement: str = "") -> UserCode:
    file = folder / "net.py"
    file.write_text(NET % statement)
    return load_code(read_source(file), precision)


def built(code: UserCode) -> Any:
    """The model as runs have it, with its weights."""
    from stopcli.configs.fit import FitConfig
    from stopcli.recipes.fit import FitData

    config: Any = FitConfig(file=str(code.source.path), precision=code.precision)
    rows: Any = SimpleNamespace(parts=PARTS)
    return FitData(code, config, _rows={(): rows}).build(config)[0]


PARTS = Splits(Examples(POINTS, CLASSES), Examples(POINTS, CLASSES), Examples(POINTS, CLASSES))


def networks(precision: str) -> dict[str, Any]:
    """Each network of stopcli's, with its optimizer."""
    from stopcli.models.layers import make_optimizer
    from stopcli.models.minigooglenet import minigooglenet
    from stopcli.models.mlp import binary_mlp, image_mlp
    from stopcli.models.resnet import resnet_v1
    from stopcli.models.table_mlp import table_mlp

    made: dict[str, Any] = {
        "points": binary_mlp(3, 4, 0, precision),
        "pixels": image_mlp((8, 8, 3), 4, 3, 0, precision=precision),
        "resnet": resnet_v1(8, (8, 8, 3), 3, 0, precision=precision),
        "minigooglenet": minigooglenet((8, 8, 3), 3, 0, width=0.1, precision=precision),
    }
    for name in made:
        made[name].optimizer = make_optimizer("adam", 0.01, precision=precision)
    for name, outputs in {"regression": 0, "two classes": 2, "three classes": 3}.items():
        made[name] = table_mlp(2, (4,), outputs, (5,), 0.5, 0.01, precision=precision)
    return made


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_weights_outputs_and_optimizers_of_networks_stay_float32(policy: str) -> None:
    import keras

    for name, model in networks(policy).items():
        model.optimizer.build(model.trainable_variables)
        floats = [v for v in (*model.variables, *model.optimizer.variables) if v.dtype.startswith(("float", "bfloat"))]
        assert {variable.dtype for variable in floats} == {"float32"}, name
        assert model.outputs[0].dtype == "float32", name
        with_weights = [layer for layer in model.layers if layer.weights]
        # Of the layers with weights, only the last computes in float32.
        dtypes = [layer.compute_dtype for layer in with_weights]
        assert dtypes == [policy.removeprefix("mixed_")] * (len(dtypes) - 1) + ["float32"], name
        is_scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        assert is_scaled == (policy == "mixed_float16"), name


@pytest.mark.parametrize("precision", SHORT)
def test_a_file_computes_in_the_precision_and_leaves_no_policy(precision: str, tmp_path: Path) -> None:
    import keras

    before = keras.config.dtype_policy()
    code = code_of(tmp_path, precision)
    assert keras.config.dtype_policy() == before
    model = built(code)
    assert keras.config.dtype_policy() == before
    assert {layer.compute_dtype for layer in model.layers} == {precision}
    assert {variable.dtype for variable in model.variables} == {"float32"}
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (precision == "float16")
    assert code.data({})[0].dtype == np.float32


def test_a_file_builds_models_of_another_precision_to_compare_with(tmp_path: Path) -> None:
    code = code_of(tmp_path, "bfloat16")
    assert code.in_precision("bfloat16") is code
    assert {layer.compute_dtype for layer in built(code.in_precision("float32")).layers} == {"float32"}
    assert {layer.compute_dtype for layer in built(code).layers} == {"bfloat16"}


def test_a_file_s_own_policy_holds_where_none_is_requested(tmp_path: Path) -> None:
    import keras

    before = keras.config.dtype_policy()
    code = code_of(tmp_path, "float32", OWN_POLICY)
    assert keras.config.dtype_policy() == before
    assert {layer.compute_dtype for layer in built(code).layers} == {"bfloat16"}
    assert keras.config.dtype_policy() == before
    assert {layer.compute_dtype for layer in built(code_of(tmp_path, "bfloat16", OWN_POLICY)).layers} == {"bfloat16"}


def test_a_file_with_another_policy_is_refused(tmp_path: Path) -> None:
    message = r"precision: received 'float16', expected float32, because net\.py sets .* to mixed_bfloat16"
    with pytest.raises(ConfigError, match=message):
        code_of(tmp_path, "float16", OWN_POLICY)
    within_build = NET.replace("def build(x, y):", f"def build(x, y):\n    {OWN_POLICY}") % ""
    (tmp_path / "net.py").write_text(within_build)
    code = load_code(read_source(tmp_path / "net.py"), "float16")
    with pytest.raises(ConfigError, match=message):
        built(code)


@pytest.mark.parametrize("precision", SHORT)
def test_a_file_trains_as_by_fit_and_its_model_is_read_again(precision: str, tmp_path: Path) -> None:
    import keras

    from stopcli.training.compiled_step import CompiledStep
    from stopcli.training.epochs_loop import EpochsLoop
    from stopcli.training.model_files import load_model, save_model

    code = code_of(tmp_path, precision)
    fitted, ours = built(code), built(code)
    history = fitted.fit(
        POINTS, CLASSES, batch_size=60, epochs=5, shuffle=False, verbose=0, validation_data=(POINTS, CLASSES)
    ).history
    rows = Examples(POINTS, CLASSES)
    loop = EpochsLoop(CompiledStep(ours, rows), train=rows, evaluated={"val": rows}, batch_size=60)
    metrics = loop.run(1, 5).metrics
    measured = dict(zip(loop.columns, metrics.T, strict=True))
    for name, values in history.items():
        # A step between two numbers of 8 bits, which another order of sums may round to.
        np.testing.assert_allclose(measured[name], values, rtol=0.01, err_msg=name)
    save_model(loop.model, tmp_path / "best.keras")
    for read in (load_model(tmp_path / "best.keras"), keras.saving.load_model(tmp_path / "best.keras")):
        assert {variable.dtype for variable in read.variables} == {"float32"}
        np.testing.assert_array_equal(read.predict(POINTS, verbose=0), loop.model.predict(POINTS, verbose=0))
        pairs = zip(read.optimizer.variables, loop.model.optimizer.variables, strict=True)
        assert all(np.array_equal(one.numpy(), other.numpy()) for one, other in pairs)


@pytest.mark.slow
@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize("precision", SHORT)
def test_a_run_in_16_bits_is_resumed_to_the_same_bits(precision: str) -> None:
    """Metrics, weights, slots and saved models; of float16 also by how much the loss is scaled."""
    argv = ["moons", "--precision", precision, "--hidden", "8", "--epochs", "10000", "--quiet"]
    assert run(*argv, "--run-dir", "whole") == 0
    assert run(*argv, "--run-dir", "paused", "--time-budget", "0.01s") == 0
    assert summary_of("paused")["state"] == "paused"
    assert run("resume", "paused", "--quiet") == 0
    assert compare(fingerprint_of(Path("whole")), fingerprint_of(Path("paused"))) == []
    environment = json.loads(Path("whole/environment.json").read_text())
    assert environment["precision"] == f"mixed_{precision}"
    assert not np.isnan(summary_of("whole")["best"]["value"])


def test_a_files_floatx_holds_for_its_layers(tmp_path: Path) -> None:
    """Also where Keras's policy was read before, which no longer follows it then; and in no other code."""
    import keras

    keras.config.dtype_policy()
    model = built(code_of(tmp_path, "float32", 'keras.config.set_floatx("float64")'))
    assert {weight.dtype for weight in model.weights} == {"float64"}
    assert keras.config.floatx() == "float32"
    within_build = NET.replace("def build(x, y):", 'def build(x, y):\n    keras.config.set_floatx("float64")') % ""
    (tmp_path / "net.py").write_text(within_build)
    built(load_code(read_source(tmp_path / "net.py"), "float32"))
    assert keras.config.floatx() == "float32"
    assert {weight.dtype for weight in built(code_of(tmp_path, "float32")).weights} == {"float32"}

"""`import stopcli` is enough to read a saved model that holds its layers and schedules, in either order of imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from forked import finished

import stopcli

PACKAGE = Path(stopcli.__file__).parent
LOAD = """
import sys
model = keras.saving.load_model(sys.argv[1])
print(*(type(layer).__name__ for layer in model.layers), type(model.optimizer._learning_rate).__name__)
copies = keras.saving.load_model(sys.argv[2]).layers[-1]
print(copies.get_config()["copies"])
momentum = keras.saving.deserialize_keras_object(eval(sys.argv[3]))
print(round(float(momentum(0)), 6), type(momentum.schedule).__name__)
"""
LOADED = ["RandomErasing Cutout RandomShift Flatten Dense CyclicLR", "3", "0.9 OneCycleLR"]


@pytest.fixture(scope="module")
def saved(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two models' files, and a schedule as a model's config would hold it."""
    import keras

    folder = tmp_path_factory.mktemp("saved")
    layers = [stopcli.RandomErasing(), stopcli.Cutout(2), stopcli.RandomShift(1), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(stopcli.CyclicLR(0.1, 0.5, 4)), "mse")
    model.save(folder / "model.keras")
    keras.Sequential([keras.Input((8, 8, 3)), stopcli.CutoutCopies(3)]).save(folder / "copies.keras")
    momentum = stopcli.CyclicMomentum(stopcli.OneCycleLR(1.0, 10))
    saved_momentum = keras.saving.serialize_keras_object(momentum)
    return [str(folder / "model.keras"), str(folder / "copies.keras"), repr(saved_momentum)]


def test_keras_is_told_when_it_is_imported_after_stopcli(saved: list[str]) -> None:
    code = "import stopcli, sys; assert not {'keras', 'tensorflow', 'numpy'} & set(sys.modules)\nimport keras"
    # What was registered is a name: no module of stopcli's came with Keras.
    code += "\nassert not [name for name in sys.modules if name.startswith(('stopcli.augment', 'stopcli.schedules'))]"
    told = subprocess.run([sys.executable, "-c", code + LOAD, *saved], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == LOADED


def test_keras_is_told_when_it_was_imported_before_stopcli(saved: list[str]) -> None:
    # A forked process has both, so stopcli is taken out.
    code = """
import sys, keras
for name in [name for name in sys.modules if name.partition(".")[0] == "stopcli"]:
    del sys.modules[name]
registered = keras.saving.get_custom_objects()
for name in [name for name in registered if name.startswith("stopcli>")]:
    del registered[name]
import stopcli
"""
    assert finished(code + LOAD, *saved).splitlines() == LOADED


def test_importing_a_class_first_lets_its_own_module_register_it() -> None:
    code = """
import sys
for name in [name for name in sys.modules if name.partition(".")[0] in ("stopcli", "keras")]:
    del sys.modules[name]
from stopcli import Cutout
import keras
assert keras.saving.get_registered_object("stopcli>Cutout") is Cutout
print(keras.saving.get_registered_name(Cutout), type(keras.saving.get_registered_object("stopcli>RampLR")).__name__)
"""
    assert finished(code).strip() == "stopcli>Cutout ImportPlaceholder"


def test_no_class_that_can_be_saved_is_left_out() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    decorated = re.findall(r"register_keras_serializable\(package=\"stopcli\"\)\nclass (\w+)", text)
    assert sorted(decorated) == sorted(stopcli._SAVED)
    assert text.count("register_keras_serializable(package=") == len(decorated)


def test_keras_stays_what_it_is_for_those_who_look_for_it() -> None:
    code = """
import stopcli, sys, importlib.util
spec = importlib.util.find_spec("keras")
assert "keras" not in sys.modules and spec.origin.endswith("__init__.py") and spec.submodule_search_locations
assert spec.loader.get_source("keras") and importlib.util.find_spec("kerass") is None
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)

"""`stopcli lr-range` and `stopcli clr` with the model of a Python file."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from program import run, summary_of
from refusals import check_refused
from reports import check_same_again

from stopcli.configs.base import options_of, resolve, settings_of, settings_with
from stopcli.configs.lr_range import fit_command, range_command
from stopcli.configs.registry import config_class
from stopcli.runs.files import read_toml
from stopcli.runs.metrics import read_metrics
from stopcli.seeding import derive_seed

# A regression, whose unknowns are as many as a line can show.
FILE = """
import keras
import numpy as np


def data(*, rows=240):
    draw = np.random.default_rng(5)
    x = draw.normal(size=(rows, 3)).astype("float32")
    return x, (2 * x[:, :1] - x[:, 1:2] + 0.1 * draw.normal(size=(rows, 1))).astype("float32")


def build(x, y, *, units=8, learning_rate=0.01, optimizer="adam"):
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9) if learning_rate < 0 else learning_rate
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, "tanh"), keras.layers.Dense(1)])
    chosen = keras.optimizers.SGD(rate, momentum=0.9) if optimizer == "sgd" else keras.optimizers.Adam(rate)
    model.compile(chosen, "mse", metrics=[keras.metrics.RootMeanSquaredError(name="rmse")])
    return model
"""
OF_NETWORKS = {"width": 2.0, "augment": "none", "optimizer": "adam", "dataset": "digits", "limit": 50, "hidden": 3}


@pytest.fixture
def file() -> Path:
    """The file in the working folder."""
    Path("curve.py").write_text(FILE)
    return Path("curve.py").resolve()


WRONG = [
    (["--model", "curves"], "--model: received 'curves', expected one of minigooglenet, resnet, mlp, or the path of a"),
    (["--model", "nowhere.py"], "nowhere.py: no such file"),
    (["--model", "curve.py", "--scale", "quick"], "--scale: received 'quick', expected full"),
    (["--model", "curve.py", "--validation", "holdout"], "--validation: received 'holdout', expected one of auto"),
    (["--model", "mlp", "--dataset", "digits", "--validation", "last"], "--validation: received 'last', expected one"),
    (["--model", "curve.py", "--set", "unitts=3"], "Did you mean units?"),
]


@pytest.mark.parametrize("command", ["clr", "lr-range"])
@pytest.mark.parametrize(("args", "answer"), WRONG, ids=lambda value: " ".join(value))
def test_what_no_file_or_no_network_can_have_is_refused(
    command: str,
    args: list[str],
    answer: str,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_refused([command, *args], answer, capsys, monkeypatch)


@pytest.mark.parametrize("command", ["clr", "lr-range"])
def test_settings_of_networks_are_warned_of_and_recorded_nowhere(command: str) -> None:
    config = resolve(config_class(command), {"model": "/a/curve.py", **OF_NETWORKS})
    expected = [f"{name} has no effect with model curve.py" for name in sorted(OF_NETWORKS)]
    assert config.warnings() == expected
    recorded = settings_of(config)
    assert not settings_with(type(config), "network") & recorded.keys()
    assert not {name for name, option in options_of(type(config)).items() if option.used_with == "erasing"} & {
        *recorded
    }
    # And those of files where a network is trained.
    assert not settings_with(type(config), "code") & settings_of(resolve(type(config), {"model": "mlp"})).keys()


def test_what_follows_a_training_or_a_test_of_a_file_names_the_file_and_what_was_chosen(file: Path) -> None:
    settings = {"rows": 240, "units": 16, "learning_rate": 0.01, "optimizer": "adam"}
    diverged = {"command": "fit", "file": str(file), "batch_size": 16, "settings": settings}
    expected = ["lr-range", "--set", "units=16", "--model", str(file), "--batch-size", "16"]
    assert range_command(diverged) == expected
    assert range_command({"command": "train", "model": "mlp", "settings": {}}) == []
    Path("range").mkdir()
    tested = {"command": "lr-range", "model": str(file), "batch_size": 64, "settings": settings}
    Path("range/config.toml").write_text(tomli_w.dumps(tested))
    own = ["--set", "units=16", "learning_rate=0.12"]
    assert sorted(fit_command(Path("range"), 0.1234)) == sorted(["fit", str(file), *own, "--batch-size", "64"])
    del settings["learning_rate"]
    Path("range/config.toml").write_text(tomli_w.dumps(tested))
    assert fit_command(Path("range"), 0.1234) == []


# What cannot be moved is known only once the file has built its model.
# Whose threads are those of this process.
CLR = ["clr", "--executor", "in-process"]
UNMOVABLE = [
    (["lr-range", "--set", "learning_rate=-1"], "curve.py: the model is compiled with a learning rate that moves by"),
    ([*CLR, "--cycle-momentum"], "--cycle-momentum: received True, expected a model that is compiled with SGD: Adam"),
    (
        [*CLR, "--cycle-momentum", "--min-momentum", "0.95", "--set", "optimizer=sgd"],
        "--min-momentum: received 0.95, expected less than the momentum that the model is compiled with (0.9)",
    ),
    ([*CLR, "--checkpoint-monitor", "val_accuracy"], "--checkpoint-monitor: received 'val_accuracy', expected one of"),
]


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(("args", "answer"), UNMOVABLE, ids=lambda value: " ".join(value))
def test_an_optimizer_whose_rate_or_momentum_cannot_be_moved_is_refused(
    args: list[str], answer: str, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_refused([*args, "--model", "curve.py"], answer, capsys, monkeypatch)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def losses_of_keras(file: Path, rates: Any) -> list[float]:
    """The losses of the file's model in Keras's own training steps at these rates, on the batches of a range test."""
    import keras
    import tensorflow as tf

    from stopcli.recipes.user_data import read_parts
    from stopcli.training.step import epoch_order

    spec = importlib.util.spec_from_file_location("curve_again", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    train = read_parts(module.data(), resolve(config_class("lr-range"), {"model": str(file)})).parts.train
    keras.utils.set_random_seed(derive_seed(0, "weights"))
    model = module.build(train.x, train.y, units=16)
    order_seed, losses = tf.constant(derive_seed(0, "order")), []
    steps = train.batches(32)
    for i, rate in enumerate(rates):
        order = np.asarray(epoch_order(order_seed, tf.constant(1 + i // steps), train.count))
        batch = order[i % steps * 32 : (i % steps + 1) * 32]
        model.optimizer.learning_rate.assign(rate)
        model.reset_metrics()
        losses.append(float(model.train_on_batch(train.x[batch], train.y[batch])[0]))
    return losses


@pytest.mark.rendered
@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_a_file_is_range_tested_and_its_cycles_take_the_bounds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["lr-range", "--model", "curve.py", "--batch-size", "32", "--set", "units=16"]
    assert run(*words, "--seeds", "2", "--start-lr", "1e-4", "--iterations", "60", "--run-dir", "range") == 0
    printed = " ".join(capsys.readouterr().err.split())
    recorded = read_toml(Path("range/config.toml"))
    assert recorded["model"] == str(file)
    assert recorded["settings"] == {"rows": 240, "units": 16, "learning_rate": 0.01, "optimizer": "adam"}
    assert not {"optimizer", "dataset", "depth"} & recorded.keys()
    steps = read_metrics(Path("range/steps-seed0.csv"))
    rates = np.geomspace(1e-4, 10, 60)[: len(steps["step"])]
    np.testing.assert_allclose(steps["learning_rate"], rates, rtol=1e-5)
    # Later rounding errors have grown.
    np.testing.assert_allclose(steps["loss"][:20], losses_of_keras(file, rates[:20]), rtol=1e-4)
    assert {path.stem for path in Path("range/plots").iterdir()} == {"range"}
    assert f"stopcli clr --from-range range --batch-size 32 --set units=16 --model {file}" in printed
    check_same_again(Path("range"))
    bounds = summary_of("range")["bounds"]
    assert f"stopcli fit {file} --set units=16 learning_rate={bounds['max_lr']:.2g}" in printed

    words = ["clr", "--model", "curve.py", "--from-range", "range", "--batch-size", "32", "--executor", "in-process"]
    words += ["--policy", "triangular", "--epochs", "4", "--step-size", "1", "--seeds", "2", "--run-dir", "cycles"]
    assert run(*words) == 0
    assert "were found with other settings: units 16" in capsys.readouterr().err
    summary = summary_of("cycles")
    assert (summary["state"], summary["finished"]) == ("finished", 4)
    (triangular, constant) = rows_of(Path("cycles/table.csv"))
    assert (triangular["policy"], constant["policy"]) == ("triangular", "constant")
    finals = [summary_of(f"cycles/jobs/triangular-seed{seed}")["final"]["test"]["rmse"] for seed in range(2)]
    assert float(triangular["rmse_mean"]) == pytest.approx(np.mean(finals))
    assert "the lowest test RMSE" in " ".join(summary["conclusions"])
    steps = read_metrics(Path("cycles/jobs/triangular-seed0/steps.csv"))
    up = np.linspace(bounds["base_lr"], bounds["max_lr"], 6)
    np.testing.assert_allclose(steps["learning_rate"][:10], [*up[:5], *up[:0:-1]], rtol=1e-5)
    constant_rate = read_metrics(Path("cycles/jobs/constant-seed0/metrics.csv"))["learning_rate"]
    np.testing.assert_allclose(constant_rate, bounds["max_lr"], rtol=1e-6)
    assert {path.stem for path in Path("cycles/plots").iterdir()} == {"curves", "learning_rate"}
    check_same_again(Path("cycles"))


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow", "file")
def test_a_range_test_that_was_paused_tests_the_other_seeds_and_refuses_other_code(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["lr-range", "--model", "curve.py", "--seeds", "2", "--iterations", "20", "--quiet"]
    assert run(*words, "--run-dir", "paused", "--time-budget", "0.01s") == 0
    assert (summary_of("paused")["state"], summary_of("paused")["finished"]) == ("paused", 1)
    file.write_text(FILE.replace("- x[:, 1:2]", "- x[:, 2:3]"))
    assert run("resume", "paused") == 2
    assert "its code has changed since the run was started" in capsys.readouterr().err
    file.write_text(FILE + "# A comment.\n")
    assert run("resume", "paused", "--quiet") == 0
    assert (summary_of("paused")["state"], summary_of("paused")["finished"]) == ("finished", 2)
    assert run(*words, "--run-dir", "whole") == 0
    for seed in range(2):
        name = f"steps-seed{seed}.csv"
        assert Path("paused", name).read_bytes() == Path("whole", name).read_bytes()

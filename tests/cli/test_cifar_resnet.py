"""`stopcli cifar-resnet` as users run it: on digits, on real images, without a network, with wrong requests."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from forked import finished, program
from program import run, summary_of
from quick_runs import quick_runs
from refusals import check_refused
from reports import check_same_again

from stopcli.configs.base import resolve
from stopcli.configs.classifier import CifarResnetConfig
from stopcli.data import cifar10
from stopcli.errors import RunError
from stopcli.runner.verify import compare, fingerprint_of
from stopcli.runs.metrics import read_metrics

SMALL = ["cifar-resnet", "--dataset", "digits", "--limit", "320", "--epochs", "2", "--batch-size", "32"]


@pytest.mark.rendered
@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_a_run_leaves_what_a_user_wants_to_see(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL, "--erasing", "--lr-policy", "cosine", "--subtract-mean", "--run-dir", "a", "--json"]
    assert run(*words) == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert summary == summary_of("a")
    assert "Data: digits, 10 classes, 32 × 32: 320 of 1,437 images to train on, 360 to test." in said.err
    assert "Augmentation: random erasing (p = 0.5, 0.02 to 0.4 of the image, one value a box), then shift" in said.err
    assert "learning rate 0.001 to 0 along a cosine" in said.err
    assert "Quick scale" in said.err
    assert summary["dataset"] == "digits"
    assert summary["steps"] == 20
    assert summary["rows"] == {"train": 320, "validation": 360, "test": 360}
    assert summary["samples_per_second"] > 0

    names = {"curves", "augmented", "confusion", "worst", "learning_rate"}
    assert {path.stem for path in Path("a/plots").glob("*.png")} == names
    assert {path.stem for path in Path("a/plots").glob("*.svg")} == names
    steps = read_metrics(Path("a/steps.csv"))
    expected = [0.001 * 0.5 * (1 + math.cos(math.pi * it / 20)) for it in range(20)]
    np.testing.assert_allclose(steps["learning_rate"], expected, rtol=1e-5)
    classes = Path("a/classes.csv").read_text().splitlines()
    assert classes[0] == "class,precision,recall,F1,images"
    assert [line.split(",")[0] for line in classes[1:]] == [*"0123456789", "mean"]
    for line in classes[1:-1]:
        # In full precision, F1 follows from the other two.
        precision, recall, f1 = map(float, line.split(",")[1:4])
        assert f1 == pytest.approx(2 * precision * recall / max(precision + recall, 1e-9), rel=1e-12)
    report = Path("a/report.md").read_text()
    for part in ("## By class", "](plots/augmented.png)", "training rows per second", "- Data: digits"):
        assert part in report
    check_same_again(Path("a"))
    config = Path("a/config.toml").read_text()
    assert "erase_area = [\n    0.02,\n    0.4,\n]" in config

    # More epochs would have been trained by another cosine from the first on.
    assert run("resume", "a", "--epochs", "4") == 2
    said = capsys.readouterr().err
    assert "--epochs: received 4, expected the same number of epochs, because with lr_policy cosine" in said

    # The same again from its config, to the byte; and the model in a Python that has Keras and no stopcli.
    with quick_runs():
        assert run("run", "a/config.toml", "--run-dir", "b", "--quiet") == 0
    assert compare(fingerprint_of(Path("a")), fingerprint_of(Path("b"))) == []
    code = """
import sys
sys.modules |= {name: None for name in ("stopcli", *sys.modules) if name.split(".")[0] == "stopcli"}
import keras, numpy as np
model = keras.saving.load_model("a/checkpoints/best.keras")
data = np.load("images.npz")
print(np.mean(np.argmax(model.predict(data["x"] / np.float32(255), verbose=0), axis=1) == data["y"]))
"""
    from stopcli.data.toy import digits

    test = digits().test
    np.savez("images.npz", x=test.x, y=test.y)
    assert float(finished(code)) == pytest.approx(summary["best"]["test"]["accuracy"], abs=1e-6)


@pytest.mark.rendered
@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_stopping_seeds_and_held_out_images_work_here_too(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL[:-4], "--epochs", "4", "--validation", "holdout", "--validation-share", "0.5"]
    words += ["--executor", "in-process"]
    with quick_runs(sweep_figures=True):
        assert run(*words, "--patience", "0", "--seeds", "2", "--run-dir", "sweep", "--quiet") == 0
    summary = summary_of("sweep")
    assert summary["finished"] == 2
    assert summary["dataset"] == "digits"
    jobs = [read_metrics(Path("sweep/jobs") / job["name"] / "metrics.csv") for job in summary["jobs"]]
    assert {"val_loss", "test_loss"} <= jobs[0].keys()
    for job, metrics in zip(summary["jobs"], jobs, strict=True):
        worse = np.flatnonzero(np.diff(metrics["val_loss"]) >= 0)
        assert job["epochs"] == (worse[0] + 2 if len(worse) else 4)
    assert {path.stem for path in Path("sweep/plots").iterdir()} == {"curves", "stop_epochs", "accuracies"}


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_plateau_reduces_the_learning_rate_and_a_resumed_run_knows_of_it() -> None:
    words = [
        *SMALL[:-4],
        "--image-size",
        "8",
        "--epochs",
        "5",
        "--lr-policy",
        "plateau",
        "--lr-patience",
        "1",
        "--monitor",
        "accuracy",
    ]
    words += ["--mode", "min"]  # never better than the first epoch, so every epoch after it reduces
    assert run(*words, "--quiet", "--run-dir", "a") == 0
    rates = read_metrics(Path("a/metrics.csv"))["learning_rate"]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-4, 1e-5, 1e-6], rtol=1e-5)
    words[words.index("--epochs") + 1] = "3"
    assert run(*words, "--quiet", "--run-dir", "b") == 0
    assert run("resume", "b", "--epochs", "5", "--quiet") == 0
    assert compare(fingerprint_of(Path("a")), fingerprint_of(Path("b"))) == []


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_signal_within_an_epoch_saves_at_once_and_nothing_is_trained_twice() -> None:
    options = [*SMALL[:3], "--limit", "1400", "--epochs", "2", "--depth", "8"]
    process = program(*options, "--run-dir", "a")
    while "training\n" not in process.stderr:
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 143
    summary = summary_of("a")
    assert summary["state"] == "interrupted"
    assert summary["final"]["train"] == {}, "who leaves does not wait for an evaluation"
    assert 0 < summary["steps"] < 2 * summary["steps_per_epoch"]
    assert summary["steps"] % summary["steps_per_epoch"], "within an epoch"
    assert "stopcli resume a" in said
    assert run("resume", "a", "--quiet") == 0
    assert run(*options, "--run-dir", "b", "--quiet") == 0
    assert compare(fingerprint_of(Path("b")), fingerprint_of(Path("a"))) == []


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_without_flags_data_or_network_it_runs_on_digits_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*_: object) -> None:
        raise RunError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("STOPCLI_DATASET", raising=False)
    monkeypatch.setattr(cifar10, "download", unreachable)
    # Quick enough for a user, not for a test.
    monkeypatch.setitem(CifarResnetConfig.quick, "image_size", 16)
    assert run("cifar-resnet", "--run-dir", "a") == 0
    said = capsys.readouterr().err
    assert "Warning: CIFAR-10 cannot be downloaded" in said
    assert "takes scikit-learn's small handwritten digits instead" in said
    assert "Quick scale" in said
    assert "Data: digits, 10 classes, 16 × 16: 1,437 images to train on, 360 to test." in said
    summary = summary_of("a")
    assert summary["dataset"] == "digits"
    assert "digits instead" in summary["warnings"][0]
    assert summary["final"]["test"]["accuracy"] > 0.6  # mirrored digits are hard
    assert 'dataset = "digits"' in Path("a/config.toml").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.skipif("STOPCLI_TEST_CIFAR10" not in os.environ, reason="STOPCLI_TEST_CIFAR10 names no folder of images")
def test_real_images_are_learned() -> None:
    dataset = os.environ["STOPCLI_TEST_CIFAR10"]
    words = ["--depth", "8", "--limit", "5000", "--test-limit", "2000", "--epochs", "15", "--run-dir", "a", "--quiet"]
    assert run("cifar-resnet", "--dataset", dataset, *words) == 0
    summary = summary_of("a")
    assert summary["rows"]["test"] == 2_000
    assert summary["best"]["test"]["accuracy"] >= 0.5


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--depth", "9"], "--depth: received 9, expected 6n + 2 layers; the nearest are 8 and 14"),
        (["--depth", "2"], "--depth: received 2, expected at least 8"),
        (["--dataset", "nowhere"], "nowhere: no such folder"),
        (["--dataset", "empty"], "empty: no images; expected train/CLASS/… and test/CLASS/…"),
        (["--dataset", "digits", "--limit", "2000"], "--limit: received 2000, expected 10 (one of each class) to 1437"),
        (["--erase-area", "0.4", "0.1"], "--erase-area: received (0.4, 0.1), expected two shares of the image"),
        (["--erase-area", "0.1", "1.4"], "--erase-area: received (0.1, 1.4), expected two shares of the image"),
        (["--erase-aspect", "0", "1"], "--erase-aspect: received (0.0, 1.0), expected two ratios"),
        (["--erase-value", "0", "255"], "Divide by 255: --erase-value 0 255 is --erase-value 0 1 here."),
        (["--erase-value", "-1", "1"], "--erase-value: received (-1.0, 1.0), expected two values of pixels"),
        (["--erase-p", "1.5"], "--erase-p: received 1.5, expected at most 1"),
        (["--cutout", "0"], "--cutout: received 0"),
        (
            ["--dataset", "digits", "--erasing", "--erase-area", "0.95", "1", "--erase-aspect", "5", "6"],
            "--erase-area, --erase-aspect: area, aspect: received (0.95, 1.0), (5.0, 6.0), expected boxes that fit",
        ),
        (["--lr-drops", "10:0.1,5:0.01"], "--lr-drops: received '10:0.1,5:0.01', expected 'auto' or EPOCHS:FACTOR"),
        (["--lr-policy", "clr", "--base-lr", "1"], "--base-lr: received 1.0, expected less than max_lr (0.01)"),
        (["--lr-policy", "clr", "--gamma", "1.5"], "--gamma: received 1.5, expected at most 1"),
        (["--lr-policy", "clr", "--step-size", "0"], "--step-size: received 0.0, expected more than 0"),
        (["--lr-policy", "cosine", "--lr-min", "1"], "--lr-min: received 1.0, expected less than learning_rate"),
        (["--lr-policy", "cosine", "--lr-warmup", "15"], "--lr-warmup: received 15, expected less than epochs (15)"),
        (["--image-size", "4"], "--image-size: received 4, expected at least 8"),
        (["--monitor", "val_acc"], "--monitor: received 'val_acc', expected one of loss, accuracy, val_loss"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong_and_leaves_nothing(
    args: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("empty").mkdir()
    check_refused(["cifar-resnet", "--json", *args], told, capsys, monkeypatch)


def test_settings_without_an_effect_are_told() -> None:
    told = resolve(CifarResnetConfig, {"erase_p": 0.3, "lr_min": 1e-5, "max_lr": 0.1}).warnings()
    assert "erase_p has no effect without erasing" in told
    assert "lr_min has no effect with lr_policy step" in told
    assert "max_lr has no effect with lr_policy step" in told
    cyclic = resolve(CifarResnetConfig, {"lr_policy": "clr", "epochs": 20, "step_size": 4.0})
    assert cyclic.warnings() == []
    # How many updates an epoch has is known once the images are.
    assert cyclic.mid_cycle(79).endswith("(8 epochs); 16 or 24 epochs would end with a whole cycle")
    assert resolve(CifarResnetConfig, {"lr_policy": "clr", "epochs": 16}).warnings() == []


def test_the_scale_fills_in_what_is_not_named() -> None:
    quick = resolve(CifarResnetConfig, {})
    assert (quick.scale, quick.depth, quick.limit, quick.epochs) == ("quick", 8, 5000, 15)
    on_gpu = resolve(CifarResnetConfig, {}, lambda: True)
    assert (on_gpu.scale, on_gpu.depth, on_gpu.limit, on_gpu.epochs) == ("full", 44, None, 100)
    assert resolve(CifarResnetConfig, {"depth": 20}).depth == 20
    assert "scaled to 15" in quick.describe_learning_rate()
    assert on_gpu.describe_learning_rate() == (
        "learning rate 0.001, ×0.1 after epoch 51, ×0.01 after 66, ×0.001 after 76, ×0.0005 after 86"
    )

"""Comparisons of learning rates and range tests that are refused before anything is started, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from refusals import check_refused

WRONG = [
    ("clr", ["--base-lr", "0.1", "--max-lr", "0.01"], "--base-lr: received 0.1, expected less than max_lr (0.01)"),
    ("clr", ["--base-lr", "-1"], "--base-lr: received -1.0"),
    ("clr", ["--gamma", "0"], "--gamma: received 0.0, expected more than 0"),
    ("clr", ["--gamma", "1.1"], "--gamma: received 1.1, expected at most 1"),
    ("clr", ["--step-size", "0"], "--step-size: received 0.0, expected more than 0"),
    ("clr", ["--step-size-iterations", "0"], "--step-size-iterations: received 0"),
    ("clr", ["--policy", "triangular", "sawtooth"], "expected triangular, triangular2, exp_range or one-cycle"),
    ("clr", ["--policy"], "--policy: received '', expected one word or more"),
    ("clr", ["--policy", "none"], "--policy: received '', expected one or more of triangular"),
    ("clr", ["--vs", "step", "warmup"], "--vs: received 'warmup', expected constant, step or cosine"),
    ("clr", ["--vs", "step,step"], "each of them once; step is given twice"),
    ("clr", ["--optimizer", "adam", "--cycle-momentum"], "expected optimizer sgd, because adam has no momentum"),
    ("clr", ["--momentum", "0", "--cycle-momentum"], "--min-momentum: received 0.8, expected less than momentum (0)"),
    ("clr", ["--model", "vgg"], "--model: received 'vgg', expected one of "),
    ("clr", ["--dataset", "moons"], "--model: received 'minigooglenet', expected mlp"),
    ("clr", ["--stop-at", "cycle"], "--stop-at: received 'cycle', expected one of "),
    ("clr", ["--from-range", "nowhere"], "nowhere: no such folder"),
    ("clr", ["--lr-policy", "step"], "received '--lr-policy', expected an option of stopcli clr"),
    ("clr", ["--seeds", "0"], "--seeds: received 0"),
    ("cifar-resnet", ["--stop-at", "cycle-end"], "--stop-at: received 'cycle-end', expected epoch"),
    ("cifar-resnet", ["--cycle-momentum"], "expected optimizer sgd, because rmsprop has no momentum"),
    ("cifar-resnet", ["--test-limit", "5"], "--test-limit: received 5, expected 10 (one of each class) to 360"),
    ("lr-range", ["--start-lr", "1", "--end-lr", "0.1"], "--start-lr: received 1.0, expected less than end_lr (0.1)"),
    ("lr-range", ["--start-lr", "0"], "--start-lr: received 0.0, expected more than 0"),
    ("lr-range", ["--iterations", "5"], "--iterations: received 5, expected at least 10"),
    ("lr-range", ["--iterations", "20", "--epochs", "1"], "--epochs: received 1.0, expected nothing beside iterations"),
    ("lr-range", ["--epochs", "0.01"], "--epochs: received 0.01, expected 10 to 10,000,000 updates"),
    ("lr-range", ["--epochs", "1e308"], "--epochs: received 1e+308"),
    ("lr-range", ["--iterations", "100", "--epochs", "3"], "--epochs: received 3.0, expected nothing beside"),
    ("lr-range", ["--threads", "5000000000"], "--threads: received 5000000000"),
    ("clr", ["--dataset", "moons", "--model", "mlp", "--policy", "one-cycle", "--epochs", "3"], "one cycle takes 4"),
    ("lr-range", ["--ramp", "cubic"], "--ramp: received 'cubic', expected one of "),
    ("lr-range", ["--stop-factor", "1"], "--stop-factor: received 1.0, expected more than 1"),
]


@pytest.mark.parametrize(("command", "args", "answer"), WRONG, ids=lambda value: " ".join(value))
def test_a_wrong_request_is_told_what_is_wrong_and_leaves_nothing(
    command: str, args: list[str], answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = [] if "--dataset" in args else ["--dataset", "digits"]
    check_refused([command, "--json", *dataset, *args], answer, capsys, monkeypatch)


@pytest.mark.parametrize("command", ["clr", "lr-range"])
def test_images_that_vanish_in_the_network_are_told_before_anything_is_made(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for place in ("train/a", "train/b", "test/a", "test/b"):
        folder = tmp_path / "images" / place
        folder.mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (6, 6), (40 * i, 0, 0)).save(folder / f"{i}.png")
    (tmp_path / "cache").mkdir()
    answer = "MiniGoogLeNet takes sides of 7 pixels or more"
    words = [command, "--dataset", str(tmp_path / "images"), "--limit", "6", "--scale", "full"]
    monkeypatch.chdir(tmp_path / "images")
    check_refused(words, answer, capsys, monkeypatch)

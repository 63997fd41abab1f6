"""Data that have to be downloaded first leave TensorFlow's threads to the command: each command in one process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from forked import finished

IMAGES = ["--dataset", "cifar10", "--limit", "80", "--test-limit", "40", "--batch-size", "16", "--quiet"]
RESNET = ["cifar-resnet", "--depth", "8", "--image-size", "8", "--epochs", "1", *IMAGES]
IN_PROCESS = ["--executor", "in-process", "--threads", "1"]
# Model files, figures and steps that a dry run measures cost time and know nothing of threads.
PROGRAM = """
import json, os, shutil, sys
from unittest import mock
from cifar_server import cifar_served
from quick_runs import quick_runs
from program import run
from stopcli.runner import estimate as projecting

def fake_estimate(loaded, seconds):
    return projecting.ArmEstimate(**dict.fromkeys(projecting.ArmEstimate.__dataclass_fields__, 1))

found = []
with quick_runs(), mock.patch.object(projecting, "measure_arm", fake_estimate):
    for words in json.loads(sys.argv[1]):
        shutil.rmtree(os.environ["KERAS_HOME"], ignore_errors=True)
        with cifar_served() as served:
            status = run(*words)
        import tensorflow as tf
        threads = tf.config.threading.get_intra_op_parallelism_threads()
        found.append([status, len(served.requested_ranges), threads])
print(json.dumps(found))
"""


def check(commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold that each command downloads once, succeeds, and computes with one thread, all of them in one process."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("STOPCLI_DATASET", raising=False)
    assert json.loads(finished(PROGRAM, json.dumps(commands)).splitlines()[-1]) == [[0, 1, 1]] * len(commands)


@pytest.mark.slow
def test_dry_runs_after_a_download_say_their_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeps = [["cutout-sweep", "--m", "2", "4"], ["clr", "--model", "mlp"]]
    plans = [[*sweep, *IMAGES, "--dry-run", *layout] for sweep in sweeps for layout in (["--jobs", "2"], IN_PROCESS)]
    check(plans, tmp_path, monkeypatch)
    assert not Path("runs").exists()


@pytest.mark.slow
def test_runs_in_one_process_compute_with_the_threads_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = 'command = "cifar-resnet"\ndepth = 8\nimage_size = 8\nepochs = 1\nthreads = 1\ndataset = "cifar10"\n'
    Path("config.toml").write_text(config + "limit = 80\ntest_limit = 40\nbatch_size = 16\n")
    mlp = ["--model", "mlp", "--hidden", "8", "--epochs", "1", *IMAGES]
    commands = [
        [*RESNET, "--threads", "1", "--lr-policy", "constant", "--run-dir", "a"],
        ["resume", "a", "--epochs", "2", "--quiet"],
        ["run", "config.toml", "--run-dir", "b", "--quiet"],
        [*RESNET, "--seeds", "2", *IN_PROCESS, "--run-dir", "c"],
        ["lr-range", *mlp, "--epochs", "2", "--threads", "1", "--run-dir", "d"],
        ["clr", *mlp, "--step-size", "0.5", *IN_PROCESS, "--run-dir", "e"],
    ]
    check(commands, tmp_path, monkeypatch)
    assert {json.loads(Path(name, "status.json").read_text())["state"] for name in "abcde"} == {"finished"}

"""`stopcli reproduce` as users call it: on a small file of two arms, again, after losses, changed, interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from program import run, status_of
from refusals import check_refused

pytestmark = pytest.mark.slow

MOONS = """
title = "Small <moons>"
question = "Does it stop?"
baseline = "plain"
figures = [{ plot = "curves", arm = "plain", shows = "Loss by epoch" }]

[source]
text = "Nobody"
url = "https://example.org"

[config]
command = "moons"
epochs = 20
hidden = 20
seeds = 3
checkpoint = false

[[arms]]
name = "plain"
title = "plain"
reported = [
  { measure = "stop_epoch", value = 20, band = [20, 20], why = "all of them" },
  { measure = "test_accuracy", value = 0.1, band = [0.05, 0.15], why = "nothing" },
  { measure = "training_hours", value = 2 },
]

[[arms]]
name = "ten"
title = "ten epochs"
settings = { epochs = 10 }
reported = [{ measure = "stop_epoch", value = 10, band = [10, 10], why = "all of them" }]

[[claims]]
text = "Ten are fewer than twenty"
arm = "ten"
than = "plain"
measure = "stop_epoch"
expected = "lower"
"""
RUNS = Path("runs/reproduction/full/small")


def verdicts() -> list[str]:
    summary = json.loads(Path("reproduction/summary.json").read_text())
    (experiment,) = summary["experiments"]
    return [result["verdict"] for result in (*experiment["values"], *experiment["claims"])]


@pytest.fixture
def children(tensorflow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps are run by this process, which has TensorFlow already; that they have one of their own is tested below."""
    monkeypatch.setattr("stopcli.reproduce.run._wait", lambda command, request: run(*command[3:]))


@pytest.fixture(scope="module")
def done(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the small file was reproduced."""
    folder = tmp_path_factory.mktemp("reproduced")
    (folder / "small.toml").write_text(MOONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stopcli.reproduce.run._wait", lambda command, request: run(*command[3:]))
        patch.chdir(folder)
        assert run("reproduce", "small.toml", "--quiet") == 0
    return folder


@pytest.fixture
def here(done: Path, children: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working folder."""
    copy = Path("copy").resolve()
    shutil.copytree(done, copy)
    monkeypatch.chdir(copy)
    return copy


@pytest.mark.usefixtures("here")
def test_the_report_says_what_held_and_what_did_not() -> None:
    # Three times the same difference could be chance: the sign test has p = 0.25.
    assert verdicts() == ["reproduced", "not reproduced", "shown, not judged", "reproduced", "not distinguishable"]
    text = Path("REPRODUCTION.md").read_text()
    assert "| plain | stopped at epoch | 20 | 20 [20, 20] | 3 of 3 | 20 to 20 | reproduced |" in text
    assert "| Ten are fewer than twenty | -10.0 [-10.0, -10.0] | 3 | " in text
    assert "![Loss by epoch](reproduction/small-plain-curves.png)" in text
    assert Path("reproduction/small-plain-curves.png").is_file()
    assert "stopcli reproduce small.toml --to reproduced-small" in text
    page = Path("REPRODUCTION.html").read_text()
    assert "Small &lt;moons&gt;" in page
    assert "<moons>" not in page


@pytest.mark.usefixtures("here")
def test_a_second_call_runs_nothing_and_a_lost_run_is_made_again(capfd: pytest.CaptureFixture[str]) -> None:
    written = {path: path.stat().st_mtime_ns for path in RUNS.rglob("metrics.csv")}
    assert len(written) == 6
    assert run("reproduce", "small.toml") == 0
    assert capfd.readouterr().err.count("already finished in") == 2
    assert {path: path.stat().st_mtime_ns for path in RUNS.rglob("metrics.csv")} == written
    lost = RUNS / "ten/jobs/no-stopping-seed1"
    metrics = (lost / "metrics.csv").read_bytes()
    shutil.rmtree(lost)
    assert run("reproduce", "small.toml") == 0
    assert "small/ten: 3 runs of moons, to be resumed in" in capfd.readouterr().err
    assert (lost / "metrics.csv").read_bytes() == metrics
    changed = {path for path in RUNS.rglob("metrics.csv") if path.stat().st_mtime_ns != written[path]}
    assert changed == {lost / "metrics.csv"}


@pytest.mark.usefixtures("here")
def test_runs_of_other_settings_are_never_mixed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(command_line: str, answer: str) -> None:
        check_refused(command_line.split(), answer, capsys, monkeypatch)

    refused("reproduce small.toml --seeds 4", "small/plain: made with seeds 3, now 4")
    Path("small.toml").write_text(MOONS.replace("hidden = 20", "hidden = 21"))
    refused("reproduce small.toml", "made with hidden 20, now 21")
    Path("small.toml").write_text(MOONS)
    (RUNS / "ten/config.toml").unlink()
    refused("reproduce small.toml", "mv runs/reproduction/full/small/ten runs/reproduction/full/small/ten-old")


@pytest.mark.usefixtures("here")
def test_what_failed_or_is_missing_is_never_judged(capfd: pytest.CaptureFixture[str]) -> None:
    """A run that diverged, by its files; the other arm is judged all the same."""
    lost = RUNS / "ten/jobs/no-stopping-seed1"
    summary = json.loads((lost / "summary.json").read_text())
    summary["stop"] |= {"reason": "non_finite", "rule": "loss is nan"}
    (lost / "summary.json").write_text(json.dumps({**summary, "state": "failed"}))
    summary = json.loads((RUNS / "ten/summary.json").read_text())
    (RUNS / "ten/summary.json").write_text(json.dumps({**summary, "state": "failed", "finished": 2}))
    for folder in (lost, RUNS / "ten"):
        (folder / "status.json").write_text(json.dumps({**status_of(folder), "state": "failed"}))
    assert run("reproduce", "small.toml") == 1
    assert "some of which diverged and none of which is left to run" in capfd.readouterr().err
    assert verdicts() == ["reproduced", "not reproduced", "shown, not judged", "failed", "failed"]
    assert "small/ten failed: some of its runs diverged" in Path("REPRODUCTION.md").read_text()
    assert "no-stopping-seed1: loss is nan" in Path("REPRODUCTION.md").read_text()


IMAGES = """
title = "Small images"
question = "Does it train?"
baseline = "plain"
source = { text = "Nobody", url = "https://example.org" }
config = { command = "cifar-resnet", dataset = "cifar10", depth = 14, seeds = 1, checkpoint = false }
[overnight]
depth = 8
batch_size = 16
minutes = 20
sizes = [{ limit = 200, epochs = 1000000 }, { limit = 60, test_limit = 20, epochs = 1 }]
[[arms]]
name = "plain"
title = "plain"
reported = [{ measure = "test_accuracy", value = 0.9, band = [0.8, 1.0], why = "w" }]
"""


class OwnProcess:
    """A pool that calls in this process."""

    def __init__(self, *_: object, **options: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future

    def shutdown(self, **_: object) -> None:
        pass


@pytest.mark.usefixtures("children")
def test_a_night_is_measured_said_run_and_resumed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On digits, in this process."""
    monkeypatch.setattr("stopcli.runner.speed_meter.ProcessPoolExecutor", OwnProcess)
    # This process is older than one that only measures.
    monkeypatch.setattr("stopcli.runner.speed_meter.process_age", lambda: 5.0)
    # The cores of this process stay.
    monkeypatch.setattr("stopcli.runner.speed_meter.core_shares", lambda *_: ())
    Path("small.toml").write_text(IMAGES)
    command = ("reproduce", "small.toml", "--scale", "overnight", "--dataset", "digits")
    assert run(*command, "--dry-run") == 0
    plan = capfd.readouterr().out
    assert "small/plain: 1 run of cifar-resnet, to be run in runs/reproduction/overnight-digits/small/plain" in plan
    said = "small: depth = 8, batch_size = 16, limit = 60, test_limit = 20, epochs = 1; size 2 of 2, in float32, about "
    assert said in plan
    assert "In all: about " in plan
    size = Path("runs/reproduction/overnight-digits/small.size.json")
    chosen = json.loads(size.read_text())
    assert 0 < chosen["predicted_seconds"] < 20 * 60
    (speed,) = chosen["speeds"]
    assert speed["network"] == "ResNet-8 v1, batches of 16, float32"
    # Another speed would have chosen the same by now.
    monkeypatch.setattr("stopcli.runner.speed_meter.SpeedMeter.speed", None)
    assert run(*command) == 0
    err = capfd.readouterr().err
    assert err.index(said) < err.index("to be run in")
    assert verdicts() == ["trend only"]
    report = Path("REPRODUCTION.md").read_text()
    assert "overnight (not the published setting), on digits" in report
    assert "ResNet-8 v1, batches of 16, float32" in report
    assert run(*command) == 0
    assert "already finished in" in capfd.readouterr().err
    assert json.loads(size.read_text()) == chosen


def test_an_interrupted_call_saves_reports_and_goes_on() -> None:
    Path("small.toml").write_text(MOONS.replace("epochs = 20", "epochs = 100000000").replace("seeds = 3", "seeds = 2"))
    command = [sys.executable, "-m", "stopcli", "reproduce", "small.toml"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(RUNS.glob("plain/jobs/*/metrics.csv")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 143, stderr
    assert status_of(RUNS / "plain")["state"] == "interrupted"
    assert not (RUNS / "ten").exists()
    assert verdicts()[-1] == "not run"
    assert "Ended by SIGTERM before everything was run" in Path("REPRODUCTION.md").read_text()
    plan = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True, env=os.environ)
    assert "small/plain: 2 runs of moons, to be resumed in" in plan.stdout

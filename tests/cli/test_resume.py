"""Stop anywhere, go on exactly: each command that trains, and `verify-resume`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program import run, summary_of
from quick_runs import quick_runs
from small_runs import MOONS, died

from stopcli.runner.verify import compare, fingerprint_of
from stopcli.training.state_file import StateStore

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.slow]

# The commands that train, each with options that make it small and put everything into it that a state has to hold.
COMMANDS = {
    "moons": MOONS,
    "cifar-resnet": [
        "cifar-resnet", "--dataset", "digits", "--image-size", "8", "--depth", "8", "--limit", "500", "--epochs", "4",
        "--batch-size", "48", "--erasing", "--cutout", "3", "--lr-policy", "clr", "--step-size", "1",
        "--patience", "3", "--checkpoint-every", "2", "--save-every", "0.05s",
    ],
}  # fmt: skip
COMMANDS["cifar-resnet in bfloat16"] = [*COMMANDS["cifar-resnet"], "--precision", "bfloat16"]
# How a command is made long enough to be killed several times, and how often. Every kill of a process that trains
# images costs a start of half a minute on a small machine. That one can be stopped again and again is also tested by
# sweeps of them.
KILLED = {"moons": ("40000", "3"), "cifar-resnet": ("8", "1"), "cifar-resnet in bfloat16": ("8", "1")}


@pytest.fixture(scope="module")
def finished(finished_moons: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An uninterrupted run of each command."""
    folder = tmp_path_factory.mktemp("finished")
    with quick_runs():
        for name, words in COMMANDS.items():
            assert name == "moons" or run(*words, "--quiet", "--run-dir", str(folder / name)) == 0
    return {name: folder / name for name in COMMANDS} | {"moons": finished_moons}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_that_died_after_a_save_comes_out_the_same(command: str, finished: dict[str, Path]) -> None:
    died(finished[command])
    store = StateStore(Path("died/checkpoints/resume"))
    newest, _ = store.files()
    newest.unlink()
    # As a kill in the middle of a save leaves it.
    for folder in ("died", "died/checkpoints", "died/checkpoints/resume"):
        (Path(folder) / f".new-99999-{newest.name}").write_bytes(b"PK and then nothing")
    state = store.load().state
    assert state is not None
    assert state.stopped is None
    assert run("resume", "died") == 0
    assert compare(fingerprint_of(finished[command]), fingerprint_of(Path("died"))) == []
    assert len(store.files()) == 2
    assert list(Path("died").rglob(".new-*")) == []
    assert json.loads(Path("died/environment.json").read_text())["resumed"][0]["from_epoch"] == state.epoch


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_without_any_saved_state_begins_again(command: str, finished: dict[str, Path]) -> None:
    died(finished[command])
    shutil.rmtree("died/checkpoints")
    assert run("resume", "died") == 0
    assert compare(fingerprint_of(finished[command]), fingerprint_of(Path("died"))) == []


@pytest.mark.parametrize("command", KILLED)
def test_kills_at_random_moments_change_no_bit(command: str) -> None:
    options = [*COMMANDS[command]]
    options[options.index("--epochs") + 1], kills = KILLED[command]
    words = [sys.executable, "-m", "stopcli", "verify-resume", "--kills", kills, "--seed", "3", *options]
    told = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{kills} kill" in told.stdout
    assert "every result is identical to the bit" in told.stdout


def test_a_difference_would_be_seen(finished_moons: Path) -> None:
    expected = fingerprint_of(finished_moons)
    assert {"metrics.csv", "rules", "best", "weights and slots 0", "best by keep 0"} <= expected.keys()
    assert any(name.startswith("best.keras") for name in expected)
    for name, value in expected.items():
        assert compare(expected, {**expected, name: value + b"x"}) == [name]
    assert compare(expected, {k: v for k, v in expected.items() if k != "rules"}) == ["rules"]


def test_more_epochs_are_as_if_they_had_been_there_from_the_beginning() -> None:
    assert run("moons", "--epochs", "700", "--quiet", "--run-dir", "long") == 0
    assert run("moons", "--epochs", "300", "--quiet", "--run-dir", "short") == 0
    assert run("resume", "short", "--epochs", "700", "--quiet") == 0
    assert compare(fingerprint_of(Path("long")), fingerprint_of(Path("short"))) == []
    assert summary_of("short")["max_epochs"] == 700

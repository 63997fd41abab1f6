"""Data that lie elsewhere when a run or a sweep goes on: the same pixels are the same data, and no others are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from program import run, status_of, summary_of
from refusals import check_refused

from stopcli.control_groups import usable_cores
from stopcli.data import cifar10
from stopcli.errors import RequestError, RunError
from stopcli.runner.verify import compare, fingerprint_of
from stopcli.runs.files import read_toml

pytestmark = [pytest.mark.usefixtures("quick", "own_cache"), pytest.mark.slow]

# The threads of a sweep in this process, so that all runs here can share a compiled loop.
IMAGES = [
    "cifar-resnet", "--depth", "8", "--lr-policy", "constant", "--batch-size", "12", "--epochs", "2", "--quiet",
    "--threads", str(usable_cores()),
]  # fmt: skip


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOPCLI_CACHE_DIR", str(tmp_path / "cache"))


def images(root: str, seed: int = 0) -> str:
    """A folder of 8 × 8 images of two classes, 24 to train and 8 to test."""
    random = np.random.default_rng(seed)
    for part, count in (("train", 12), ("test", 4)):
        for label, name in enumerate(("dark", "light")):
            folder = Path(root) / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(128 * label, 128 + 127 * label, (8, 8, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i:02}.png")
    return root


def content(folder: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file() and path.name != "log.txt"}


def test_a_run_goes_on_with_the_same_images_in_another_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*IMAGES, "--dataset", images("here"), "--time-budget", "0.001s", "--run-dir", "a") == 0
    assert summary_of("a")["state"] == "paused"
    before = content("a")
    capsys.readouterr()
    Path("here").rename("there")
    check_refused(
        ["resume", "a"], "If the data are elsewhere now: stopcli resume a --dataset PATH", capsys, monkeypatch
    )
    check_refused(["resume", "a", "--dataset", "nowhere"], "nowhere: no such folder", capsys, monkeypatch)
    # Others, in another place and in the old one.
    assert run("resume", "a", "--dataset", images("others", seed=1)) == 2
    assert "data: was" in capsys.readouterr().err
    images("here", seed=2)
    assert run("resume", "a") == 2
    said = capsys.readouterr().err
    assert "data: was" in said
    place = Path("here").resolve()
    assert f"The data were read from {place}; --dataset PATH names another place. --force resumes it anyway" in said
    assert content("a") == before

    assert run("resume", "a", "--dataset", "there", "--time-budget", "0.001s", "--quiet") == 0
    place = str(Path("there").resolve())
    assert read_toml(Path("a/config.toml"))["dataset"] == place
    (session,) = json.loads(Path("a/environment.json").read_text())["resumed"]
    assert session["notes"] == [f"dataset: was {str(Path('here').resolve())!r}, is {place!r}"]
    # From now on that is its place.
    assert run("resume", "a", "--quiet") == 0
    assert run(*IMAGES, "--dataset", "there", "--run-dir", "b") == 0
    assert compare(fingerprint_of(Path("b")), fingerprint_of(Path("a"))) == []
    assert read_toml(Path("a/config.toml")) == read_toml(Path("b/config.toml"))


def test_a_sweep_and_all_its_runs_go_on_with_the_same_images_in_another_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [*IMAGES, "--seeds", "2", "--executor", "in-process"]
    assert run(*words, "--dataset", images("here"), "--run-dir", "whole") == 0
    shutil.copytree("whole", "sweep")
    jobs = sorted(path.name for path in Path("sweep/jobs").iterdir())
    # As it was before its last run was begun.
    shutil.rmtree(Path("sweep/jobs") / jobs[1])
    Path("sweep/summary.json").unlink()
    Path("sweep/status.json").write_text(json.dumps({**status_of("sweep"), "state": "running"}))
    before = content("sweep")
    Path("here").rename("there")
    assert run("resume", "sweep") == 2
    assert "stopcli resume sweep --dataset PATH" in " ".join(capsys.readouterr().err.split())
    # A run that was not begun yet could not tell that these are others.
    assert run("resume", "sweep", "--dataset", images("others", seed=1)) == 2
    assert "in 1 run, is" in " ".join(capsys.readouterr().err.split())
    assert content("sweep") == before

    assert run("resume", "sweep", "--dataset", "there", "--quiet") == 0
    place = str(Path("there").resolve())
    for folder in (Path("sweep"), *(Path("sweep/jobs") / job for job in jobs)):
        assert read_toml(folder / "config.toml")["dataset"] == place
    for job in jobs:
        assert compare(fingerprint_of(Path("whole/jobs") / job), fingerprint_of(Path("sweep/jobs") / job)) == []


def test_a_range_test_takes_its_seeds_over_from_another_place() -> None:
    from stopcli.recipes.lr_range import RangeCurve
    from stopcli.runner.range_test import CurveStore

    rates = np.geomspace(0.001, 1, 30)
    here = {"setting dataset": "/here", "setting model": "mlp", "data": "a"}
    CurveStore(Path(), here).add(0, RangeCurve(rates, rates[::-1], "complete"), rates)
    there = {**here, "setting dataset": "/there"}
    assert list(CurveStore.read(Path(), there, force=False).curves) == [0]
    with pytest.raises(RequestError, match="data: was 'a', is 'b'") as refused:
        CurveStore.read(Path(), {**there, "data": "b"}, force=False, data_hint="Name the place.")
    assert refused.value.hint.startswith("Name the place. --force")


def make_one_of_images(run: Path, dataset: str) -> None:
    """Let a run's files say that it is one of cifar-resnet."""
    (run / "config.toml").write_text(f'command = "cifar-resnet"\ndataset = "{dataset}"\n')
    (run / "summary.json").write_text(json.dumps({**summary_of(run), "command": "cifar-resnet"}))


def test_a_data_set_that_cannot_be_had_any_more_can_be_named_too(
    finished_moons: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: Any) -> None:
        raise RunError("cannot be downloaded", hint="Try again later.")

    monkeypatch.setattr(cifar10, "cached", lambda: None)
    monkeypatch.setattr(cifar10, "downloaded", no_network)
    shutil.copytree(finished_moons, "run")
    shutil.rmtree("run/checkpoints")
    make_one_of_images(Path("run"), "cifar10")
    Path("run/status.json").write_text(json.dumps({**status_of("run"), "state": "running"}))
    monkeypatch.setenv("COLUMNS", "300")
    assert run("resume", "run") == 1
    said = capsys.readouterr().err
    assert "Try again later. If the data are elsewhere now: stopcli resume run --dataset PATH" in said


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("moons", "--dataset: received 'here', expected nothing: the data of this run are scikit-learn's two moons"),
        ("digits", "--dataset: received 'here', expected nothing: the data of this run are scikit-learn's handwritten"),
    ],
)
def test_data_that_come_with_a_package_have_no_other_place(
    command: str, answer: str, finished_moons: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished_moons, "run")
    if command == "digits":
        make_one_of_images(Path("run"), "digits")
    check_refused(["resume", "run", "--dataset", "here"], answer, capsys, monkeypatch)

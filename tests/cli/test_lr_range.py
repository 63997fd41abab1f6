"""`stopcli lr-range` as users run it, and what takes its bounds."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from program import run
from reports import check_same_again
from unrendered import rendered

from stopcli.recipes.lr_range import smoothed, suggest
from stopcli.runs.metrics import read_metrics

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]

MOONS = ["lr-range", "--dataset", "moons", "--model", "mlp", "--hidden", "50"]


def summary_of(folder: str | Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((Path(folder) / "summary.json").read_text())
    return read


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A range test with three seeds."""
    folder = tmp_path_factory.mktemp("range") / "tested"
    with rendered():
        assert run(*MOONS, "--seeds", "3", "--run-dir", str(folder), "--quiet") == 0
    return folder


def test_the_learning_rate_rises_as_asked_and_the_suggestions_are_those_of_the_curves(tested: Path) -> None:
    summary = summary_of(tested)
    assert summary["state"] == "finished"
    assert {path.stem for path in (tested / "plots").iterdir()} == {"range"}
    found = []
    for seed in range(3):
        steps = read_metrics(tested / f"steps-seed{seed}.csv")
        assert steps["step"].tolist() == list(range(1, 101))
        np.testing.assert_allclose(steps["learning_rate"], np.geomspace(1e-7, 10, 100), rtol=1e-5)
        np.testing.assert_allclose(steps["smoothed_loss"], smoothed(steps["loss"], 0.9), rtol=1e-5)
        found.append(suggest(steps["learning_rate"], steps["loss"], 0.9))
    for i, name in enumerate(("base_lr", "max_lr")):
        bounds = [each.bounds[i] for each in found if each is not None]
        assert summary["bounds"][name] == pytest.approx(math.exp(np.mean(np.log(bounds))), rel=1e-4)
        interval = summary["suggestions"][name]
        assert interval["low"] <= interval["mean"] <= interval["high"]
        assert interval["n"] == 3
    rows = rows_of(tested / "table.csv")
    assert [row["seed"] for row in rows] == ["0", "1", "2"]
    assert "Suggested: --base-lr" in (tested / "report.md").read_text()
    check_same_again(tested)


def test_a_loss_that_runs_away_ends_the_test_and_what_is_left_is_told() -> None:
    assert run(*MOONS, "--end-lr", "1e6", "--ramp", "linear", "--start-lr", "1", "--run-dir", "a", "--quiet") == 0
    (row,) = rows_of(Path("a/table.csv"))
    assert row["ended"] in ("diverged", "non_finite")
    assert int(row["updates"]) < 100
    # A rate far too small trains nothing, and nothing is suggested.
    words = ["--start-lr", "1e-12", "--end-lr", "1e-10", "--run-dir", "b", "--quiet"]
    assert run(*MOONS, *words) == 0
    summary = summary_of("b")
    assert summary["bounds"] is None
    (told,) = summary["conclusions"]
    assert told == "The loss never fell by more than its noise: no learning rate in this range trains the model."
    assert run("clr", "--dataset", "moons", "--model", "mlp", "--from-range", "b") == 2


def test_the_same_is_suggested_again_and_seeds_that_are_done_are_kept(tested: Path, tmp_path: Path) -> None:
    assert run("run", str(tested / "config.toml"), "--run-dir", "again", "--quiet") == 0
    for seed in range(3):
        name = f"steps-seed{seed}.csv"
        assert (tmp_path / "again" / name).read_bytes() == (tested / name).read_bytes()
    assert run("resume", "again") == 2
    # As a process that was killed after its first seed leaves it.
    kept = Path("again/steps-seed0.csv").stat().st_mtime_ns
    Path("again/summary.json").unlink()
    # One was not begun, of one a part is there.
    Path("again/steps-seed1.csv").unlink()
    whole = Path("again/steps-seed2.csv").read_text().splitlines(keepends=True)
    Path("again/steps-seed2.csv").write_text("".join(whole[:40]))
    status = json.loads(Path("again/status.json").read_text())
    Path("again/status.json").write_text(json.dumps({**status, "state": "running"}))
    assert run("resume", "again", "--quiet") == 0
    assert Path("again/steps-seed0.csv").stat().st_mtime_ns == kept
    assert summary_of("again")["bounds"] == pytest.approx(summary_of(tested)["bounds"], rel=1e-6)
    assert "seed 2 is tested again: its file is not whole" in Path("again/log.txt").read_text()
    for seed in range(3):
        name = f"steps-seed{seed}.csv"
        assert Path("again", name).read_bytes() == (tested / name).read_bytes()


def test_a_test_that_would_be_another_one_is_not_gone_on_with(tested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tested, "changed")
    status = json.loads(Path("changed/status.json").read_text())
    Path("changed/status.json").write_text(json.dumps({**status, "state": "interrupted"}))
    config = Path("changed/config.toml").read_text()
    Path("changed/config.toml").write_text(config.replace("hidden = 50", "hidden = 3"))
    assert run("resume", "changed") == 2
    assert "setting hidden: was 50, is 3" in capsys.readouterr().err
    assert run("resume", "changed", "--epochs", "5") == 2
    assert "--epochs: received 5, expected no new number of epochs" in capsys.readouterr().err
    assert run("resume", "changed", "--force", "--quiet") == 0
    assert "all seeds are tested again, because of: setting hidden" in Path("changed/log.txt").read_text()
    assert summary_of("changed")["bounds"] != summary_of(tested)["bounds"]


def test_a_budget_lets_one_seed_end_and_the_others_follow(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*MOONS, "--seeds", "3", "--run-dir", "a", "--time-budget", "0.01s"]
    assert run(*words) == 0
    assert (summary_of("a")["state"], summary_of("a")["finished"]) == ("paused", 1)
    assert "is too short for more than the first seed, which ended after" in capsys.readouterr().err
    # So does that of each later session.
    assert run("resume", "a", "--time-budget", "0.01s", "--quiet") == 0
    assert (summary_of("a")["state"], summary_of("a")["finished"]) == ("paused", 2)
    assert "the first seed" in summary_of("a")["warnings"][-1]
    capsys.readouterr()
    assert run("clr", "--dataset", "moons", "--model", "mlp", "--from-range", "a") == 2
    assert "a: the range test is not finished" in capsys.readouterr().err
    assert run("resume", "a", "--quiet") == 0
    assert (summary_of("a")["state"], summary_of("a")["finished"]) == ("finished", 3)


def test_clr_takes_the_bounds_of_a_range_test(tested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["clr", "--dataset", "moons", "--model", "mlp", "--policy", "triangular", "--vs", "none", "--epochs", "4"]
    words += ["--step-size", "1", "--executor", "in-process", "--quiet", "--from-range", str(tested)]
    assert run(*words, "--run-dir", "a") == 0
    bounds = summary_of(tested)["bounds"]
    config = Path("a/jobs/triangular-seed0/config.toml").read_text()
    assert f"base_lr = {bounds['base_lr']}" in config
    assert f"max_lr = {bounds['max_lr']}" in config
    capsys.readouterr()
    words.remove("--quiet")
    assert run(*words, "--max-lr", "3.0", "--run-dir", "b") == 0
    assert "were found with other settings: hidden 50." in capsys.readouterr().err
    config = Path("b/jobs/triangular-seed0/config.toml").read_text()
    assert "max_lr = 3.0" in config
    assert f"base_lr = {bounds['base_lr']}" in config
    capsys.readouterr()
    assert run(*words[:-1], "a") == 2
    assert "a: received a run of clr, expected one of lr-range" in capsys.readouterr().err
    assert run(*words[:-1], "nowhere") == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_it_is_listed_and_shown(tested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--runs-dir", str(tested.parent)) == 0
    assert "3/3 seeds" in capsys.readouterr().out
    assert run("show", str(tested)) == 0
    shown = capsys.readouterr().out
    assert "finished, 3/3 seeds, started" in shown
    assert "Suggested: --base-lr" in shown


def test_images_are_tested_too() -> None:
    words = ["lr-range", "--dataset", "digits", "--model", "mlp", "--hidden", "20", "--limit", "200", "--epochs", "20"]
    words += ["--batch-size", "50", "--augment", "none", "--validation", "holdout", "--quiet"]
    assert run(*words, "--run-dir", "a") == 0
    assert len(read_metrics(Path("a/steps-seed0.csv"))["step"]) <= 80
    assert summary_of("a")["bounds"]["base_lr"] < summary_of("a")["bounds"]["max_lr"]

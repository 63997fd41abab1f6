"""`stopcli clr` as users run it: the saw-tooth to the number, what it leaves, resumed in mid-cycle."""

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
from quick_runs import quick_runs
from unrendered import rendered

from stopcli.runner.verify import compare, fingerprint_of
from stopcli.runs.metrics import read_metrics
from stopcli.training.state_file import StateStore

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]

SMALL = ["clr", "--model", "mlp", "--hidden", "20", "--executor", "in-process", "--quiet"]
MOONS = [
    *(*SMALL, "--dataset", "moons", "--epochs", "18", "--batch-size", "3", "--step-size", "1.5"),
    *("--base-lr", "0.001", "--max-lr", "0.05", "--gamma", "0.99", "--save-every", "1"),
]
ARMS = ("triangular", "triangular2", "exp_range", "constant")
# 30 points in batches of 3; a way up of 1.5 epochs.
EPOCHS, STEPS, STEP_SIZE = 18, 10, 15


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three policies and a constant rate, with three seeds each."""
    folder = tmp_path_factory.mktemp("clr") / "sweep"
    # Figures of single runs are looked at where there are images.
    with quick_runs(sweep_figures=True), rendered():
        assert run(*MOONS, "--seeds", "3", "--run-dir", str(folder)) == 0
    return folder


def rate(it: int, policy: str) -> float:
    """The reference's formula, in Python's own numbers."""
    cycle = math.floor(1 + it / (2 * STEP_SIZE))
    x = abs(it / STEP_SIZE - 2 * cycle + 1)
    scale = {"triangular": 1.0, "triangular2": 1 / 2 ** (cycle - 1), "exp_range": 0.99**it}[policy]
    return 0.001 + (0.05 - 0.001) * max(0.0, 1 - x) * scale


@pytest.mark.parametrize("policy", ARMS)
def test_every_update_has_the_published_learning_rate(policy: str, sweep: Path) -> None:
    for seed in range(3):
        steps = read_metrics(sweep / "jobs" / f"{policy}-seed{seed}" / "steps.csv")
        assert steps["step"].tolist() == list(range(1, EPOCHS * STEPS + 1))
        expected = [0.05 if policy == "constant" else rate(it, policy) for it in range(EPOCHS * STEPS)]
        np.testing.assert_allclose(steps["learning_rate"], expected, atol=1e-7 * 0.05, rtol=1e-6)


def test_it_leaves_tables_and_figures_of_all_policies(sweep: Path) -> None:
    summary = read(sweep / "summary.json")
    assert (summary["state"], summary["finished"]) == ("finished", 12)
    assert {path.stem for path in (sweep / "plots").iterdir()} == {"learning_rate", "curves"}
    assert summary["table"]["columns"][2:6] == [
        "final test acc.", "final, against constant", "saved test acc.", "saved, against constant",
    ]  # fmt: skip
    final = {arm: [] for arm in ARMS}
    best = {arm: [] for arm in ARMS}
    for job in summary["jobs"]:
        final[job["arm"]].append(job["final"]["test"]["accuracy"])
        best[job["arm"]].append(job["best"]["test"]["accuracy"])
    for row in rows_of(sweep / "table.csv"):
        arm = row["policy"]
        assert float(row["accuracy_mean"]) == pytest.approx(np.mean(final[arm]))
        assert float(row["best_accuracy_mean"]) == pytest.approx(np.mean(best[arm]))
        if arm != "constant":
            pairs = np.subtract(final[arm], final["constant"])
            assert float(row["difference"]) == pytest.approx(pairs.mean())
            assert float(row["share_higher"]) == pytest.approx(np.mean(pairs > 0))
            assert float(row["difference_low"]) <= pairs.mean() <= float(row["difference_high"])
            assert float(row["best_difference"]) == pytest.approx(np.subtract(best[arm], best["constant"]).mean())
            sentence = next(words for words in summary["conclusions"] if words.startswith(f"{arm} against constant"))
            assert f"{pairs.mean():+.4f}" in sentence
    report = (sweep / "report.md").read_text()
    for part in ("](plots/learning_rate.png)", *summary["conclusions"]):
        assert part in report


def test_a_run_that_died_in_mid_cycle_goes_on_with_the_very_same_learning_rates(sweep: Path) -> None:
    shutil.copytree(sweep, "died")
    job = Path("died/jobs/exp_range-seed1")
    store = StateStore(job / "checkpoints" / "resume")
    newest, _ = store.files()
    newest.unlink()
    state = store.load().state
    assert state is not None
    # Within the second cycle: neither at its beginning nor at its end.
    assert state.step % (2 * STEP_SIZE) > 0
    for name in ("summary.json", "report.md", "checkpoints/best.keras", "checkpoints/final.keras"):
        (job / name).unlink()
    (job / "status.json").write_text(json.dumps({**read(job / "status.json"), "state": "running"}))
    (Path("died") / "summary.json").unlink()
    (Path("died") / "status.json").write_text(json.dumps({**read(sweep / "status.json"), "state": "running"}))
    assert run("resume", "died", "--quiet") == 0
    assert compare(fingerprint_of(sweep / "jobs/exp_range-seed1"), fingerprint_of(job)) == []
    assert read(job / "environment.json")["resumed"][0]["from_epoch"] == state.epoch


def test_arms_begin_from_a_trained_model(sweep: Path) -> None:
    trained = sweep / "jobs" / "triangular-seed0"
    words = ["--policy", "triangular", "--vs", "none", "--epochs", "3", "--init-from", str(trained)]
    assert run(*MOONS, *words, "--run-dir", "a") == 0
    environment = read(Path("a/jobs/triangular-seed0/environment.json"))
    assert str(trained) in str(environment["init_from"])
    # One that does not fit is told before anything is made.
    assert run(*MOONS, *words, "--hidden", "7", "--run-dir", "b") == 2
    assert not Path("b").exists()


def test_a_sweep_whose_settings_were_changed_is_not_gone_on_with(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(sweep, "changed")
    shutil.rmtree("changed/jobs/constant-seed2")
    Path("changed/summary.json").unlink()
    config = Path("changed/config.toml").read_text()
    Path("changed/config.toml").write_text(config.replace("max_lr = 0.05", "max_lr = 0.5"))
    assert run("resume", "changed") == 2
    assert "triangular-seed0: setting max_lr: was 0.05, is 0.5" in capsys.readouterr().err


def test_rules_are_asked_where_cycles_end() -> None:
    words = ["--policy", "triangular", "--vs", "constant", "--patience", "0", "--monitor", "val_loss"]
    # Never better than the baseline, so that the rule would stop after the second epoch.
    assert run(*MOONS, *words, "--baseline", "-1", "--stop-at", "cycle-end", "--run-dir", "a") == 0
    stopped = {job["arm"]: (job["epochs"], job["stop"]["rule"]) for job in read(Path("a/summary.json"))["jobs"]}
    assert stopped == {
        "triangular": (3, "val_loss patience=0 baseline=-1, at a cycle's end"),
        "constant": (2, "val_loss patience=0 baseline=-1"),
    }


@pytest.mark.rendered
def test_images_have_results_by_class_and_cycles_of_momentum(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dataset", "digits", "--limit", "300", "--test-limit", "100", "--policy", "one-cycle,triangular"]
    words += ["--vs", "none", "--epochs", "5", "--step-size-iterations", "10", "--cycle-momentum", "--run-dir", "a"]
    assert run(*SMALL[:-1], *words, "--json") == 0
    told = capsys.readouterr()
    summary = json.loads(told.out)
    # 5 steps an epoch, 20 updates a cycle.
    assert "ends within a cycle of the learning rate (4 epochs); 4 or 8 epochs would end with a whole cycle" in told.err
    assert "100 to test" in told.err
    assert [(arm["policy"], arm["against"]) for arm in summary["arms"]] == [
        ("one-cycle", None), ("triangular", "one-cycle"),
    ]  # fmt: skip
    assert summary["conclusions"][0].startswith("Not distinguishable at n = 1")
    assert "cycle_momentum = true" in Path("a/jobs/triangular-seed0/config.toml").read_text()
    classes = rows_of(Path("a/classes.csv"))
    assert [row["class"] for row in classes] == [*"0123456789", "mean"]
    for policy in ("one-cycle", "triangular"):
        found = {row["class"]: row["F1"] for row in rows_of(Path(f"a/jobs/{policy}-seed0/classes.csv"))}
        assert {row["class"]: row[policy.replace("-", " ")] for row in classes} == found
    assert "## F1 by class" in Path("a/report.md").read_text()
    plots = {path.stem for path in Path("a/jobs/triangular-seed0/plots").iterdir()}
    assert {"curves", "learning_rate", "augmented", "confusion"} <= plots

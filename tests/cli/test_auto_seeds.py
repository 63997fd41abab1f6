"""`--seeds auto` as the program runs it: rounds of seeds until all is decided, ended, killed, resumed, shown."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from eager_runs import eager_runs, unmeasured_loops
from forked import Forked
from made_up_runs import CUTOUT, DIFFERENT, EQUAL, UNCLEAR, accuracy_of, made_up_runs
from program import run, status_of, summary_of
from quick_runs import quick_runs
from refusals import check_refused
from sweep_figures import without_sweep_figures

from stopcli.training.session import Session

CODE = """
import keras
import numpy as np

def data(*, rows=64):
    x = np.random.default_rng(0).normal(size=(rows, 2)).astype("float32")
    return x, x.sum(axis=1)

def build(x, y, *, rate=0.1):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(rate), loss="mse", metrics=["mae"])
    return model
"""
FIT = ["fit", "small.py", "--vary", "rate=0.1,0.01", "--seeds", "auto"]

WRONG = {
    "--resolve 0": "--resolve: received 0.0, expected a number > 0",
    "--resolve -0.1": "--resolve: received -0.1, expected a number > 0",
    "--resolve abc": "--resolve: received 'abc', expected a number > 0, a share of the baseline between 0% and 100%",
    "--resolve 200%": "--resolve: received '200%', expected a number > 0, a share of the baseline between 0% and 100%",
    "--max-seeds 1": "--max-seeds: received 1, expected at least 2",
    "--max-seeds 3": "--max-seeds: received 3, expected at least 5, before which 1 comparison cannot be decided",
    "--seeds 0": "--seeds: received 0, expected at least 1 or auto",
    "--seeds many": "--seeds: received 'many', expected a whole number or auto",
    "--seeds Auto": "--seeds: received 'Auto', expected a whole number or auto",
    "--seed 2147483640": "--seeds: received 'auto', expected seed + seeds ≤ 2**31",
}
ONE_ARM = "--seeds: received 'auto', expected a number, because "
WRONG_COMMANDS = {
    "fit small.py": f"{ONE_ARM}the sweep has one arm",
    "clr --dataset digits --policy triangular --vs none": f"{ONE_ARM}the sweep has one arm",
    "cutout-sweep --dataset digits --m 4 --no-baseline": f"{ONE_ARM}the sweep has one arm",
    "moons": f"{ONE_ARM}moons has one arm",
    "moons --case-study": f"{ONE_ARM}moons has one arm",
    "cifar-resnet --dataset digits": f"{ONE_ARM}cifar-resnet has one arm",
    "lr-range --dataset digits": f"{ONE_ARM}lr-range has one arm",
    "cutout-sweep --dataset digits --m 2 4 8 16 --max-seeds 5": "expected at least 6, before which 4 comparisons",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_number_of_seeds_is_refused(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("small.py").write_text(CODE)
    check_refused([*FIT, *words.split()], WRONG[words], capsys, monkeypatch)
    check_refused(
        ["cutout-sweep", "--dataset", "digits", "--m", "2", "--seeds", "auto", *words.split()],
        WRONG[words],
        capsys,
        monkeypatch,
    )


@pytest.mark.parametrize("words", WRONG_COMMANDS)
def test_without_arms_to_compare_there_is_nothing_to_decide(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("small.py").write_text(CODE)
    check_refused([*words.split(), "--seeds", "auto"], WRONG_COMMANDS[words], capsys, monkeypatch)


@pytest.fixture
def quick(tensorflow: None) -> Iterator[None]:
    """No sweep draws figures."""
    with without_sweep_figures(), mock.patch("stopcli.runner.sweep.decision_figures", return_value={}):
        yield


@pytest.fixture(scope="module")
def whole(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """An uninterrupted sweep whose arms differ, and the names of its runs as they were run."""
    folder = tmp_path_factory.mktemp("whole") / "sweep"
    with without_sweep_figures(), made_up_runs(accuracy_of(DIFFERENT)) as names:
        assert run(*CUTOUT, "--run-dir", str(folder)) == 0
    return folder, names


def decided(folder: Path | str) -> Any:
    """What a sweep's folder says of its comparisons: all but how long they took."""
    summary = summary_of(folder)
    seeds = {key: summary[key] for key in ("state", "seeds", "finished", "decisions")}
    return seeds, Path(folder, "decisions.csv").read_text()


def times(folder: str) -> dict[str, int]:
    """When each run that has finished did."""
    runs = [path.parent for path in Path(folder).glob("jobs/*/summary.json")]
    return {path.name: (path / "summary.json").stat().st_mtime_ns for path in runs}


@pytest.mark.rendered
@pytest.mark.usefixtures("tensorflow")
def test_a_sweep_ends_decided_and_every_record_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with without_sweep_figures(), made_up_runs(accuracy_of(DIFFERENT)) as names:
        assert run(*CUTOUT, "--run-dir", "a") == 0
    said = "".join(capsys.readouterr())
    assert "10 in the first round, then a seed of each arm at a time until all is decided, at most 60" in said
    n = summary_of("a")["seeds"]
    assert 5 < n < 30
    assert names == [f"{arm}-seed{seed}" for seed in range(n) for arm in ("simple", "m2")]
    sentence = f"M = 2 against simple: better, decided after {n} seeds; "
    for text in (said, Path("a/report.md").read_text(), " ".join(summary_of("a")["conclusions"])):
        assert sentence in text
    assert "The comparison is decided after" in Path("a/report.html").read_text()
    rows = list(csv.DictReader(io.StringIO(Path("a/decisions.csv").read_text())))
    assert [int(row["n"]) for row in rows] == [*range(1, n + 1)]
    assert [row["outcome"] for row in rows] == ["undecided"] * (n - 1) + ["lower"]
    (decision,) = summary_of("a")["decisions"]
    assert (decision["verdict"], decision["test"]["decided"]) == ("better", n)
    assert Path("a/plots/decisions.png").stat().st_size > 10_000
    # Others read it as any sweep.
    assert run("resume", "a") == 2
    assert "every run of the sweep is finished" in capsys.readouterr().err
    assert run("list", "--runs-dir", ".") == 0
    assert f"{2 * n}/{2 * n} runs" in capsys.readouterr().out
    for words in (["show", "a"], ["report", "a"]):
        assert run(*words) == 0
    assert sentence in capsys.readouterr().out
    assert sentence in Path("a/report.md").read_text()


# A sweep in a process of its own that is killed as one of its runs ends.
KILLED = """
import os, signal, sys
from made_up_runs import DIFFERENT, accuracy_of, made_up_runs
from sweep_figures import without_sweep_figures

from stopcli.training.session import Session
from stopcli.cli.main import main
kill_at = sys.argv.pop(1)
def kill(name, session):
    if name == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
with without_sweep_figures(), made_up_runs(accuracy_of(DIFFERENT), kill):
    main()
"""


@pytest.mark.usefixtures("quick")
def test_killed_in_a_later_round_it_decides_the_same_and_trains_no_finished_run_again(
    whole: tuple[Path, list[str]],
) -> None:
    (undisturbed, names), kill_at = whole, "m2-seed5"
    process = Forked(KILLED, kill_at, *CUTOUT, "--run-dir", "a")
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    before = times("a")
    assert len(before) == names.index(kill_at) >= 10
    with made_up_runs(accuracy_of(DIFFERENT)) as again:
        assert run("resume", "a") == 0
    assert again == names[len(before) :]
    after = times("a")
    assert {name: after[name] for name in before} == before
    assert decided("a") == decided(undisturbed)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("last", ["m2-seed4", "simple-seed5"])
def test_a_budget_that_ends_between_or_within_rounds_pauses_and_resume_goes_on(
    last: str, whole: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def use_up(name: str, session: Session) -> None:
        if name == last:
            monkeypatch.setattr(session.request, "_deadline", 0.0)

    with made_up_runs(accuracy_of(DIFFERENT), use_up) as names:
        assert run(*CUTOUT, "--time-budget", "1h", "--run-dir", "a") == 0
    assert names[-1] == last
    assert "stopcli resume a" in "".join(capsys.readouterr())
    summary = summary_of("a")
    assert (summary["state"], summary["reason"], status_of("a")["state"]) == (
        "paused",
        "time_budget=1h00m00s",
        "paused",
    )
    assert summary["decisions"][0]["verdict"] == "undecided"
    before = times("a")
    with made_up_runs(accuracy_of(DIFFERENT)) as again:
        assert run("resume", "a") == 0
    undisturbed, uninterrupted = whole
    assert [*names, *again] == uninterrupted
    after = times("a")
    assert {name: after[name] for name in before} == before
    assert decided("a") == decided(undisturbed)


@pytest.mark.usefixtures("quick")
def test_what_is_undecided_after_the_most_seeds_goes_on_with_more(capsys: pytest.CaptureFixture[str]) -> None:
    with made_up_runs(accuracy_of(UNCLEAR)) as names:
        assert run(*CUTOUT, "--max-seeds", "6", "--run-dir", "a") == 0
        assert len(names) == 12
        said = "".join(capsys.readouterr())
        assert "1 of 1 comparison undecided after 6 seeds, of 6 at most." in said
        assert re.search(r"At this spread [\d,]+ more seeds would tell a difference of 0\.0100 \(80% power; ", said)
        assert run("resume", "a") == 2
        assert "--max-seeds N, above 6, trains more seeds" in capsys.readouterr().err
        assert run("resume", "a", "--max-seeds", "5") == 2
        assert "--max-seeds: received 5, expected at least the 6 that the sweep has started" in capsys.readouterr().err
        assert len(names) == 12
        before = times("a")
        assert run("resume", "a", "--max-seeds", "8") == 0
        assert names[12:] == [f"{arm}-seed{seed}" for seed in (6, 7) for arm in ("simple", "m2")]
        # From now on it is a sweep of up to 8.
        assert run("resume", "a") == 2
        assert "--max-seeds N, above 8, trains more seeds" in capsys.readouterr().err
    after = times("a")
    assert {name: after[name] for name in before} == before
    assert "max_seeds = 8" in Path("a/config.toml").read_text()
    assert "max_seeds: was 6, is 8" in Path("a/environment.json").read_text()
    assert (summary_of("a")["seeds"], summary_of("a")["finished"]) == (8, 16)


@pytest.mark.usefixtures("quick")
def test_a_sweep_of_a_number_of_seeds_has_no_most(capsys: pytest.CaptureFixture[str]) -> None:
    with made_up_runs(accuracy_of(UNCLEAR)) as names:
        assert run(*CUTOUT[:-1], "3", "--run-dir", "a") == 0
        said = "".join(capsys.readouterr())
        assert "more seeds would tell a difference of 0.0100" in said
        assert not Path("a/decisions.csv").exists()
        assert run("resume", "a", "--max-seeds", "8") == 2
        assert "--max-seeds: received 8, expected a sweep that was started with --seeds auto" in capsys.readouterr().err
    assert len(names) == 6


@pytest.mark.usefixtures("quick")
def test_an_arm_whose_runs_all_fail_ends_the_sweep_after_its_first_round(capsys: pytest.CaptureFixture[str]) -> None:
    with made_up_runs(accuracy_of(DIFFERENT, failing="m2")) as names:
        assert run(*CUTOUT, "--run-dir", "a") == 1
        assert len(names) == 10
        assert (summary_of("a")["state"], summary_of("a")["finished"]) == ("failed", 5)
        assert "1 of 1 comparison undecided after 0 seeds" in "".join(capsys.readouterr())
        assert run("resume", "a") == 2
        assert "--retry-failed resumes those" in capsys.readouterr().err
    with made_up_runs(accuracy_of(DIFFERENT)) as again:
        assert run("resume", "a", "--retry-failed") == 0
    assert [name.partition("-")[0] for name in again[:5]] == ["m2"] * 5
    assert summary_of("a")["decisions"][0]["verdict"] == "better"


@pytest.mark.usefixtures("quick")
def test_settings_in_a_file_make_the_same_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    with made_up_runs(accuracy_of(EQUAL)):
        assert run(*CUTOUT, "--resolve", "5%", "--max-seeds", "9", "--run-dir", "a", "--json") == 0
        printed = json.loads(capsys.readouterr().out)
        assert run("run", "a/config.toml", "--run-dir", "b", "--quiet") == 0
    (decision,) = printed["decisions"]
    assert (decision["verdict"], printed["seeds"]) == ("equal", 6)
    assert 'seeds = "auto"' in Path("b/config.toml").read_text()
    assert decided("a") == decided("b")
    assert 'resolve = "5%"' in Path("b/config.toml").read_text()


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.slow
def test_a_file_is_trained_until_it_is_decided(capsys: pytest.CaptureFixture[str]) -> None:
    Path("small.py").write_text(CODE)
    options = [*FIT, "--epochs", "1", "--no-checkpoint", "--executor", "in-process"]
    with quick_runs(), eager_runs(), unmeasured_loops():
        assert run(*options, "--run-dir", "a", "--json") == 0
        printed = json.loads(capsys.readouterr().out)
        assert (printed["state"], printed["decisions"][0]["verdict"]) == ("finished", "worse")
        assert printed["decisions"][0]["value"] == "final_test_mae"
        # One per cent of the MAE of the baseline.
        base = [summary_of(f"a/jobs/rate-0.1-seed{seed}")["final"]["test"]["mae"] for seed in range(printed["seeds"])]
        assert printed["decisions"][0]["test"]["looks"][-1]["margin"] == pytest.approx(0.01 * np.mean(base))
        assert run("resume", "a", "--code", "small.py") == 2
        assert "every run of the sweep is finished" in capsys.readouterr().err

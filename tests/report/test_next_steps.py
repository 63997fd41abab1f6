"""What stopcli names as the next command after a run, a sweep, a range test, a replay, a comparison."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from program import run
from written_runs import write_run

from stopcli.cli.app import load_command
from stopcli.report.next_steps import next_steps
from stopcli.runs.run import Run

FIXTURES = Path(__file__).parent.parent / "fixtures" / "runs"

# By fixture: the commands after it, with the names of the fixtures as they lie in the runs folder.
AFTER = {
    "moons": ["stopcli replay moons", "stopcli resume moons --patience 20"],
    "moons-seeds": ["stopcli replay moons-seeds"],
    "case-study": ["stopcli replay case-study"],
    "cifar-resnet": ["stopcli replay cifar-resnet"],
    "cutout-sweep": ["stopcli compare cutout-sweep", "stopcli replay cutout-sweep"],
    "clr": ["stopcli compare clr", "stopcli replay clr"],
    "lr-range": ["stopcli clr --from-range lr-range --scale quick --dataset moons --model mlp --hidden 20"],
    "paused": ["stopcli resume paused"],
    "paused-sweep": ["stopcli resume paused-sweep"],
    "failed": ["stopcli lr-range --dataset moons --model mlp"],
    "clr/jobs/one-cycle-seed0": ["stopcli replay clr/one-cycle-seed0"],
}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STOPCLI_RUNS_DIR", raising=False)
    shutil.copytree(FIXTURES, "runs")
    return Path("runs")


def commands_after(folder: Path) -> list[str]:
    read = Run.read(folder)
    return [step.command for step in next_steps(folder, read.state, read.summary)]


def check_can_be_typed(command: str) -> None:
    """The command has these options, with values that they can have."""
    _, name, *options = shlex.split(command)
    load_command(name).make_context(name, options)


@pytest.mark.parametrize("name", AFTER)
def test_each_kind_of_run_names_what_follows(name: str, runs: Path) -> None:
    commands = commands_after(runs / name)
    assert commands == AFTER[name]
    for command in commands:
        check_can_be_typed(command)


def test_a_run_that_died_names_resume_and_one_outside_the_runs_folder_its_path(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a run", state="running", summary={"final": None})
    assert commands_after(folder) == [f"stopcli resume '{folder}'"]


def test_a_run_of_a_table_names_what_predicts_its_rows_where_a_model_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STOPCLI_RUNS_DIR", raising=False)
    settings = {"table": "my houses.csv", "target": "price", "patience": 20}
    folder = write_run("runs/houses", command="fit", **settings)
    (folder / "table.json").write_text("{}")
    predict = "stopcli predict houses 'my houses.csv'"
    assert predict not in commands_after(folder)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "final.keras").touch()
    replay, command, *_ = commands_after(folder)
    assert (replay, command) == ("stopcli replay houses", predict)
    Path("my houses.csv").touch()
    check_can_be_typed(command)
    (folder / "table.json").unlink()
    assert predict not in commands_after(folder)


def analysis(command: str, results: dict[str, Any]) -> Path:
    folder = Path("runs") / f"new-{command}"
    folder.mkdir()
    table = {"columns": [""], "rows": []}
    content = {"command": command, "name": "", "state": "finished", "warnings": [], "conclusions": [], "run_dir": ""}
    (folder / "summary.json").write_text(json.dumps({**content, "table": table, **results}))
    (folder / "status.json").write_text('{"state": "finished"}')
    return folder


def test_a_replay_names_training_with_the_patience_that_it_found(runs: Path) -> None:
    jobs = [str(path) for path in sorted((runs / "moons-seeds/jobs").iterdir())]
    experiment = {"runs": jobs, "keeps_best": {"smallest_patience": {"rule": "patience:7"}}}
    (command,) = commands_after(analysis("replay", {"experiments": [experiment]}))
    assert command.startswith("stopcli moons --seeds 3 --patience 7 --validation holdout --epochs 60")
    check_can_be_typed(command)


@pytest.mark.parametrize(
    ("label", "options"), [("δ=1% β=0.9", ["--min-delta 1%", "--smooth 0.9"]), ("δ=0.001", ["--min-delta 0.001"])]
)
def test_a_replay_names_what_was_an_improvement_and_how_the_metric_was_smoothed(
    label: str, options: list[str], runs: Path
) -> None:
    experiment = {"runs": ["runs/moons"], "keeps_best": {"smallest_patience": {"rule": f"patience:7 {label}"}}}
    (command,) = commands_after(analysis("replay", {"experiments": [experiment]}))
    assert all(option in command for option in ["--patience 7", *options])
    check_can_be_typed(command)


def test_a_replay_of_the_case_study_names_training_that_is_none(runs: Path) -> None:
    """Its arms have the published rules, and no others beside them."""
    jobs = [str(path) for path in sorted((runs / "case-study/jobs").iterdir())]
    experiment = {"runs": jobs, "keeps_best": {"smallest_patience": {"rule": "patience:7"}}}
    (command,) = commands_after(analysis("replay", {"experiments": [experiment]}))
    assert "--patience 7" in command
    assert "--case-study" not in command
    check_can_be_typed(command)


def test_a_replay_of_a_quick_run_names_a_quick_run(runs: Path) -> None:
    config = Path("runs/moons/config.toml")
    changed = re.sub(r"^scale = .*$", 'scale = "quick"', config.read_text(), flags=re.MULTILINE)
    config.write_text(re.sub(r"^epochs = .*$", "epochs = 1500", changed, flags=re.MULTILINE))
    experiment = {"runs": ["runs/moons"], "keeps_best": {"smallest_patience": {"rule": "patience:7"}}}
    (command,) = commands_after(analysis("replay", {"experiments": [experiment]}))
    assert "--scale quick" in command
    assert "--epochs" not in command
    check_can_be_typed(command)


@pytest.mark.parametrize(
    ("settings", "commands"),
    [
        ({"learning_rate": 0.5}, ["stopcli fit houses.csv --target price --learning-rate 0.05"]),
        ({}, ["stopcli fit houses.csv --target price --learning-rate 0.0001"]),
        # Of the run that it started from it would take over another one.
        (
            {"learning_rate": 0.01, "init_from": "old"},
            ["stopcli fit houses.csv --target price --init-from old --learning-rate 0.001"],
        ),
        ({"file": "net.py"}, []),
    ],
)
def test_a_training_of_a_table_that_diverged_names_no_range_test(
    settings: dict[str, Any], commands: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_run(
        "runs/houses", command="fit", state="failed", summary={"stop": {"reason": "non_finite"}, "diverged": True},
        table="houses.csv", target="price", **settings,
    )  # fmt: skip
    assert commands_after(folder) == commands


def test_a_replay_of_another_seed_names_that_seed(runs: Path) -> None:
    config = Path("runs/moons/config.toml")
    config.write_text(re.sub(r"^seed = 0$", "seed = 42", config.read_text(), flags=re.MULTILINE))
    experiment = {"runs": ["runs/moons"], "keeps_best": {"smallest_patience": {"rule": "patience:7"}}}
    (command,) = commands_after(analysis("replay", {"experiments": [experiment]}))
    assert command.endswith(" --seed 42")
    check_can_be_typed(command)


@pytest.mark.parametrize(("monitor", "options"), [("val_accuracy", ["--monitor val_accuracy"]), ("val_loss", [])])
def test_a_replay_on_another_metric_names_that_metric(monitor: str, options: list[str], runs: Path) -> None:
    experiment = {"runs": ["runs/moons"], "keeps_best": {"smallest_patience": {"rule": "patience:7"}}}
    (command,) = commands_after(analysis("replay", {"experiments": [experiment], "monitor": monitor}))
    assert ["--monitor val_accuracy"] * ("--monitor" in command) == options
    check_can_be_typed(command)


@pytest.mark.parametrize("rule", [None, {"rule": "gl:2"}])
def test_a_replay_without_such_a_patience_names_nothing(rule: object, runs: Path) -> None:
    experiment = {"runs": ["runs/moons"], "keeps_best": {"smallest_patience": rule}}
    assert commands_after(analysis("replay", {"experiments": [experiment]})) == []


def test_a_comparison_names_more_seeds_or_a_replay(runs: Path) -> None:
    arms = [{"runs": ["runs/moons"]}, {"runs": ["runs/moons-seeds/jobs/seed-0", "runs/moons-seeds/jobs/seed-1"]}]
    folder = analysis("compare", {"things": arms, "differences": [{"distinguishable": False}]})
    commands = commands_after(folder)
    assert [command.split()[:4] for command in commands] == [["stopcli", "moons", "--seeds", "5"]] * 2
    for command in commands:
        check_can_be_typed(command)
    shutil.rmtree(folder)
    folder = analysis("compare", {"things": arms, "differences": [{"distinguishable": True}]})
    assert commands_after(folder) == ["stopcli replay moons moons-seeds"]


def test_more_seeds_are_not_named_where_nothing_could_be_compared(runs: Path) -> None:
    arms = [{"runs": ["runs/moons"]}, {"runs": ["runs/moons-seeds/jobs/seed-0"]}]
    assert commands_after(analysis("compare", {"things": arms, "differences": [{"words": "no claim"}]})) == []


def test_runs_that_are_gone_are_not_named(runs: Path) -> None:
    assert commands_after(analysis("compare", {"things": [{"runs": ["runs/gone"]}], "differences": [{}]})) == []


def test_the_terminal_and_the_report_name_the_same_and_stdout_none_of_it(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("replay", "moons-seeds", "--run-dir", "runs/answer") == 0
    printed = capsys.readouterr()
    (command,) = commands_after(runs / "answer")
    assert command.startswith("stopcli moons --seeds 3 --patience ")
    assert f"\n  {command}\n" in printed.err
    assert command not in printed.out
    assert command in Path("runs/answer/report.md").read_text()
    for option in ("--quiet", "--json"):
        assert run("replay", "moons-seeds", option) == 0
        printed = capsys.readouterr()
        assert command not in printed.out
        assert (command in printed.err) == (option == "--json")
    assert run("report", "lr-range") == 0
    assert AFTER["lr-range"][0] in Path("runs/lr-range/report.md").read_text()

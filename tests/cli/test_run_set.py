"""`stopcli run CONFIG --set KEY=VALUE …`: a config file with other values for some of its settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from program import run
from refusals import check_refused
from written_runs import write_run

from stopcli.cli.commands import gather
from stopcli.cli.train import config_from_file
from stopcli.configs.base import to_toml

MOONS = 'command = "moons"\nepochs = 50\npatience = 7\nstop = ["gl:5"]\nseed = 3\n'
IMAGES = 'command = "cifar-resnet"\ndataset = "digits"\n'
SWEEP = 'command = "cutout-sweep"\n'


@pytest.fixture(autouse=True)
def files(own_folder: None) -> None:
    for name, text in {"moons": MOONS, "images": IMAGES, "sweep": SWEEP}.items():
        Path(f"{name}.toml").write_text(text)


@pytest.mark.parametrize(
    ("file", "assignment", "name", "value"),
    [
        ("moons", "epochs=200", "epochs", 200),
        ("moons", "learning-rate=1e-3", "learning_rate", 0.001),
        ("moons", "learning_rate=1", "learning_rate", 1.0),
        ("moons", "patience=none", "patience", None),
        ("moons", "tensorboard=true", "tensorboard", True),
        ("moons", "checkpoint=false", "checkpoint", False),
        ("moons", "name=12", "name", "12"),
        ("moons", "optimizer=sgd", "optimizer", "sgd"),
        ("moons", "save_every=20", "save_every", "20"),
        ("moons", "min_delta=1%", "min_delta", "1%"),
        ("moons", "min_delta=0.5", "min_delta", 0.5),
        ("moons", "stop=gl:2,up:3", "stop", ("gl:2", "up:3")),
        ("moons", "stop=all(patience:20,gl:2),up:3", "stop", ("all(patience:20,gl:2)", "up:3")),
        ("moons", 'stop=["gl:2", "up:3"]', "stop", ("gl:2", "up:3")),
        ("moons", "stop=none", "stop", ()),
        ("sweep", "m=1,2,8", "m", (1, 2, 8)),
        ("images", "erase_area=0.1,0.2", "erase_area", (0.1, 0.2)),
        ("images", "dataset=/data/a=1,b=2", "dataset", "/data/a=1,b=2"),
    ],
)
def test_a_value_counts_as_if_the_file_had_it(file: str, assignment: str, name: str, value: object) -> None:
    path = Path(f"{file}.toml")
    config: Any = config_from_file(path, [assignment])
    assert (getattr(config, name), type(getattr(config, name))) == (value, type(value))
    # The new run's own file has it; what it leaves out is not set.
    Path("config.toml").write_text(to_toml(config))
    assert config_from_file(Path("config.toml")) == config or value is None


def test_other_settings_stay_as_the_file_has_them() -> None:
    before: Any = config_from_file(Path("moons.toml"))
    after: Any = config_from_file(Path("moons.toml"), ["seed=4", "epochs=60"])
    assert (after.seed, after.epochs, after.patience, after.stop) == (4, 60, 7, ("gl:5",))
    assert {name: value for name, value in vars(before).items() if vars(after)[name] != value} == {
        "seed": 3,
        "epochs": 50,
    }
    assert Path("moons.toml").read_text() == MOONS


def test_a_run_to_start_from_is_named_as_everywhere() -> None:
    write_run("runs/20260101T000000Z-moons")
    config = config_from_file(Path("moons.toml"), ["init_from=2026"], Path("runs"))
    assert config.init_from == os.path.realpath("runs/20260101T000000Z-moons")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--set", "a=1", "b=2", "conf.toml", "-q"], ["--set", "a=1", "--set", "b=2", "conf.toml", "-q"]),
        (["--set=a=1", "b=2=3"], ["--set", "a=1", "--set", "b=2=3"]),
        (["conf.toml", "--set", "a=1,2", "--set", "b=2"], ["conf.toml", "--set", "a=1,2", "--set", "b=2"]),
        (["--set", "a", "5"], ["--set", "a", "5"]),
        (["--set", "--quiet"], ["--set", "", "--quiet"]),
    ],
)
def test_each_assignment_is_a_value_of_its_own(argv: list[str], expected: list[str]) -> None:
    assert gather(argv, frozenset({"--set"})) == expected


def test_the_command_runs_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[Any] = []
    monkeypatch.setattr("stopcli.cli.execute.run_config", lambda config, *_: configs.append(config))
    assert run("run", "--set", "epochs=9", "stop=gl:2,up:3", "moons.toml") == 0
    assert run("run", "moons.toml", "--set", "epochs=9", "--set", "stop=gl:2,up:3") == 0
    assert [(config.epochs, config.stop, config.seed) for config in configs] == [(9, ("gl:2", "up:3"), 3)] * 2


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("epochz=5", "Error: --set epochz: received '5', expected a setting that moons has"),
        ("epochz=5", "Did you mean epochs?"),
        ("epochs=five", "Error: --set epochs: received 'five', expected a whole number"),
        ("epochs=5.5", "Error: --set epochs: received '5.5', expected a whole number"),
        ("epochs=0", "Error: --set epochs: received 0, expected at least 1"),
        ("learning_rate=nan", "Error: --set learning_rate: received nan, expected a finite number"),
        ("tensorboard=yes", "Error: --set tensorboard: received 'yes', expected true or false"),
        ("optimizer=adamm", "Did you mean adam?"),
        ("stop=hunch:2", "Error: --set stop: received 'hunch:2'"),
        ("command=clr", "Error: --set command: received 'clr', expected a setting that moons has"),
        ("epochs", "Error: --set: received 'epochs', expected a setting and its value, such as epochs=200"),
        ("", "Error: --set: received '', expected a setting and its value, such as epochs=200"),
        ("=5", "Error: --set: received '=5', expected a setting and its value, such as epochs=200"),
        ("seed=1 seed=2", "Error: --set: received 'seed=2', expected one value of seed, which has another already"),
        ("init_from=nowhere", "Error: nowhere: no such folder, and no run in runs has a name that begins so"),
        ("init_from=", "received an empty path"),
        # A value of the file that does not go with one that is set.
        ("seed=2147483647 seeds=2", "Error: --set seeds: received 2, expected seed + seeds"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_starts(
    words: str, answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_refused(["run", "moons.toml", "--set", *words.split()], answer, capsys, monkeypatch)


def test_verify_resume_takes_them_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ["verify-resume", "run", "moons.toml", "--set", "epochs=5", "seeds=3"]
    check_refused(argv, "not a single training run", capsys, monkeypatch)
    check_refused([*argv[:4], "epochz=5"], "Did you mean epochs?", capsys, monkeypatch)

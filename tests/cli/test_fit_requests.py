"""Requests to `stopcli fit` that are wrong: what the text of the file tells is said before anything is executed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from program import run
from refusals import check_refused

from stopcli.cli.commands import gather
from stopcli.cli.options import complete_code
from stopcli.cli.train import config_from_file
from stopcli.configs.fit import FitConfig
from stopcli.errors import ConfigError, RequestError

# Whoever executes it knows.
CODE = """
from pathlib import Path
Path("executed").touch()
def data(*, path="rooms.npz", rows=500): return 1
def build(x, y, *, units=64, lr=1e-3, bn=False, activation="relu", nothing=None): return 1
"""
CONFIG = 'command = "fit"\nfile = "rooms.py"\n'

WRONG = {
    "": "received no FILE.py and no TABLE, expected a Python file (FILE.py) with the functions data and build, or a "
    "table",
    "nowhere.py": "nowhere.py: no such file",
    "room.py": "Did you mean rooms.py?",
    "folder": "folder: a folder, expected a Python file",
    "rooms.txt": "rooms.txt: a file of another kind, expected a Python file (FILE.py)",
    "conf.toml": "stopcli run conf.toml runs a config file.",
    "broken.py": "broken.py, line 1: ",
    "empty.py": "has no function data, expected def data(*, …), which returns (x, y)",
    "''": "received an empty path",
    "rooms.py other.py": "received rooms.py and other.py, expected one Python file (FILE.py)",
    "rooms.py rooms.csv other.csv": "received 'other.csv', expected only [FILE.py] [TABLE] and options",
    "rooms.py --target price": "--target: received 'price', expected nothing without a table",
    "rooms.py --set units": "--set: received 'units', expected a setting of the file and its value, such as units=32",
    "rooms.py --set": "--set: received '', expected a setting of the file and its value",
    "rooms.py --set unitz=3": "--set: received 'unitz', expected a setting of rooms.py (path, rows, units, ",
    "rooms.py --set unit=3": "Did you mean units?",
    "rooms.py --set epochs=5": "--epochs is a setting of stopcli, and stands by itself.",
    "rooms.py --set units=many": "--set: received 'units=many', expected a whole number for units, as its default 64",
    "rooms.py --set units=2 units=3": "--set: received 'units=3', expected units once",
    "rooms.py --set lr=nan": "--set: received 'lr=nan', expected a number for lr",
    "rooms.py --set bn=1": "--set: received 'bn=1', expected true or false for bn",
    "rooms.py --set nothing=1": "expected no value for nothing, whose default None has no type",
    "rooms.py --set units=9223372036854775808": "--set: received 9223372036854775808, expected a whole number of at",
    "rooms.py --vary units=3": "--set units=3 chooses one.",
    "rooms.py --vary units=3,3": "--vary: received 3, expected every value of units once",
    "rooms.py --vary lr=1,1.0": "--vary: received 1.0, expected every value of lr once",
    "rooms.py --vary units=8,none": "--vary: received 'units=none', expected a whole number for units",
    "rooms.py --vary activation": "such as units=32,64",
    "rooms.py --vary 'activation=\"a,b'": "expected values in double quotation marks to end with one",
    "rooms.py --vary units=1,2 --set units=3": "--vary: received 'units', expected a setting that has no single value",
    "rooms.py --units 3": "Settings of the file: --set units=…",
    "rooms.py --learning-rate 0.1": "--learning-rate: received 0.1, expected nothing without a table",
    "rooms.py --scale quick": "received '--scale', expected an option of stopcli fit",
    "rooms.py --loop always": "--loop: received 'always', expected one of auto, epochs, steps",
    "rooms.py --unit averyveryverylongunit": "--unit: received 'averyveryverylongunit', expected at most 20",
    "rooms.py --test-share 1": "--test-share: received 1.0, expected less than 1",
    "rooms.py --validation test --test-share 0": "--validation: received 'test', expected split, last or none",
    "rooms.py --validation none --monitor val_loss": "With validation none no rows validate, so there is no val_loss.",
    "rooms.py --validation none --stop gl:2": "--stop: received ('gl:2',), expected a metric of the training rows",
    "rooms.py --stop threshold:1@val_gain": "expected @val_gain:min or @val_gain:max",
    "rooms.py --run-dir folder": "folder already exists",
}


@pytest.fixture(autouse=True)
def files(own_folder: None) -> None:
    Path("folder").mkdir()
    texts = {"rooms.py": CODE, "broken.py": "def data(:", "empty.py": "", "rooms.txt": "a,b\n", "conf.toml": CONFIG}
    for name, text in texts.items():
        Path(name).write_text(text)


@pytest.mark.parametrize("request_line", WRONG)
def test_a_wrong_request_is_refused_in_a_sentence_and_leaves_nothing(
    request_line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # No mark either that the file was executed.
    check_refused(["fit", *shlex.split(request_line)], WRONG[request_line], capsys, monkeypatch)


def config_with(*assignments: str, text: str = "") -> FitConfig:
    Path("conf.toml").write_text(CONFIG + text)
    config = config_from_file(Path("conf.toml"), assignments)
    assert isinstance(config, FitConfig)
    return config


def test_a_config_file_that_is_written_by_hand_has_the_settings_in_a_table() -> None:
    config = config_with(text="epochs = 7\n[settings]\nunits = 8\nlr = 1\n[vary]\nactivation = ['relu', 'prelu']\n")
    assert (config.file, config.epochs) == (str(Path("rooms.py").resolve()), 7)
    assert repr(config.settings) == "{'units': 8, 'lr': 1.0}"
    assert config.vary == {"activation": ("relu", "prelu")}
    assert not Path("executed").exists()


def test_set_changes_settings_of_stopcli_and_behind_a_word_those_of_the_file() -> None:
    text = "epochs = 7\n[settings]\nunits = 8\nlr = 0.1\n"
    config = config_with("epochs=9", "settings.units=16", "settings.path=a=b", "vary.activation=relu,prelu", text=text)
    assert (config.epochs, config.settings) == (9, {"units": 16, "lr": 0.1, "path": "a=b"})
    assert config.vary == {"activation": ("relu", "prelu")}
    assert config_with("settings=none", text=text).settings == {}
    assert config_with("vary=none", text="[vary]\nunits = [1, 2]\n").vary == {}


@pytest.mark.parametrize(
    ("assignment", "text", "message"),
    [
        ("units=3", "", "--set units: received '3', expected a setting that fit has"),
        ("settings.unit=3", "", "received 'unit', expected a setting of rooms.py"),
        ("settings.units=x", "", "received 'units=x', expected a whole number for units"),
        ("settings=3", "", "--set settings: received '3', expected a table"),
        ("epochs=9", "[settings]\nunit = 3\n", "conf.toml: settings: received 'unit', expected a setting of rooms.py"),
        ("epochs=9", "[settings]\nunits = 'x'\n", "conf.toml: settings: received 'units=x', expected a whole number"),
        ("epochs=9", "[vary]\nunits = 3\n", "conf.toml: vary: received {'units': 3}, expected a list"),
        ("epochs=9", "settings = 3\n", "conf.toml: settings: received 3, expected a table"),
        ("file=nowhere.py", "", "nowhere.py: no such file"),
    ],
)
def test_what_a_config_file_says_is_checked_by_the_text_of_the_file(assignment: str, text: str, message: str) -> None:
    with pytest.raises(RequestError) as info:
        config_with(assignment, text=text)
    shown = info.value.as_flag() if isinstance(info.value, ConfigError) else info.value.message
    assert message in shown


def test_a_setting_of_the_file_is_named_where_it_is_taken_for_one_of_stopcli(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("conf.toml").write_text(f"{CONFIG}[settings]\nunits = 8\n")
    assert run("run", "conf.toml", "--set", "units=16") == 2
    assert "settings.units is the file's setting of this name." in capsys.readouterr().err


def test_values_end_where_the_next_option_or_the_file_stands() -> None:
    lists = frozenset({"--set", "--vary", "--stop"})
    assert gather(["--vary", "a=1,2", "b=3,4", "rooms.py", "--stop", "gl:2", "up:3"], lists) == [
        *("--vary", "a=1,2", "--vary", "b=3,4", "rooms.py", "--stop", "gl:2,up:3")
    ]


def test_shells_complete_python_files() -> None:
    Path("folder/lstm.py").touch()
    context = None
    assert complete_code(context, "") == ["broken.py", "empty.py", "rooms.py"]  # type: ignore[arg-type]
    assert complete_code(context, "ro") == ["rooms.py"]  # type: ignore[arg-type]
    assert complete_code(context, "folder/") == ["folder/lstm.py"]  # type: ignore[arg-type]
    # A folder on the way, which shells complete themselves.
    assert complete_code(context, "fol") == complete_code(context, "nowhere/x") == []  # type: ignore[arg-type]


def test_settings_of_a_file_that_has_changed_or_gone_are_left_to_who_says_so() -> None:
    text = "code_sha256 = 'another'\n[settings]\nformer = 8\n"
    assert config_with(text=text).settings == {"former": 8}
    Path("rooms.py").rename("moved.py")
    assert config_with(text=text).settings == {"former": 8}
    # Where the user names the file, that one counts.
    with pytest.raises(RequestError, match=r"settings: received 'former', expected a setting of moved\.py"):
        config_from_file(Path("conf.toml"), code=Path("moved.py"))

"""The settings of `stopcli fit`: in files and on the command line, as arms, and by what an executed file says."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stopcli.cli.options import options_text
from stopcli.configs.base import parse, resolve, settings_of, to_toml
from stopcli.configs.file_settings import arm_names, read_table, table_words, typed_settings
from stopcli.configs.fit import FitConfig
from stopcli.configs.moons import MoonsConfig
from stopcli.configs.registry import command_line, experiment_settings
from stopcli.errors import ConfigError
from stopcli.runs.files import read_toml
from stopcli.runs.headline import configured_headline
from stopcli.source import source_of
from stopcli.sweeps.plan import plan_jobs
from stopcli.training.state_file import settings_fingerprint

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.booleans() | INTEGERS | FLOATS | TEXTS
NAMES = st.sampled_from(["units", "lr", "activation", "epochs", "größe", "_private"])


def unique(values: Any) -> Any:
    return st.lists(values, min_size=2, max_size=4, unique_by=lambda value: (type(value), value))


TABLES = st.dictionaries(NAMES, VALUES, max_size=4)
SEVERAL = st.dictionaries(NAMES, st.one_of(*map(unique, (INTEGERS, FLOATS, TEXTS))), max_size=2)


def fit(**chosen: Any) -> FitConfig:
    return resolve(FitConfig, {"file": "/home/me/rooms.py", **chosen})


def loaded(*metrics: str, metric: str = "", **chosen: Any) -> FitConfig:
    """The settings once the file was executed, whose model measures these."""
    return fit(**chosen).with_model("hash", metrics, metric or (metrics[0] if metrics else "loss"))


def same(one: object, other: object) -> bool:
    """Equal in types too: Python takes True for 1."""
    return repr(one) == repr(other)


@settings(max_examples=60, deadline=None)
@given(TABLES, SEVERAL)
def test_settings_of_a_file_come_back_from_config_toml(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, Any], vary: dict[str, Any]
) -> None:
    table = {name: value for name, value in table.items() if name not in vary}
    config = fit(settings=table, vary={name: tuple(values) for name, values in vary.items()})
    path = tmp_path_factory.getbasetemp() / "fit.toml"
    path.write_text(to_toml(config), encoding="utf-8", newline="")
    read = dict(read_toml(path))
    assert read.pop("command") == "fit"
    again = parse(FitConfig, read)
    assert again == config
    assert same(sorted(again.settings.items()), sorted(config.settings.items()))
    assert same(sorted(again.vary.items()), sorted(config.vary.items()))
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(again) == hash(config)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, TEXTS, max_size=3), st.dictionaries(NAMES, st.lists(TEXTS, min_size=1, max_size=4)))
def test_words_of_the_command_line_are_read_as_they_are_written(
    table: dict[str, str], vary: dict[str, list[str]]
) -> None:
    assert read_table("set", table_words(table)) == table
    assert read_table("vary", table_words(vary), several=True) == vary


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("relu,prelu", ["relu", "prelu"]),
        ("relu, prelu", ["relu", "prelu"]),
        ('"a,b",c', ["a,b", "c"]),
        ('"say ""hi""", x', ['say "hi"', "x"]),
        ('""', [""]),
        ("a,", ["a", ""]),
        ("-1,2e-3", ["-1", "2e-3"]),
        ("it's,so", ["it's", "so"]),
    ],
)
def test_several_values_stand_between_commas(text: str, values: list[str]) -> None:
    assert read_table("vary", [f"name={text}"], several=True) == {"name": values}


CODE = """
def data(*, path="rooms.npz", rows=500): return 1
def build(x, y, *, units=64, lr=1e-3, bn=False, computed=3 * 4, nothing=None): return 1
"""
SOURCE = source_of(Path("/home/me/rooms.py"), {"rooms.py": CODE})


def test_values_have_the_types_of_the_defaults() -> None:
    texts = {"path": "7", "units": "-3", "lr": "1", "bn": "true", "computed": "5"}
    table, vary = typed_settings(SOURCE, texts, {"rows": ["1", "2"], "path": ["none", "1"]})
    # What a default is that the file computes is known once it is executed.
    assert same(table, {"path": "7", "units": -3, "lr": 1.0, "bn": True, "computed": "5"})
    assert same(vary, {"rows": (1, 2), "path": ("none", "1")})
    # So have those of a config.toml.
    assert same(typed_settings(SOURCE, {"lr": 1, "bn": True}, {})[0], {"lr": 1.0, "bn": True})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"unit": "3"}, r"set: received 'unit', expected a setting of rooms.py \(path, rows, units, lr, bn, "),
        ({"units": "none"}, "set: received 'units=none', expected a whole number for units, as its default 64"),
        ({"units": 1.5}, "set: received 'units=1.5', expected a whole number for units"),
        ({"bn": "1"}, "set: received 'bn=1', expected true or false for bn"),
        ({"lr": "nan"}, "set: received 'lr=nan', expected a number for lr"),
        ({"path": 3}, "set: received 'path=3', expected a text for path"),
        ({"nothing": "3"}, "set: received 'nothing=3', expected no value for nothing, whose default None has no type"),
    ],
)
def test_names_and_types_are_checked_by_the_text_of_the_file(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        typed_settings(SOURCE, table, {})
    name, value = next(iter(table.items()))
    with pytest.raises(ConfigError, match=message.replace("set:", "vary:", 1)):
        typed_settings(SOURCE, {}, {name: [value]})


@settings(max_examples=60, deadline=None)
@given(SEVERAL)
def test_arms_are_the_product_under_names_that_folders_can_have(vary: dict[str, list[Any]]) -> None:
    arms = arm_names({name: tuple(values) for name, values in vary.items()})
    assert same([list(choice.values()) for choice in arms.values()], list(map(list, itertools.product(*vary.values()))))
    # A file system may not tell capital letters from small ones.
    assert len({name.casefold() for name in arms}) == len(arms)
    for name in arms if vary else []:
        assert name.isascii()
        assert len(name) <= 90
        assert all(letter.isalnum() or letter in "-." for letter in name)
        assert name.strip("-.") == name


@pytest.mark.parametrize(
    ("vary", "names"),
    [
        ({"activation": ("relu", "prelu")}, ["activation-relu", "activation-prelu"]),
        ({"a_b": (1,), "lr": (1e-5, -2.0)}, ["a-b-1-lr-0.00001", "a-b-1-lr-minus-2.0"]),
        ({"path": ("a/b", "a b", "A_B", "../a-b")}, ["path-a-b", "path-a-b-2", "path-A-B-3", "path-a-b-4"]),
        ({"bn": (True, False)}, ["bn-true", "bn-false"]),
        ({"path": ("", "…")}, ["path-text", "path-text-2"]),
    ],
)
def test_names_of_arms(vary: dict[str, Any], names: list[str]) -> None:
    assert list(arm_names(vary)) == names


def test_a_sweep_has_an_arm_for_each_combination_and_seed() -> None:
    config = fit(settings={"units": 8}, vary={"activation": ["relu", "prelu"], "lr": [0.1, 0.01]}, seeds=2, jobs=3)
    assert config.is_sweep
    jobs = plan_jobs(config)
    assert [job.name for job in jobs][:3] == [
        "activation-relu-lr-0.1-seed0",
        "activation-relu-lr-0.1-seed1",
        "activation-relu-lr-0.01-seed0",
    ]
    assert [job.is_reference for job in jobs] == [True, True, *[False] * 6]
    job = jobs[-1].config
    assert same(dict(job.settings), {"units": 8, "activation": "prelu", "lr": 0.01})
    assert (job.vary, job.arm, job.seeds, job.jobs, job.is_sweep) == ({}, "activation-prelu-lr-0.01", 1, None, False)
    assert config.arm_label(jobs[-1].arm) == "activation prelu, lr 0.01"
    assert not fit().is_sweep
    assert fit(seeds=2).is_sweep


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"vary": {"units": [3]}}, "vary: received 3, expected two values of units or more"),
        ({"vary": {"units": [3, 3]}}, "vary: received 3, expected every value of units once"),
        ({"vary": {"units": []}}, "vary: received 'units', expected values of units"),
        ({"vary": {"units": 3}}, "vary: received {'units': 3}, expected a list"),
        ({"vary": {"units": [1, 2]}, "settings": {"units": 1}}, "vary: received 'units', expected a setting that has"),
        ({"vary": {"a": list(range(40)), "b": list(range(40))}}, "vary: received 1600, expected at most 1,000"),
        ({"settings": {"a b": 1}}, "settings: received 'a b', expected names of settings"),
        ({"settings": {"a": [1]}}, "settings: received .*, expected true or false or a whole number"),
        ({"settings": {"a": float("inf")}}, "settings: received .* a finite number"),
        ({"settings": {"a": 2**63}}, "settings: received 9223372036854775808, expected a whole number of at most 64"),
        ({"settings": {"a": "\udcff"}}, "settings: received .*, expected a text in UTF-8"),
        ({"settings": 3}, "settings: received 3, expected a table"),
        ({"file": ""}, "file: received '', expected the path of a Python file"),
        ({"scale": "quick"}, "scale: received 'quick', expected full"),
        ({"unit": "a\tb"}, "unit: received 'a.tb', expected at most 20 printable characters"),
        ({"validation": "none", "validation_share": 0.3}, "expected no share where no rows validate"),
        ({"validation": "none", "monitor": "val_loss"}, "monitor: received 'val_loss', expected a metric of the train"),
        ({"validation": "none", "stop": ["up:2"]}, "stop: received .*, expected a metric of the training rows"),
        ({"optimizer": "sgd"}, "optimizer: received 'sgd', expected a setting that fit has"),
    ],
)
def test_what_contradicts_itself_is_refused(chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(**chosen)


def test_metrics_are_checked_once_the_model_says_which_there_are() -> None:
    with pytest.raises(ConfigError, match="monitor: received 'val_rmze', expected one of loss, rmse, val_loss") as info:
        loaded("rmse", monitor="val_rmze")
    assert info.value.hint == "Did you mean val_rmse?"
    with pytest.raises(ConfigError, match="stop: received 'threshold:1@val_mae'"):
        loaded("rmse", stop=["threshold:1@val_mae"])
    with pytest.raises(ConfigError, match="checkpoint_monitor: received 'test_rmse'"):
        loaded("rmse", checkpoint_monitor="test_rmse")
    # Until then, all that can be known is.
    fit(monitor="val_rmze", stop=["threshold:1@val_mae"])
    with pytest.raises(ConfigError, match="stop: received 'hunch:2'"):
        fit(stop=["hunch:2"])


@pytest.mark.parametrize(
    ("metrics", "chosen", "monitors"),
    [
        (["rmse", "mae"], {}, ("val_loss", "val_rmse")),
        ([], {}, ("val_loss", "val_loss")),
        (["rmse"], {"validation": "none"}, ("loss", "rmse")),
        (["rmse"], {"monitor": "rmse"}, ("rmse", "val_rmse")),
        (["gain"], {"mode": "max"}, ("val_gain", "val_gain")),
    ],
)
def test_what_is_monitored_is_filled_in(metrics: list[str], chosen: dict[str, Any], monitors: tuple[str, str]) -> None:
    config = loaded(*metrics, **chosen)
    assert (config.monitor, config.checkpoint_monitor) == monitors
    assert config.headline.name == (metrics[0] if metrics else "loss")
    assert config.headline.direction == chosen.get("mode", "min")
    assert not config.warnings()
    assert config.stop_plan(1).monitors == {*monitors, *config.metrics}
    # A run of which there is no summary says the same.
    assert configured_headline(settings_of(config)) == config.headline
    # Of stopcli's own models nothing is said.
    assert configured_headline({"mode": "min"}) is None


def test_a_command_line_gives_the_config_again() -> None:
    config = fit(settings={"name": "a b", "lr": 0.1}, vary={"units": [1, 2], "kind": ["a,b", "c"]}, patience=3, seeds=2)
    words = options_text(config)
    assert words[:2] == ["fit", "/home/me/rooms.py"]
    assert words[words.index("--set") + 1 :][:2] == ["name=a b", "lr=0.1"]
    assert words[words.index("--vary") + 1 :][:2] == ["units=1,2", 'kind="a,b",c']
    # Of a run's own config.toml what the model made of nothing is left out.
    ran = loaded("mae", "rmse", settings={"lr": 0.1}, patience=3)
    assert command_line({"command": "fit", **settings_of(ran)}) == [
        *("fit", "/home/me/rooms.py", "--patience", "3", "--set", "lr=0.1")
    ]
    other = loaded("mae", "rmse", metric="rmse", validation="last", monitor="rmse")
    assert command_line({"command": "fit", **settings_of(other)}, "--seeds", "3") == [
        *("fit", "/home/me/rooms.py", "--seeds", "3", "--monitor", "rmse", "--validation", "last", "--metric", "rmse"),
    ]


def test_experiments_are_told_apart_by_the_settings_of_the_file_and_its_code() -> None:
    ran = loaded("rmse", settings={"units": 8, "epochs": 3})
    shared = experiment_settings("fit", settings_of(ran))
    assert {"file", "units", "settings.epochs", "epochs", "code_hash"} <= set(shared)
    assert (shared["file"], shared["units"], shared["settings.epochs"], shared["epochs"]) == ("rooms.py", 8, 3, 100)
    assert not {"settings", "vary", "code_sha256", "model_metrics", "loop", "xla", "arm_name", "seed"} & set(shared)
    moved = replace(ran, file="/elsewhere/rooms.py", code_sha256="1", seed=4, threads=2, arm_name="units-8")
    assert experiment_settings("fit", settings_of(moved)) == shared
    assert experiment_settings("fit", settings_of(replace(ran, code_hash="2"))) != shared


def test_a_saved_state_knows_the_settings_of_the_file_by_their_names() -> None:
    before, now = (settings_fingerprint(loaded("rmse", settings={"units": units})) for units in (8, 9))
    assert [key for key in now if before[key] != now[key]] == ["setting settings.units"]


def test_other_trainings_have_the_settings_that_they_had() -> None:
    names = list(settings_of(MoonsConfig()))
    expected = ["batch_size", "precision", "optimizer", "learning_rate", "tensorboard"]
    assert names[names.index("batch_size") :][:5] == expected
    assert "settings" not in names
    assert not {"optimizer", "learning_rate"} & set(settings_of(fit()))


def test_a_table_s_classes_are_saved_by_their_loss_which_few_rows_tell_apart() -> None:
    config = parse(FitConfig, {"table": "houses.csv", "target": "sold"})
    of_classes = config.with_model("", ("accuracy", "auc"), "accuracy")
    assert of_classes.checkpoint_monitor == "val_loss"
    assert of_classes.headline.name == "accuracy"
    assert config.with_model("", ("rmse", "mae"), "rmse").checkpoint_monitor == "val_rmse"
    assert config.with_model("", ("accuracy", "auc"), "auc").checkpoint_monitor == "val_auc"
    chosen = parse(FitConfig, {"table": "houses.csv", "target": "sold", "checkpoint_monitor": "val_accuracy"})
    assert chosen.with_model("", ("accuracy",), "accuracy").checkpoint_monitor == "val_accuracy"
    # The model of a file is saved by what counts, as ever.
    of_file = parse(FitConfig, {"file": "net.py", "table": "houses.csv", "target": "sold"})
    assert of_file.with_model("0", ("accuracy",), "accuracy").checkpoint_monitor == "val_accuracy"
    # What was filled in is not repeated.
    assert "checkpoint_monitor" not in FitConfig.requested(settings_of(of_classes))

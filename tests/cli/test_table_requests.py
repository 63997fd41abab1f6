"""Requests to `stopcli fit` on a table that are wrong: what is said, before TensorFlow is imported."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from program import run
from refusals import check_refused

from stopcli.cli.train import config_from_file
from stopcli.configs.base import settings_of
from stopcli.configs.fit import FitConfig

HEAD = "id,day,area,rooms,city,price"
ROWS = [
    f"{i},2026-01-{i % 28 + 1:02},{50 + i * 7 % 90},{i % 5},{'ABC'[i % 3]},{100 + i * 13 % 97}.5" for i in range(60)
]
TABLES = {
    "houses.csv": [HEAD, *ROWS],
    "again.csv": [HEAD.replace("city", "rooms"), *ROWS],
    "long.csv": [HEAD, *ROWS[:9], ROWS[9] + ",7", *ROWS[10:]],
    "mixed.csv": [HEAD, *ROWS[:9], ROWS[9].replace(",4,", ",many,"), *ROWS[10:]],
    "one.csv": ["area,price", *(f"{i},7" for i in range(30))],
    "gaps.csv": ["area,rooms,price", *(f"{i},,{i * 3 % 31}.5" for i in range(30))],
    "few.csv": ["area,price", *(f"{i},{i % 4}" for i in range(30))],
    "head.csv": ["area,price"],
    "comma.csv": ['"size, m²",price', *(f"{i},{i * 3 % 31}.5" for i in range(30))],
}
CODE = "def build(x, y, *, units=8): return 1\n"
WITHOUT_TARGET = "expected the name of the column of the table to predict"

WRONG = {
    "house.csv --target price": "house.csv: no such file",
    "houses.xlsx --target price": "Save the sheet as CSV: semicolons and decimal commas are read, too.",
    "price --target houses.csv": "stopcli fit houses.csv --target price",
    "houses.csv price": "A column to predict stands behind --target: price.",
    "houses.csv": f"--target: received '', {WITHOUT_TARGET}",
    "net.py houses.csv": f"--target: received '', {WITHOUT_TARGET}",
    "houses.csv again.csv --target price": "received houses.csv and again.csv, expected one table",
    "houses.csv --target prise": "Did you mean price?",
    "houses.csv --target price --features area price": "--features: received 'price', expected columns to predict from",
    "houses.csv --target price --features area rums": "Did you mean rooms?",
    "houses.csv --target price --ignore aria": "Did you mean area?",
    "houses.csv --target price --ignore price": "--ignore: received 'price', expected columns to predict from",
    "houses.csv --target price --ignore area --features area": "--ignore: received 'area', expected columns",
    "comma.csv --target price --ignore 'size, m²'": """stands in double quotation marks: '"size, m²"'""",
    """comma.csv --target price --ignore '"size, m²"' area""": "--ignore: received 'area', expected a column",
    """houses.csv --target price --features '"none"' --ignore '"none"'""": "--ignore: received 'none'",
    "houses.csv --target price --categorical price": "--task classes takes its numbers as classes.",
    "houses.csv --target price --split randomly": "Did you mean random?",
    "houses.csv --target price --split time": "time:COLUMN",
    "houses.csv --target price --split tme:day": "Did you mean time:day?",
    "houses.csv --target price --split randm:id": "expected one of random, stratified",
    "houses.csv --target price --split time:dya": "Did you mean day?",
    "houses.csv --target price --split time:city": "column city",
    "houses.csv --target price --split column:city": "column city",
    "houses.csv --target price --split group:price": "--split: received 'group:price', expected another column",
    "houses.csv --target price --split column:city --test-share 0.1": "expected no share: city",
    "houses.csv --target price --split stratified": "stratified",
    "houses.csv --target price --validation last": "--split last takes the last rows.",
    "houses.csv --target price --rows new": "--rows: received 'new', expected all, or the run before with --init-from",
    "houses.csv --target price --set units=3": "--set: received",
    "net.py houses.csv --target price --hidden 8": "--hidden: received (8,), expected nothing without",
    "net.py houses.csv --target price --set unit=3": "Did you mean units?",
    "houses.csv --target price --hidden 0": "--hidden: received",
    "houses.csv --target price --test-share 1": "--test-share: received 1.0, expected less than 1",
    "houses.csv --target city --task regression": "--task: received 'regression', expected classes",
    "again.csv --target price": "rooms",
    "long.csv --target price": "line 11",
    "mixed.csv --target price": "line 11, column rooms: received 'many'",
    "one.csv --target price": "in all rows, expected different values",
    "gaps.csv --target price": "column rooms",
    "few.csv --target price": "Say which: --task classes, or --task regression.",
    "head.csv --target price": "head.csv",
    "binary.csv --target price": "binary.csv",
}


@pytest.fixture(autouse=True)
def files(own_folder: None) -> None:
    for name, lines in TABLES.items():
        Path(name).write_text("\n".join(lines) + "\n")
    Path("binary.csv").write_bytes(bytes(range(256)) * 4)
    Path("houses.xlsx").write_bytes(b"PK\3\4")
    Path("net.py").write_text(CODE)


@pytest.mark.parametrize("options", WRONG)
def test_a_wrong_request_is_refused_in_a_sentence_and_leaves_nothing(
    options: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is wrong is said without it. Where modules have the function by its name, so that none of them gets the
    # replacement for good by being imported meanwhile.
    for module in ("cli.execute", "runner.run", "runner.sweep", "runner.speed_meter", "training.tf_setup"):
        monkeypatch.setattr(f"stopcli.{module}.start_tensorflow", lambda threads: pytest.fail("imports TensorFlow"))
    check_refused(["fit", *shlex.split(options)], WRONG[options], capsys, monkeypatch)


def test_a_table_alone_is_not_said_to_have_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", "houses.csv", "--target", "price", "--units", "3") == 2
    assert "--set" not in capsys.readouterr().err
    assert run("fit", "net.py", "houses.csv", "--target", "price", "--units", "3") == 2
    assert "Settings of the file: --set units=…" in capsys.readouterr().err


def test_table_and_file_are_known_by_their_endings_in_either_order(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["net.py", "houses.csv"], ["houses.csv", "net.py"]):
        # The last of what is checked: both were taken.
        assert run("fit", *arguments, "--target", "price", "--set", "unit=3") == 2
        assert "expected a setting of net.py (units)" in capsys.readouterr().err


def test_a_config_of_a_table_says_what_of_it_counts() -> None:
    Path("conf.toml").write_text('command = "fit"\ntable = "houses.csv"\ntarget = "price"\nsplit = "hash:id"\n')
    config = config_from_file(Path("conf.toml"))
    assert isinstance(config, FitConfig)
    assert config.table == str(Path("houses.csv").resolve())
    named = settings_of(config)
    assert {"table", "target", "split", "hidden"} <= set(named)
    # Of a Python file, which there is none of.
    assert not {"file", "settings", "vary", "code_sha256"} & set(named)
    Path("conf.toml").write_text('command = "fit"\nfile = "net.py"\ntable = "houses.csv"\ntarget = "price"\n')
    named = settings_of(config_from_file(Path("conf.toml")))
    assert "file" in named
    assert not {"hidden", "dropout", "learning_rate"} & set(named)

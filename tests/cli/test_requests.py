"""What is answered before anything is started, without TensorFlow: help, versions, wrong requests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from refusals import check_refused

from stopcli.cli.main import main

HEAVY = ["tensorflow", "keras", "matplotlib", "sklearn", "scipy", "ray"]

# Arguments of `stopcli moons`, and what the answer has to say.
WRONG = [
    (["--monitor", "val_los"], "--monitor: received 'val_los', expected one of loss, accuracy, val_loss, val_accuracy"),
    (["--checkpoint-monitor", "f1"], "--checkpoint-monitor: received 'f1', expected one of loss"),
    (["--train-size", "100"], "--train-size: received 100, expected 1 to 99"),
    (["--train-size", "0"], "--train-size: received 0"),
    (["--samples", "1"], "--samples: received 1"),
    (["--patience", "-1"], "--patience: received -1, expected at least 0"),
    (["--patience", "3.5"], "--patience: received '3.5', expected a whole number"),
    (["--start-from-epoch", "4000"], "--start-from-epoch: received 4000, expected less than epochs (4000)"),
    (["--epochs", "0"], "--epochs: received 0"),
    (["--noise", "-0.1"], "--noise: received -0.1"),
    (["--noise", "nan"], "--noise: received nan, expected a finite number"),
    (["--learning-rate", "inf"], "--learning-rate: received inf, expected a finite number"),
    (["--learning-rate", "0"], "--learning-rate: received 0.0, expected more than 0"),
    (["--baseline", "nan"], "--baseline: received nan"),
    (["--threshold", "inf"], "--threshold: received inf"),
    (["--min-delta", "-1"], "--min-delta: received -1.0"),
    (["--seeds", "0"], "--seeds: received 0"),
    (["--seeds", "--5"], "--seeds: received '--5'"),
    (["--seeds", "²"], "--seeds: received '²'"),
    (["--help=5"], "--help: received a value, expected none"),
    (["--seed", "-5"], "--seed: received -5"),
    (["--optimizer", "lion"], "--optimizer: received 'lion', expected one of "),
    (["--mode", "up"], "--mode: received 'up', expected one of "),
    (["--validation", "guess"], "--validation: received 'guess', expected one of "),
    (["--validation-share", "0.3"], "--validation-share: received 0.3, expected no share where the test rows validate"),
    (["--checkpoint-every", "0"], "--checkpoint-every: received 0"),
    (["--checkpoint-every", "now"], "--checkpoint-every: received 'now'"),
    (["--name", "../up"], "--name: received '../up'"),
    (["--run-dir", "existing"], "existing already exists; stopcli never writes into an existing folder"),
    (["--runs-dir", "a-file/runs"], "cannot be made"),
    (["--case-study", "--patience", "5"], "--patience: received 5, expected nothing with case_study"),
    (["--case-study", "--stop", "gl:2"], "--stop: received ('gl:2',), expected nothing with case_study"),
    (["--case-study", "--restore-best"], "--restore-best: received True, expected nothing with case_study"),
    (["--case-study", "--no-checkpoint"], "--checkpoint: received False, expected nothing with case_study"),
    (["--case-study", "--checkpoint-every", "10"], "--checkpoint-every: received 10, expected nothing with"),
    (
        ["--case-study", "--checkpoint-monitor", "val_loss"],
        "--checkpoint-monitor: received 'val_loss', expected nothing",
    ),
    (["--patence", "5"], "received '--patence', expected an option of stopcli moons"),
    (["surplus"], "received 'surplus', expected only options"),
]


@pytest.mark.parametrize(
    ("args", "answer"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_wrong_request_is_told_what_is_wrong_and_leaves_nothing(
    args: list[str], answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("existing").mkdir()
    Path("a-file").write_text("")
    check_refused(["moons", "--json", *args], answer, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ('command = "moons"\ntrain_size = 200\n', "config.toml: train_size: received 200, expected 1 to 99"),
        ('command = "moons"\npatence = 3\n', "config.toml: patence: received 3, expected a setting that moons has"),
        ('command = "moon"\n', "command: received 'moon', expected one of moons"),
        ("patience = 3\n", "config.toml: has no command"),
        ("patience =", "config.toml: not a TOML file"),
        (f"patience = {'[' * 5000}{']' * 5000}", "config.toml: not a TOML file: nested more than 40 levels deep"),
        (f"seed = {'1' * 5000}", "config.toml: not a TOML file: a whole number of more than 64 bits"),
        ('command = ["moons"]\n', "config.toml: command: received ['moons'], expected one of moons"),
        ('command = "moons"\nseed = 2020-01-01\n', "config.toml: seed: received datetime.date(2020, 1, 1), expected"),
        (f'command = "moons"\nmonitor = "{"x" * 9999}"\n', "x … (10,001 characters), expected one of loss"),
        (
            '\ufeffcommand = "moons"\npatence = 3\n',
            "config.toml: patence: received 3, expected a setting that moons has",
        ),
    ],
    ids=lambda value: value[:30],
)
def test_a_wrong_config_file_is_told_what_is_wrong(
    content: str, answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("config.toml").write_text(content)
    check_refused(["run", "config.toml"], answer, capsys, monkeypatch)


def test_nothing_heavy_is_imported_for_help_and_wrong_requests(tmp_path: Path) -> None:
    (tmp_path / "existing").mkdir()
    (tmp_path / "a-file").write_text("")
    (tmp_path / "file.py").write_text("def data(): ...\ndef build(x, y, *, units=64): ...\nimport tensorflow")
    requests = [
        ["--help"],
        ["--version"],
        ["moons", "--help"],
        ["run", "--help"],
        ["fit", "--help-all"],
        ["run", "nowhere.toml"],
        ["fit", "file.py", "--set", "units=many"],
        ["nonsense"],
    ]
    requests += [["moons", *args] for args, _ in WRONG]
    code = f"""
import json, sys
from stopcli.cli.main import main
statuses = []
for request in {requests!r}:
    try:
        main(request)
        statuses.append(0)
    except SystemExit as exited:
        statuses.append(exited.code)
print()
print(json.dumps([statuses, [name for name in {HEAVY!r} if name in sys.modules]]))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    statuses, heavy = json.loads(told.stdout.splitlines()[-1])
    assert statuses == [0] * 5 + [2] * (len(requests) - 5)
    assert heavy == []


def test_the_program_alone_shows_its_commands(stopcli: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    shown = stopcli("--help").stdout
    assert "moons" in shown
    assert "run" in shown
    assert stopcli("--version").stdout == "stopcli 0.1.0\n"


def test_a_bug_stays_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stopcli.cli.train.resolve", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["moons"])

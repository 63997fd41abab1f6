"""`--stop`: Prechelt's rules in a run. That it stops exactly where its metrics say, test_replay.py holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import run, summary_of
from refusals import check_refused

MOONS = ["moons", "--epochs", "600", "--hidden", "100", "--no-checkpoint", "--quiet"]


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow", "quick")
def test_the_first_of_several_rules_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*MOONS[:-1], "--patience", "500", "--stop", "gl:1000", "up:1:1", "--run-dir", "a") == 0
    stop = summary_of("a")["stop"]
    assert stop["reason"] == "strips_up"
    assert "the validation loss rose from strip to strip (val_loss UP=1 k=1)" in " ".join(
        capsys.readouterr().out.split()
    )
    assert 'stop = [\n    "gl:1000",\n    "up:1:1",\n]' in Path("a/config.toml").read_text()


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        (["--stop", "hunch:2"], "--stop: received 'hunch:2', expected KIND:VALUE, such as patience:200, gl:2"),
        (["--stop", "gl:2", "up:0"], "--stop: received 'up:0', expected a whole number ≥ 1 as s"),
        (["--stop"], "--stop: received '', expected one word or more"),
    ],
)
def test_wrong_rules_are_told(
    args: list[str], answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_refused(["moons", "--json", *args], answer, capsys, monkeypatch)

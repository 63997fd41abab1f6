"""What `stopcli verify-resume` says of what it found; that it finds it is tested with real kills in test_resume.py."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from program import run

from stopcli.runner import verify as verifying
from stopcli.runner.verify import Kill, Verification

KILLS = [Kill(1, "training", 0, 0), Kill(1, "saving", 3, 17), Kill(2, "saving", 4, 20)]


@pytest.fixture(params=[[[], []], [[], ["metrics.csv", "rules"]]], ids=["identical", "differing"])
def differences(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    class FakeVerifier:
        def __init__(self, *arguments: Any) -> None:
            pass

        def verify(self, kills: int) -> Iterator[Verification]:
            yield Verification(KILLS[:kills], request.param)

    monkeypatch.setattr(verifying, "Verifier", FakeVerifier)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return request.param


def test_json_is_all_of_it_alone_on_stdout(differences: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    status = run("verify-resume", "--kills", "3", "--json", "moons", "--epochs", "9")
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert "3 of 3 kills" in said.err
    assert told["identical"] is not any(differences)
    assert status == int(not told["identical"])
    assert told["verified"] == ["moons", "--epochs", "9"]
    assert told["kills"][1] == {"run": 1, "moment": "saving", "epoch": 3, "step": 17}
    assert told["runs"] == [{"run": i + 1, "differences": names} for i, names in enumerate(differences)]
    assert told["runs_dir"] is None if told["identical"] else Path(told["runs_dir"]).is_dir()


def test_words_say_the_same(differences: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    run("verify-resume", "--kills", "3", "--quiet")
    said = capsys.readouterr()
    assert said.err == ""
    assert "(from the start)" in said.out
    assert ("run 2: DIFFERS in metrics.csv, rules" in said.out) == any(differences)
    assert ("3 kills, 2 runs: every result is identical to the bit." in said.out) != any(differences)

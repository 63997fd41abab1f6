"""Runs that cannot be gone on with as they are: damaged, changed, held by others, unwritable, diverged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from program import run, status_of, summary_of
from refusals import check_refused
from small_runs import died

from stopcli.runner.verify import compare, fingerprint_of
from stopcli.runs.folder import RunFolder
from stopcli.training.state_file import StateStore, read_state

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.slow]


def flip(path: Path, where: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["truncated", "one bit early", "one bit late", "emptied"])
def test_a_damaged_newest_state_falls_back_to_the_one_before(
    damage: str, finished_moons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    died(finished_moons)
    newest, before = StateStore(Path("died/checkpoints/resume")).files()
    if damage == "truncated":
        newest.write_bytes(newest.read_bytes()[:-1000])
    elif damage == "emptied":
        newest.write_bytes(b"")
    else:
        flip(newest, 0.2 if damage == "one bit early" else 0.8)
    assert run("resume", "died") == 0
    said = capsys.readouterr().err
    assert f"{newest.name}: not a state that can be resumed" in said
    assert f"resuming after epoch {read_state(before).epoch}" in said
    assert compare(fingerprint_of(finished_moons), fingerprint_of(Path("died"))) == []


def test_when_no_state_can_be_read_nothing_is_touched(finished_moons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    died(finished_moons)
    for path in StateStore(Path("died/checkpoints/resume")).files():
        path.write_bytes(b"nothing")
    before = Path("died/metrics.csv").read_bytes()
    assert run("resume", "died") == 1
    assert "no saved state can be read" in capsys.readouterr().err
    assert Path("died/metrics.csv").read_bytes() == before


def test_a_missing_metrics_file_is_told(finished_moons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    died(finished_moons)
    Path("died/metrics.csv").unlink()
    assert run("resume", "died") == 2
    assert "died/metrics.csv: missing; it had" in capsys.readouterr().err


def test_two_processes_never_write_one_folder(capsys: pytest.CaptureFixture[str], finished_moons: Path) -> None:
    died(finished_moons, to="a")
    with RunFolder.reopen(Path("a")):
        assert run("resume", "a") == 2
        said = capsys.readouterr().err
        assert f"a is being written by process {status_of('a')['process']['pid']} on" in " ".join(said.split())
    # Whoever held it is gone: nothing stale is in the way.
    assert run("resume", "a", "--quiet") == 0


def test_what_has_changed_is_shown_and_refused(finished_moons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    died(finished_moons, to="a")
    config = Path("a/config.toml")
    config.write_text(config.read_text().replace("learning_rate = 0.001", "learning_rate = 0.002"))
    before = status_of("a")
    assert run("resume", "a") == 2
    assert "setting learning_rate: was 0.001, is 0.002" in capsys.readouterr().err
    assert status_of("a") == before
    assert run("resume", "a", "--force") == 0
    notes = json.loads(Path("a/environment.json").read_text())["resumed"][0]["notes"]
    assert notes == ["setting learning_rate: was 0.001, is 0.002"]


def test_another_version_and_other_data_are_refused(
    finished_moons: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    died(finished_moons, to="a")
    with monkeypatch.context() as patched:
        patched.setattr("stopcli.training.state_file.versions", lambda: {"tensorflow": "3", "keras": "4", "numpy": "5"})
        assert run("resume", "a") == 2
        assert "version of tensorflow: was '2." in capsys.readouterr().err
    with monkeypatch.context() as patched:
        patched.setattr("stopcli.runner.training_run.data_fingerprint", lambda parts: {"data": "others"})
        assert run("resume", "a") == 2
        assert "data: was" in capsys.readouterr().err
    assert run("resume", "a", "--quiet") == 0


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        (["resume", "nowhere"], "nowhere: no such folder"),
        (["resume", "empty"], "empty: not a run folder (config.toml and status.json missing)"),
        (["show", "empty"], "empty: not a run folder"),
        (["resume", "done"], "nothing is left to do"),
        (["resume", "done", "--epochs", "9000"], "stopped by val_loss patience=4000 min_delta=0.001, not"),
        (["moons", "--time-budget", "0s"], "--time-budget: received '0s', expected a length of time above 0"),
        (["moons", "--time-budget", "soon"], "--time-budget: received 'soon', expected a length of time such as 90s"),
        (["moons", "--save-every", "often"], "--save-every: received 'often', expected 'auto', a number of epochs"),
        (["moons", "--init-from", "nowhere"], "nowhere: no such folder"),
        (["moons", "--init-from", "empty"], "neither a .keras file nor a run with a saved model"),
        (["moons", "--init-from", "done", "--hidden", "30"], "its weights have shape 2×50 where this run's have 2×30"),
        (["moons", "--init-from", "junk.keras"], "junk.keras: not a .keras file (File is not a zip file)"),
        (["verify-resume", "--kills", "0"], "--kills: received 0, expected 1 or more"),
        (["verify-resume", "moons", "--seeds", "3"], "--seeds: not allowed here; verify-resume trains"),
    ],
)
def test_wrong_requests_are_told_and_leave_nothing(
    args: list[str],
    answer: str,
    finished_moons: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("empty").mkdir()
    Path("junk.keras").write_text("junk")
    shutil.copytree(finished_moons, "done")
    before = fingerprint_of(Path("done"))
    check_refused(args, answer, capsys, monkeypatch)
    assert compare(before, fingerprint_of(Path("done"))) == []


def test_a_diverged_run_is_not_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("moons", "--learning-rate", "1e30", "--quiet", "--run-dir", "a") == 1
    assert run("resume", "a") == 2
    assert "diverged (val_loss is nan)" in capsys.readouterr().err


def test_a_read_only_folder_is_told(finished_moons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    died(finished_moons, to="a")
    if os.geteuid() != 0:
        Path("a").chmod(0o555)
    elif subprocess.run(["mount", "--bind", "-o", "ro", "a", "a"], capture_output=True, check=False).returncode != 0:
        pytest.skip("root may write everywhere, and no read-only mount can be made here")
    before = status_of("a")
    try:
        assert run("resume", "a") in (1, 2)
        assert "cannot be written" in capsys.readouterr().err
        assert status_of("a") == before
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "a"], check=True)
        else:
            Path("a").chmod(0o755)
    assert run("resume", "a", "--quiet") == 0


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("seeds = 3", "describes a sweep, in the folder of a single run"),
        ('command = "train"', "config.toml: describes a run of train, in the folder of a run of moons"),
        ("seed = [1]", "config.toml: seed: received (1,), expected a whole number"),
    ],
)
def test_a_config_of_something_else_is_refused(
    line: str, answer: str, finished_moons: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished_moons, "changed")
    config, name = Path("changed/config.toml"), line.split(" = ")[0]
    kept = [
        each
        for each in config.read_text().splitlines()
        if not each.startswith(f"{name} =") and (name != "command" or each.startswith(("#", "seed")))
    ]
    config.write_text("\n".join([line, *kept]))
    check_refused(["resume", "changed"], answer, capsys, monkeypatch)


@pytest.mark.parametrize("name", ["log.txt", "summary.json", "report.html", "checkpoints"])
def test_what_lies_where_the_run_has_to_write_is_told_before_it_goes_on(
    name: str, finished_moons: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = died(finished_moons) / name
    if name == "checkpoints":
        shutil.rmtree(path)
        path.touch()
    else:
        path.unlink(missing_ok=True)
        path.mkdir()
    kind = "folder" if name == "checkpoints" else "file"
    check_refused(["resume", "died"], f"died/{name}: not a {kind}", capsys, monkeypatch)


def test_a_run_whose_own_files_are_damaged_goes_on_and_writes_them_again(
    finished_moons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished_moons, "damaged")
    for name, content in {"status.json": "[]", "summary.json": '{"stop": 3}', "environment.json": ""}.items():
        Path("damaged", name).write_text(content)
    assert run("resume", "damaged") == 0
    said = capsys.readouterr().err
    assert "damaged/status.json: damaged (received [], expected values by name); it is written again" in said
    assert "damaged/summary.json: damaged (command: missing); it is written again" in said
    assert "environment.json: damaged (not JSON: Expecting value" in said
    assert Path("damaged/environment-damaged-1.json").read_bytes() == b""
    assert status_of("damaged")["state"] == "finished"
    assert summary_of("damaged")["final"] == summary_of(finished_moons)["final"]
    assert compare(fingerprint_of(finished_moons), fingerprint_of(Path("damaged"))) == []

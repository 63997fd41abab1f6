"""Runs whose recorded files somebody has changed, or whose states are another run's: found out before training."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from program import run, status_of, summary_of
from small_runs import MOONS, died

from stopcli.runner.verify import compare, fingerprint_of
from stopcli.runs.tensorboard import EPOCHS_NAME
from stopcli.training.state_file import StateStore, read_state

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.slow]


def states_of(path: Path) -> list[Path]:
    return StateStore(path / "checkpoints/resume").files()


def content_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def another_digit(line: int, column: int) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        lines = content.split(b"\n")
        values = lines[line].split(b",")
        values[column] = values[column][:-1] + (b"7" if values[column][-1:] != b"7" else b"8")
        lines[line] = b",".join(values)
        return b"\n".join(lines)

    return change


CHANGES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "a digit": ("metrics.csv", another_digit(9, 2), "changed within its first"),
    "the head": ("metrics.csv", lambda content: content.replace(b"val_loss", b"loss_val", 1), "changed within"),
    "line ends": ("metrics.csv", lambda content: content.replace(b"\n", b"\r\n"), "its lines end otherwise"),
    "quotes": ("metrics.csv", lambda content: content.replace(b"\n7,", b'\n"7",', 1), "changed within its first"),
    "times": ("timing.csv", another_digit(1, 2), "changed within its first"),
    "cut": ("metrics.csv", lambda content: content[:-9000], "shorter than when the run was saved"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_record_is_refused_before_anything_is_trained_or_written(
    change: str, finished_moons: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    died(finished_moons)
    if change == "cut":
        states_of(Path("died"))[1].unlink()
    name, changed, answer = CHANGES[change]
    path = Path("died", name)
    path.write_bytes(changed(path.read_bytes()))
    before = content_of(Path("died"))
    monkeypatch.setattr("stopcli.runner.run.load_task", None)
    assert run("resume", "died") == 2
    said = capsys.readouterr().err
    assert f"Error: {path}: " in said
    assert answer in said
    assert "Restore the file as it was" in said
    assert "stopcli run died/config.toml starts over" in said
    assert content_of(Path("died")) == before


def test_a_record_changed_since_the_state_before_is_trained_again_from_there(
    finished_moons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    died(finished_moons)
    newest, before = states_of(Path("died"))
    epoch = read_state(before).epoch
    metrics = Path("died/metrics.csv")
    metrics.write_bytes(another_digit(epoch + 2, 2)(metrics.read_bytes()))
    assert run("resume", "died") == 0
    said = capsys.readouterr().err
    assert f"{newest}: does not match {metrics}: changed within its first" in said
    assert f"resuming after epoch {epoch}" in said
    assert "the state before it is used" in Path("died/log.txt").read_text()
    assert compare(fingerprint_of(finished_moons), fingerprint_of(Path("died"))) == []


def test_the_state_of_another_run_is_passed_over(finished_moons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*MOONS, "--seed", "5", "--quiet"]
    assert run(*words, "--run-dir", "other") == 0
    died(finished_moons)
    newest, before = states_of(Path("died"))
    foreign, _ = states_of(Path("other"))
    epoch = read_state(before).epoch
    newest.unlink()
    shutil.copy(foreign, newest)
    assert run("resume", "died") == 0
    said = capsys.readouterr().err
    assert f"{newest}: does not match died/metrics.csv: " in said
    assert f"resuming after epoch {epoch}" in said
    assert compare(fingerprint_of(finished_moons), fingerprint_of(Path("died"))) == []


def test_a_pipe_in_the_place_of_the_newest_state_is_passed_over(
    finished_moons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    died(finished_moons)
    newest, before = states_of(Path("died"))
    epoch = read_state(before).epoch
    newest.unlink()
    os.mkfifo(newest)
    assert run("resume", "died") == 0
    said = capsys.readouterr().err
    assert f"{newest}: not a state that can be resumed (not a regular file)" in said
    assert f"resuming after epoch {epoch}" in said
    assert compare(fingerprint_of(finished_moons), fingerprint_of(Path("died"))) == []


def test_changed_event_files_are_told_and_written_again(
    finished_moons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    died(finished_moons)
    states_of(Path("died"))[0].unlink()
    events = Path("died/tensorboard/validation", EPOCHS_NAME)
    content = bytearray(events.read_bytes())
    content[500] ^= 1
    events.write_bytes(content)
    assert run("resume", "died") == 0
    said = capsys.readouterr().err
    assert f"{events}: changed within its first" in said
    assert "it is written again from metrics.csv" in said
    assert str(Path("died/tensorboard/train")) not in said
    assert compare(fingerprint_of(finished_moons), fingerprint_of(Path("died"))) == []


def test_a_sweep_goes_on_without_the_job_whose_record_was_changed(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["moons", "--epochs", "600", "--save-every", "200", "--seeds", "2"]
    assert run(*words, "--run-dir", "a", "--quiet") == 0
    jobs = [Path(f"a/jobs/no-stopping-seed{seed}") for seed in range(2)]
    expected = [fingerprint_of(job) for job in jobs]
    for folder in (Path("a"), *jobs):
        Path(folder, "summary.json").unlink()
        Path(folder, "status.json").write_text(json.dumps({**status_of(folder), "state": "running"}))
    for job in jobs:
        states_of(job)[0].unlink()
    metrics = jobs[0] / "metrics.csv"
    whole = metrics.read_bytes()
    metrics.write_bytes(another_digit(9, 2)(whole))
    assert run("resume", "a") == 1
    said = capsys.readouterr().err
    assert f"{jobs[0].name} failed: {metrics.resolve()}: changed within its first" in said
    assert [job["state"] for job in summary_of("a")["jobs"]] == ["failed", "finished"]
    assert status_of(jobs[0])["outside"] is True
    # Put back, it goes on without being asked for.
    metrics.write_bytes(whole)
    assert run("resume", "a", "--quiet") == 0
    for job, fingerprint in zip(jobs, expected, strict=True):
        assert compare(fingerprint, fingerprint_of(job)) == []

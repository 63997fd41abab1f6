"""A disk that is full wherever it strikes: a fault from outside, told in a line, after which `resume` goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from program import run, status_of
from small_disk import FILLER, enlarge, fill, small_disk

from stopcli.runner.verify import compare, fingerprint_of

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.slow]

WORDS = ["moons", "--epochs", "1000", "--checkpoint-every", "700", "--save-every", "300"]
ROOM = 4096


@pytest.fixture(scope="module")
def whole(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run"
    assert run(*WORDS, "--quiet", "--run-dir", str(path)) == 0
    return path


@pytest.mark.parametrize("kibibytes", [4, 8, 16])
def test_no_room_for_the_first_files(kibibytes: int, capsys: pytest.CaptureFixture[str]) -> None:
    with small_disk(kibibytes) as disk:
        path = disk / "run"
        # What is no error of stopcli's would be raised here.
        status = run(*WORDS, "--run-dir", str(path))
        said = capsys.readouterr().err
        assert "Error: " in said
        assert "No space left on device" in said
        if status == 2:
            assert list(disk.iterdir()) == []
            return
        assert status == 1
        assert (status_of(path)["state"], status_of(path)["outside"]) == ("failed", True)
        enlarge(disk, ROOM)
        assert run("resume", str(path), "--quiet") == 0


@pytest.fixture
def full_before(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of the model before which the disk is filled, once it is put in here."""
    from stopcli.training import trainer

    names: list[str] = []
    save = trainer.save_model

    def save_model(model: Any, path: Path) -> None:
        if path.name in names:
            fill(Path("disk"))
        save(model, path)

    monkeypatch.setattr(trainer, "save_model", save_model)
    return names


@pytest.mark.parametrize("name", ["epoch_0700.keras", "best.keras", "final.keras"])
def test_no_room_for_a_model(
    name: str, whole: Path, full_before: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(ROOM) as disk:
        path = disk / "run"
        full_before.append(name)
        assert run(*WORDS, "--run-dir", str(path)) == 1
        said = capsys.readouterr().err
        assert f"cannot be written: No space left on device ({path / 'checkpoints' / name})" in said
        assert f"stopcli resume {path}" in said
        assert (status_of(path)["state"], status_of(path)["outside"]) == ("failed", True)
        assert not (path / "checkpoints" / name).exists()
        assert list(path.rglob(".new-*")) == []
        full_before.clear()
        (disk / FILLER).unlink()
        assert run("resume", str(path), "--quiet") == 0
        assert compare(fingerprint_of(whole), fingerprint_of(path)) == []


def test_a_sweep_goes_on_with_the_jobs_that_had_no_room(
    whole: Path, full_before: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(ROOM) as disk:
        path = disk / "sweep"
        full_before.append("final.keras")
        assert run(*WORDS, "--seeds", "2", "--run-dir", str(path)) == 1
        assert "cannot be written: No space left on device" in capsys.readouterr().err
        first = path / "jobs" / "no-stopping-seed0"
        assert (status_of(first)["state"], status_of(first)["outside"]) == ("failed", True)
        assert status_of(path)["outside"] is True
        full_before.clear()
        (disk / FILLER).unlink()
        # Without --retry-failed.
        assert run("resume", str(path), "--quiet") == 0
        assert compare(fingerprint_of(whole), fingerprint_of(first)) == []

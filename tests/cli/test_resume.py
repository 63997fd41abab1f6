"""Stop anywhere, go on exactly: `resume`, budgets, locks, faults, warm starts, `list`, `show`, `verify-resume`."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stopcli.cli.main import main
from stopcli.recipes.verifying import compare, fingerprint_of, model_arrays
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import read_metrics
from stopcli.training.resume_state import ResumeStore, read_state

pytestmark = [pytest.mark.usefixtures("tensorflow"), pytest.mark.slow]

# The commands that train, each with options that make it small and put everything into it that a state has to hold.
COMMANDS = {
    "moons": [
        "moons", "--batch-size", "8", "--hidden", "50", "--epochs", "6000", "--patience", "4000",
        "--min-delta", "0.001",
        "--checkpoint-every", "2000", "--restore-best", "--save-every", "500",
    ],
    "cifar-resnet": [
        "cifar-resnet", "--dataset", "digits", "--depth", "8", "--limit", "1000", "--epochs", "4",
        "--batch-size", "48", "--erasing", "--cutout", "6", "--lr-policy", "clr", "--step-size", "1",
        "--patience", "3", "--checkpoint-every", "2", "--save-every", "0.3s",
    ],
}  # fmt: skip
# How a command is made long enough to be killed several times.
LONGER = {"moons": "40000", "cifar-resnet": "6"}
# Every kill of a process that trains images costs a start of half a minute on a small machine.
KILLS = {"moons": "4", "cifar-resnet": "2"}


def run(*args: str) -> int:
    """The exit status of the program, run in this process."""
    try:
        main(list(args))
    except SystemExit as exited:
        return int(exited.code or 0)
    return 0


def summary_of(folder: Path | str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((Path(folder) / "summary.json").read_text())
    return read


def status_of(folder: Path | str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((Path(folder) / "status.json").read_text())
    return read


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of each command, by its name."""
    folder = tmp_path_factory.mktemp("finished")
    for name, words in COMMANDS.items():
        assert run(*words, "--quiet", "--run-dir", str(folder / name)) == 0
    return folder


def cut_back(run_dir: Path, epoch: int) -> None:
    """Make a finished run one that died after the save of an epoch, with more on record than the save knows."""
    store = ResumeStore(run_dir / "checkpoints" / "resume")
    assert store.load().point is not None
    for name in ("summary.json", "report.md"):
        (run_dir / name).unlink()
    shutil.rmtree(run_dir / "plots")
    for name in ("best.keras", "final.keras"):
        (run_dir / "checkpoints" / name).unlink()
    status = {**status_of(run_dir), "state": "running", "epoch": epoch}
    (run_dir / "status.json").write_text(json.dumps(status))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_that_died_after_a_save_comes_out_the_same(command: str, finished: Path) -> None:
    shutil.copytree(finished / command, "died")
    cut_back(Path("died"), 0)
    store = ResumeStore(Path("died/checkpoints/resume"))
    newest, _ = store.files()
    newest.unlink()
    # As a kill in the middle of a save leaves it.
    for folder in ("died", "died/checkpoints", "died/checkpoints/resume"):
        (Path(folder) / f".new-99999-{newest.name}").write_bytes(b"PK and then nothing")
    point = store.load().point
    assert point is not None
    assert point.stopped is None
    assert run("resume", "died") == 0
    assert compare(fingerprint_of(finished / command), fingerprint_of(Path("died"))) == []
    assert len(store.files()) == 2
    assert list(Path("died").rglob(".new-*")) == []
    assert json.loads(Path("died/environment.json").read_text())["resumed"][0]["from_epoch"] == point.epoch


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_without_any_saved_state_begins_again(command: str, finished: Path) -> None:
    shutil.copytree(finished / command, "died")
    cut_back(Path("died"), 0)
    shutil.rmtree("died/checkpoints")
    assert run("resume", "died") == 0
    assert compare(fingerprint_of(finished / command), fingerprint_of(Path("died"))) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_kills_at_random_moments_change_no_bit(command: str) -> None:
    options = [*COMMANDS[command]]
    options[options.index("--epochs") + 1] = LONGER[command]
    words = [sys.executable, "-m", "stopcli", "verify-resume", "--kills", KILLS[command], "--seed", "3", *options]
    told = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{KILLS[command]} kills" in told.stdout
    assert "every result is identical to the bit" in told.stdout


def test_a_difference_would_be_seen(finished: Path) -> None:
    expected = fingerprint_of(finished / "moons")
    assert {"metrics.csv", "rules", "best", "weights and slots 0", "best by keep 0"} <= expected.keys()
    assert any(name.startswith("best.keras") for name in expected)
    for name, value in expected.items():
        assert compare(expected, {**expected, name: value + b"x"}) == [name]
    assert compare(expected, {k: v for k, v in expected.items() if k != "rules"}) == ["rules"]


def flip(path: Path, where: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["truncated", "one bit early", "one bit late", "emptied"])
def test_a_damaged_newest_state_falls_back_to_the_one_before(
    damage: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished / "moons", "died")
    cut_back(Path("died"), 0)
    newest, before = ResumeStore(Path("died/checkpoints/resume")).files()
    if damage == "truncated":
        newest.write_bytes(newest.read_bytes()[:-1000])
    elif damage == "emptied":
        newest.write_bytes(b"")
    else:
        flip(newest, 0.2 if damage == "one bit early" else 0.8)
    assert run("resume", "died") == 0
    said = capsys.readouterr().err
    assert f"{newest.name}: not a state that can be resumed" in said
    assert f"going on after epoch {read_state(before).epoch}" in said
    assert compare(fingerprint_of(finished / "moons"), fingerprint_of(Path("died"))) == []


def test_when_no_state_can_be_read_nothing_is_touched(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(finished / "moons", "died")
    cut_back(Path("died"), 0)
    for path in ResumeStore(Path("died/checkpoints/resume")).files():
        path.write_bytes(b"nothing")
    before = Path("died/metrics.csv").read_bytes()
    assert run("resume", "died") == 1
    assert "no saved state can be read" in capsys.readouterr().err
    assert Path("died/metrics.csv").read_bytes() == before


def test_a_missing_metrics_file_is_told(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(finished / "moons", "died")
    cut_back(Path("died"), 0)
    ResumeStore(Path("died/checkpoints/resume")).files()[0].unlink()
    Path("died/metrics.csv").write_text("epoch,step\n")
    assert run("resume", "died") == 1
    assert "metrics.csv: shorter than when the run was saved" in capsys.readouterr().err
    Path("died/metrics.csv").unlink()
    assert run("resume", "died") == 1
    assert "metrics.csv" in capsys.readouterr().err


def test_a_full_disk_while_saving_keeps_the_last_good_state(finished: Path, tmp_path: Path) -> None:
    """A file-size limit between the size of a state and that of metrics.csv: the run fails in mid-training."""

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    words = [sys.executable, "-m", "stopcli", *COMMANDS["moons"], "--run-dir", "a"]
    failed = subprocess.run(words, capture_output=True, text=True, preexec_fn=small_files, check=False)
    assert failed.returncode == 1
    assert "cannot be written: File too large" in failed.stderr
    assert "stopcli resume a" in failed.stderr
    assert status_of("a")["state"] == "failed"
    point = ResumeStore(Path("a/checkpoints/resume")).load().point
    assert point is not None
    assert point.epoch > 0
    # With room again it goes on, and comes out as if nothing had been.
    assert run("resume", "a") == 0
    assert compare(fingerprint_of(finished / "moons"), fingerprint_of(Path("a"))) == []


def test_more_epochs_are_as_if_they_had_been_there_from_the_beginning() -> None:
    assert run("moons", "--epochs", "700", "--quiet", "--run-dir", "long") == 0
    assert run("moons", "--epochs", "300", "--quiet", "--run-dir", "short") == 0
    assert run("resume", "short", "--epochs", "700", "--quiet") == 0
    assert compare(fingerprint_of(Path("long")), fingerprint_of(Path("short"))) == []
    assert summary_of("short")["max_epochs"] == 700


def test_a_budget_pauses_and_each_resume_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("moons", "--epochs", "2000000", "--time-budget", "2s", "--run-dir", "a") == 0
    said = capsys.readouterr().err
    assert "Paused after epoch" in said
    assert "Go on with: stopcli resume a" in said
    first = summary_of("a")
    assert (first["state"], status_of("a")["state"], first["stop"]["reason"]) == ("paused", "paused", "time_budget")
    # Shorter than the program's own start: it gets on all the same.
    assert run("resume", "a", "--time-budget", "0.1s") == 0
    second = summary_of("a")
    assert second["epochs"] > first["epochs"]
    assert read_metrics(Path("a/metrics.csv"))["epoch"].tolist() == list(range(1, second["epochs"] + 1))


def test_an_interrupted_sweep_runs_what_is_not_finished() -> None:
    words = ["moons", "--epochs", "60000", "--hidden", "50", "--seeds", "3", "--save-every", "2000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "stopcli", *words, "--run-dir", "a"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(Path("a").glob("jobs/*/checkpoints/resume/*.state")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert run("resume", "a") == 0
    summary = summary_of("a")
    assert [job["state"] for job in summary["jobs"]] == ["finished"] * 3
    assert run("moons", "--epochs", "60000", "--hidden", "50", "--seed", "1", "--run-dir", "alone", "--quiet") == 0
    one, other = (fingerprint_of(Path(path)) for path in ("a/jobs/no-stopping-seed1", "alone"))
    assert compare(one, other) == []
    assert run("resume", "a") == 2


def test_two_processes_never_write_one_folder(capsys: pytest.CaptureFixture[str], finished: Path) -> None:
    shutil.copytree(finished / "moons", "a")
    cut_back(Path("a"), 0)
    with RunFolder.reopen(Path("a")):
        assert run("resume", "a") == 2
        said = capsys.readouterr().err
        assert f"a is being written by process {status_of('a')['process']['pid']} on" in " ".join(said.split())
    # Whoever held it is gone: nothing stale is in the way.
    assert run("resume", "a", "--quiet") == 0


def test_what_has_changed_is_shown_and_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(finished / "moons", "a")
    cut_back(Path("a"), 0)
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
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished / "moons", "a")
    cut_back(Path("a"), 0)
    with monkeypatch.context() as patched:
        patched.setattr(
            "stopcli.training.fingerprint.versions", lambda: {"tensorflow": "3", "keras": "4", "numpy": "5"}
        )
        assert run("resume", "a") == 2
        assert "version of tensorflow: was '2." in capsys.readouterr().err
    with monkeypatch.context() as patched:
        patched.setattr("stopcli.recipes.running.data_fingerprint", lambda parts: {"data": "others"})
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
        (["moons", "--time-budget", "0s"], "--time-budget: received '0s', expected more than no time at all"),
        (["moons", "--time-budget", "soon"], "--time-budget: received 'soon', expected a length of time such as 90s"),
        (["moons", "--save-every", "often"], "--save-every: received 'often', expected 'auto', a number of epochs"),
        (["moons", "--init-from", "nowhere"], "does not exist"),
        (["moons", "--init-from", "empty"], "neither a .keras file nor a run with a saved model"),
        (["moons", "--init-from", "done", "--hidden", "30"], "its weights have shape 2×50 where this run's have 2×30"),
        (["moons", "--init-from", "junk.keras"], "junk.keras: not a model that can be loaded"),
        (["verify-resume", "--kills", "0"], "--kills: received 0, expected 1 or more"),
        (["verify-resume", "moons", "--seeds", "3"], "--seeds cannot be used here"),
    ],
)  # fmt: skip
def test_wrong_requests_are_told_and_leave_nothing(
    args: list[str], answer: str, finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    Path("empty").mkdir()
    Path("junk.keras").write_text("junk")
    shutil.copytree(finished / "moons", "done")
    before = fingerprint_of(Path("done"))
    assert run(*args) == 2
    assert answer in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["done", "empty", "junk.keras"]
    assert compare(before, fingerprint_of(Path("done"))) == []


def test_a_diverged_run_is_not_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("moons", "--learning-rate", "1e30", "--quiet", "--run-dir", "a") == 1
    assert run("resume", "a") == 2
    assert "diverged (val_loss is nan)" in capsys.readouterr().err


def test_a_warm_start_begins_with_the_saved_weights_on_more_data(finished: Path) -> None:
    """The incremental scenario: trained on some data, then further on a grown data set."""
    words = ["--hidden", "50", "--batch-size", "8", "--epochs", "1", "--learning-rate", "1e-12", "--quiet"]
    assert run("moons", "--samples", "200", *words, "--init-from", str(finished / "moons"), "--run-dir", "a") == 0
    saved = model_arrays(finished / "moons/checkpoints/best.keras")
    kept = model_arrays(Path("a/checkpoints/final.keras"))
    names = [name for name in saved if name.startswith("layers/")]
    assert names
    for name in names:
        one, other = (np.frombuffer(arrays[name], dtype=np.float32) for arrays in (saved, kept))
        np.testing.assert_allclose(one, other, atol=1e-9)
    environment = json.loads(Path("a/environment.json").read_text())
    assert environment["init_from"]["path"].endswith("moons/checkpoints/best.keras")
    assert not environment["init_from"]["optimizer"]

    assert run("moons", *words, "--init-from", str(finished / "moons"), "--init-optimizer", "--run-dir", "b") == 0
    import keras

    before = keras.saving.load_model(finished / "moons/checkpoints/best.keras").optimizer
    after = keras.saving.load_model("b/checkpoints/final.keras").optimizer
    assert int(after.iterations) == int(before.iterations) + 4
    assert float(after.learning_rate) == pytest.approx(1e-12)


def test_runs_are_listed_and_shown_without_tensorflow(finished: Path) -> None:
    shutil.copytree(finished / "moons", "runs/one")
    shutil.copytree(finished / "moons", "runs/two")
    cut_back(Path("runs/two"), 1500)
    Path("runs/no-run").mkdir()
    code = """
import sys
from stopcli.cli.main import main
for words in (["list"], ["list", "--json"], ["show", "runs/one"], ["show", "runs/two"], ["show", "runs/one", "--json"]):
    try:
        main(words)
    except SystemExit as exited:
        assert not exited.code, exited.code
print([name for name in ("tensorflow", "keras", "matplotlib", "sklearn") if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"
    assert "runs/two: died, 1500 epochs" in told.stdout
    assert "Go on with: stopcli resume runs/two" in told.stdout
    assert "Stopped at epoch" in told.stdout
    listed = json.loads(subprocess.run(
        [sys.executable, "-m", "stopcli", "list", "--json"], capture_output=True, text=True, check=True
    ).stdout)  # fmt: skip
    assert {Path(line["path"]).name: line["state"] for line in listed} == {"one": "finished", "two": "died"}
    with RunFolder.reopen(Path("runs/two")):
        again = subprocess.run(
            [sys.executable, "-m", "stopcli", "show", "runs/two"], capture_output=True, text=True, check=True
        )
    assert "runs/two: running" in again.stdout


def test_a_second_signal_leaves_at_once_and_the_run_goes_on_from_its_last_save() -> None:
    words = ["moons", "--epochs", "100000000", "--save-every", "1000", "--batch-size", "8"]
    process = subprocess.Popen(
        [sys.executable, "-m", "stopcli", *words, "--run-dir", "a"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(Path("a").glob("checkpoints/resume/*.state")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"once more leaves at once" in said
    assert status_of("a")["state"] == "interrupted"
    assert run("resume", "a", "--time-budget", "1s", "--quiet") == 0


def test_a_read_only_folder_is_told(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(finished / "moons", "a")
    cut_back(Path("a"), 0)
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

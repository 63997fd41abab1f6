"""What stops a run before its end, and how it goes on: budgets, kills of a sweep, signals, a full disk."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked import PROGRAM, Forked, program, wait_for
from program import run, status_of, summary_of
from small_runs import MOONS

from stopcli.runner.verify import compare, fingerprint_of
from stopcli.runs.metrics import read_metrics
from stopcli.training.state_file import StateStore

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.slow]


@contextlib.contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Within the block, this process cannot write beyond so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_keeps_the_last_good_state(
    finished_moons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file-size limit between the size of a state and that of metrics.csv: the run fails in mid-training."""
    with files_limited_to(150_000):
        assert run(*MOONS, "--run-dir", "a") == 1
    said = capsys.readouterr().err
    assert "a: cannot be written: File too large" in said
    assert "Traceback" not in said
    assert "stopcli resume a" in said
    assert status_of("a")["state"] == "failed"
    assert len(read_metrics(Path("a/metrics.csv"))["epoch"]) > 100
    state = StateStore(Path("a/checkpoints/resume")).load().state
    assert state is not None
    assert state.epoch > 0
    # With room again it goes on, and comes out as if nothing had been.
    assert run("resume", "a") == 0
    assert compare(fingerprint_of(finished_moons), fingerprint_of(Path("a"))) == []


def test_a_run_that_went_on_while_its_data_were_read_is_not_trained_from_an_older_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where an hourly job resumes it while the last one still saves."""
    from stopcli.runner import run as run_module

    assert run("moons", "--hidden", "20", "--epochs", "40", "--run-dir", "a", "--quiet") == 0
    load_task = run_module.load_task

    def slowly(*arguments: object) -> object:
        task = load_task(*arguments)
        monkeypatch.setattr(run_module, "load_task", load_task)
        assert run("resume", "a", "--epochs", "60", "--quiet") == 0
        return task

    monkeypatch.setattr(run_module, "load_task", slowly)
    assert run("resume", "a", "--epochs", "80") == 2
    assert "a has gone on while its data were read" in capsys.readouterr().err
    assert (status_of("a")["state"], summary_of("a")["epochs"]) == ("finished", 60)


def test_a_budget_pauses_and_each_resume_has_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("moons", "--epochs", "2000000", "--time-budget", "1s", "--run-dir", "a") == 0
    said = "".join(capsys.readouterr())
    assert "Paused after epoch" in said
    assert "stopcli resume a" in said
    first = summary_of("a")
    assert (first["state"], status_of("a")["state"], first["stop"]["reason"]) == ("paused", "paused", "time_budget")
    # Over before it trains: it gets on all the same.
    assert run("resume", "a", "--time-budget", "0.001s") == 0
    second = summary_of("a")
    assert second["epochs"] > first["epochs"]
    (told,) = second["warnings"]
    assert re.fullmatch(
        r"time_budget=0.0s is too short for more than the first call of the training loop, which ended after \S+; "
        "a session does at least one, however small its budget",
        told,
    )
    assert f"Warning: {told}." in capsys.readouterr().err
    assert told in Path("a/report.md").read_text()
    assert read_metrics(Path("a/metrics.csv"))["epoch"].tolist() == list(range(1, second["epochs"] + 1))


def test_an_interrupted_sweep_runs_what_is_not_finished() -> None:
    settings = ["moons", "--epochs", "20000", "--hidden", "50"]
    words = [*settings, "--seeds", "3", "--save-every", "1000", "--run-dir", "a"]
    process = program(*words)
    wait_for("a/jobs/*/checkpoints/resume/*.state")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert any(status_of(job)["state"] != "finished" for job in Path("a/jobs").iterdir())
    assert run("resume", "a") == 0
    summary = summary_of("a")
    assert [job["state"] for job in summary["jobs"]] == ["finished"] * 3
    assert run(*settings, "--seed", "1", "--run-dir", "alone", "--quiet") == 0
    one, other = (fingerprint_of(Path(path)) for path in ("a/jobs/no-stopping-seed1", "alone"))
    assert compare(one, other) == []
    assert run("resume", "a") == 2


def test_a_second_signal_leaves_at_once_and_the_run_goes_on_from_its_last_save() -> None:
    words = ["moons", "--epochs", "100000000", "--save-every", "1000", "--batch-size", "8"]
    process = program(*words, "--run-dir", "a")
    wait_for("a/checkpoints/resume/*.state")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Press Ctrl-C again to quit without saving" in said
    assert status_of("a")["state"] == "interrupted"
    assert run("resume", "a", "--time-budget", "0.2s", "--quiet") == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_lost_connection_saves_however_many_signals_tell_of_it() -> None:
    """The terminal, the shell and the manager of the session each send theirs."""
    process = program("moons", "--epochs", "100000000", "--save-every", "1000s", "--run-dir", "a")
    wait_until_all_train([Path("a")])
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
        time.sleep(0.005)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 129, said
    assert status_of("a")["reason"] == "SIGHUP"
    check_interrupted([Path("a")])


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_run_that_was_told_to_ignore_hang_ups_trains_on() -> None:
    words = ["moons", "--epochs", "100000000", "--seeds", "2", "--run-dir", "a"]
    process = Forked("import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + PROGRAM, *words)
    wait_until_all_train(runs_of(2))
    process.send_signal(signal.SIGHUP)
    before = Path("a/jobs/no-stopping-seed0/metrics.csv").stat().st_size
    deadline = time.monotonic() + 60
    while Path("a/jobs/no-stopping-seed0/metrics.csv").stat().st_size < before + 100_000:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    check_interrupted(runs_of(2))


SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def runs_of(seeds: int) -> list[Path]:
    return [Path("a")] if seeds == 1 else [Path(f"a/jobs/no-stopping-seed{seed}") for seed in range(seeds)]


def wait_until_all_train(runs: list[Path]) -> None:
    deadline = time.monotonic() + 120
    while not all((path / "metrics.csv").exists() and (path / "metrics.csv").stat().st_size > 5000 for path in runs):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check_interrupted(runs: list[Path]) -> None:
    assert status_of("a")["state"] == "interrupted"
    for path in runs:
        summary = summary_of(path)
        assert (status_of(path)["state"], summary["stop"]["reason"]) == ("interrupted", "interrupted")
        assert len(read_metrics(path / "metrics.csv")["epoch"]) == summary["epochs"]
        assert (path / "checkpoints/best.keras").exists()


# Each signal once in a process of its own, as users send it.
@pytest.mark.parametrize(("number", "status", "seeds"), [(*SIGNALS[0], 1), (*SIGNALS[1], 2)])
def test_a_signal_saves_everything_and_tells(number: int, status: int, seeds: int) -> None:
    words = ["moons", "--epochs", "100000000", "--run-dir", "a", "--seeds", str(seeds)]
    process = program(*words)
    wait_until_all_train(runs_of(seeds))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    check_interrupted(runs_of(seeds))


@pytest.mark.parametrize(("number", "status", "seeds"), [(*SIGNALS[0], 2), (*SIGNALS[1], 1)])
def test_a_signal_to_this_process_saves_everything(number: int, status: int, seeds: int) -> None:
    def send() -> None:
        wait_until_all_train(runs_of(seeds))
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    words = ["--epochs", "100000000", "--run-dir", "a", "--seeds", str(seeds)]
    # Ends by itself where the signal does not come.
    assert run("moons", *words, "--time-budget", "100s") == status
    sender.join()
    check_interrupted(runs_of(seeds))

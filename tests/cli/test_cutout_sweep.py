"""`stopcli cutout-sweep` as users run it, and what becomes of it when processes, disks and runs fail."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import resource
import signal
from pathlib import Path

import pytest
from ray_nodes import ancestors, free_port, ray_node, wait_for_head, wait_for_nodes
from reports import check_same_again
from small_sweep import (
    JOBS,
    SMALL,
    finish,
    finish_forked,
    has_state,
    process_of,
    read,
    same,
    start,
    states,
    wait_until,
)

from stopcli.runs.metrics import read_metrics

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that nothing happened to, and what it said, in `said`."""
    sweep = tmp_path_factory.mktemp("sweeps") / "undisturbed"
    status, out, err = finish(*SMALL, "--json", "--run-dir", str(sweep), figures=True)
    assert status == 0, err
    assert json.loads(out) == read(sweep / "summary.json")
    (sweep / "said").write_text(err)
    return sweep


def test_a_sweep_leaves_what_a_user_wants_to_see(undisturbed: Path) -> None:
    names = {path.name for path in undisturbed.iterdir()}
    assert {"table.csv", "table.md", "jobs.csv", "summary.json", "report.md", "config.toml", "jobs", "plots"} <= names
    assert {path.name for path in (undisturbed / "plots").iterdir()} == {
        f"{figure}.{kind}" for figure in ("validation_error", "cost") for kind in ("png", "svg")
    }
    summary = read(undisturbed / "summary.json")
    assert (summary["state"], summary["finished"]) == ("finished", 2)
    assert [job["name"] for job in summary["jobs"]] == list(JOBS)
    assert [arm["m"] for arm in summary["arms"]] == [0, 2]
    rows = {job: read(undisturbed / "jobs" / job / "summary.json") for job in JOBS}
    with (undisturbed / "jobs.csv").open() as file:
        listed = {row["job"]: row["train_seconds"] for row in csv.DictReader(file)}
    assert [rows[job]["copies"] for job in JOBS] == [1, 2]
    # As published: more images, as many updates.
    assert {rows[job]["steps"] for job in JOBS} == {30}
    for arm, job in zip(summary["arms"], JOBS, strict=True):
        assert arm["images_mean"] == 960 * max(arm["m"], 1)
        last = read_metrics(undisturbed / "jobs" / job / "metrics.csv")["val_accuracy"][-1]
        assert arm["error_mean"] == pytest.approx(1 - last)
        assert arm["seconds_mean"] == pytest.approx(rows[job]["train_seconds"])
        assert 0 < rows[job]["validation_seconds"] < rows[job]["train_seconds"]
        told = rows[job]["train_seconds"] + rows[job]["validation_seconds"]
        assert rows[job]["train_and_validation_seconds"] == pytest.approx(told, abs=0.01)
        assert listed[job] == str(rows[job]["train_seconds"])
    assert [job["train_seconds"] for job in summary["jobs"]] == [rows[job]["train_seconds"] for job in JOBS]
    assert summary["conclusions"][0].startswith("Not distinguishable at n = 1")
    report = (undisturbed / "report.md").read_text()
    assert all(words in report for words in summary["conclusions"])
    assert "](plots/validation_error.png)" in report
    check_same_again(undisturbed)
    check_same_again(undisturbed / "jobs" / JOBS[1])


def test_each_job_is_a_run_of_its_own(undisturbed: Path) -> None:
    for job in JOBS:
        folder = undisturbed / "jobs" / job
        assert {"curves.png", "augmented.png", "confusion.png"} <= {path.name for path in (folder / "plots").iterdir()}
        config = (folder / "config.toml").read_text()
        assert 'command = "cifar-resnet"' in config
        assert "threads = 1\n" in config
        assert read(folder / "environment.json")["threads"]["intra_op"] == 1
        assert read(folder / "status.json")["state"] == "finished"


def test_the_sweeps_own_process_imports_no_tensorflow(undisturbed: Path) -> None:
    said = (undisturbed / "said").read_text()
    assert "imported []" in said
    assert "Runs: 2, 2 processes at a time, 1 thread each." in said or os.cpu_count() != 2
    assert "simple-seed0: finished at epoch 3" in said


def test_in_process_gives_the_same_numbers(undisturbed: Path, tmp_path: Path) -> None:
    status, _, err = finish_forked(*SMALL, "--executor", "in-process", "--run-dir", "a")
    assert status == 0, err
    assert "one after the other in this process, 1 thread each" in err
    assert same(tmp_path / "a", undisturbed)


def test_a_killed_worker_takes_no_other_run_along_and_is_resumed(undisturbed: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "a"
    process = start(*SMALL, "--run-dir", "a")
    wait_until(lambda: has_state(sweep, "m2-seed0"), process)
    os.kill(process_of(sweep, "m2-seed0"), signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "m2-seed0 died: its process was killed by SIGKILL" in err
    assert states(sweep) == {"simple-seed0": "finished", "m2-seed0": "died"}

    # Now its states are damaged: a run that raises, which is gone on with only where that is asked for.
    resume = sweep / "jobs" / "m2-seed0" / "checkpoints" / "resume"
    for path in resume.iterdir():
        path.write_bytes(b"no state")
    status, _, err = finish("resume", "a")
    assert status == 1
    assert "m2-seed0 failed:" in err
    assert "no saved state can be read" in err
    assert states(sweep)["m2-seed0"] == "failed"
    assert read(sweep / "status.json")["reason"] == "1 of 2 runs failed"
    finished = (sweep / "jobs" / "simple-seed0" / "summary.json").stat().st_mtime_ns

    status, _, err = finish("resume", "a")
    assert status == 2
    assert "nothing is left to do; 1 of 2 runs failed" in err
    assert "--retry-failed" in err

    for path in resume.iterdir():
        path.unlink()
    status, _, err = finish("resume", "a", "--retry-failed")
    assert status == 0, err
    assert same(sweep, undisturbed)
    assert finished == (sweep / "jobs" / "simple-seed0" / "summary.json").stat().st_mtime_ns, "run again"


def test_ctrl_c_saves_every_run_and_a_killed_sweep_goes_on(undisturbed: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "a"
    process = start(*SMALL, "--jobs", "1", "--run-dir", "a")
    wait_until(lambda: has_state(sweep, "simple-seed0"), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopcli resume a" in err
    assert read(sweep / "status.json")["state"] == "interrupted"
    assert states(sweep)["simple-seed0"] == "interrupted"
    assert states(sweep)["m2-seed0"] == "not begun"
    steps = read(sweep / "jobs" / "simple-seed0" / "summary.json")["steps"]
    assert steps > 0

    # The sweep's own process is killed: its runs notice, save and leave, and the next resume waits for them.
    process = start("resume", "a", "--jobs", "2")
    wait_until(lambda: has_state(sweep, "m2-seed0"), process)
    process.kill()
    process.communicate()
    status, _, err = finish("resume", "a", "--jobs", "2")
    assert status == 0, err
    assert same(sweep, undisturbed)


def test_a_full_disk_fails_the_runs_and_resume_completes_them(undisturbed: Path, tmp_path: Path) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    status, _, err = finish(*SMALL, "--run-dir", "a", preexec_fn=small_files)
    sweep = tmp_path / "a"
    assert status == 1
    assert "cannot be written: File too large" in err
    assert set(states(sweep).values()) == {"failed"}
    assert all(read(sweep / "jobs" / job / "status.json")["outside"] for job in JOBS)
    # A fault outside the runs: no --retry-failed is needed.
    status, _, err = finish("resume", "a")
    assert status == 0, err
    assert same(sweep, undisturbed)


def test_a_dry_run_tells_the_plan_and_leaves_nothing(tmp_path: Path) -> None:
    status, out, err = finish_forked(*SMALL, "--seeds", "2", "--json", "--dry-run", "--time-budget", "9h")
    assert status == 0, err
    plan = json.loads(out)
    assert [job["name"] for job in plan["jobs"]] == ["simple-seed0", "simple-seed1", "m2-seed0", "m2-seed1"]
    assert [job["images_a_batch"] for job in plan["jobs"]] == [32, 32, 64, 64]
    assert [job["updates"] for job in plan["jobs"]] == [30] * 4
    assert all(job["train_seconds"] > 0 for job in plan["jobs"])
    assert plan["seconds"] > max(job["train_seconds"] for job in plan["jobs"])
    assert plan["budget"]["choice"]["arms"] == ["simple", "m2"]
    assert plan["budget"]["choice"]["seeds"] > 2
    seeds = plan["budget"]["choice"]["seeds"]
    assert f"--seeds {seeds} " in plan["budget"]["command"]
    assert "--m 2 " in plan["budget"]["command"]
    assert plan["budget"]["command"] in err.replace("\n", " ")
    assert "Nothing was trained." in err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def ray_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token for the clusters of a test, so that none is written into the user's home."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 2)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_token")
def test_a_ray_cluster_that_loses_a_node_gives_the_same_numbers(undisturbed: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    address = f"127.0.0.1:{free_port()}"
    port = address.partition(":")[2]
    sweep = tmp_path / "a"
    with contextlib.ExitStack() as stack:
        stack.enter_context(ray_node("--head", "--port", port, "--include-dashboard=false"))
        wait_for_head(address)
        second = stack.enter_context(ray_node("--address", address))
        wait_for_nodes(address, 2)
        process = start(*SMALL, "--executor", "ray", "--ray-address", address, "--run-dir", "a")
        wait_until(lambda: has_state(sweep, "m2-seed0") and has_state(sweep, "simple-seed0"), process)
        # Every process of the second machine dies, with whichever run was on it.
        pids = {job: process_of(sweep, job) for job in JOBS}
        lost = {job: pid for job, pid in pids.items() if pid and second.pid in ancestors(pid)}
        os.killpg(second.pid, signal.SIGKILL)
        for pid in lost.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert len(lost) == 1, lost
    assert same(sweep, undisturbed)
    (name,) = lost
    resumed = read(sweep / "jobs" / name / "environment.json")["resumed"]
    assert len(resumed) == 1


@pytest.mark.ray
@pytest.mark.usefixtures("ray_token")
def test_ray_is_started_where_no_address_is_given_and_ctrl_c_saves(undisturbed: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    sweep = tmp_path / "a"
    process = start(*SMALL, "--executor", "ray", "--run-dir", "a")
    wait_until(lambda: has_state(sweep, "m2-seed0"), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert states(sweep)["m2-seed0"] == "interrupted"
    # Another executor goes on where Ray was stopped.
    status, _, err = finish("resume", "a", "--executor", "processes")
    assert status == 0, err
    assert same(sweep, undisturbed)

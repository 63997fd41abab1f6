"""What every executor on this machine does, whoever runs the jobs."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sweep_jobs import DoWhatItSays, Settings, Watch, jobs

from stopcli.sweeps import ray
from stopcli.sweeps.layout import InProcess, Processes
from stopcli.sweeps.plan import Executor, Job, JobContext, Mode

EXECUTORS: dict[str, Callable[[int], Executor]] = {"in-process": InProcess, "processes": Processes}


@pytest.fixture(params=EXECUTORS)
def make(request: pytest.FixtureRequest) -> Callable[[int], Executor]:
    return EXECUTORS[request.param]


def told(folder: Path, name: str, what: str) -> Any:
    return json.loads((folder / f"{name}.{what}").read_text())


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_run_once(make: Callable[[int], Executor], workers: int, tmp_path: Path) -> None:
    planned, watch = jobs("finish", "finish", "finish"), Watch(tmp_path)
    make(workers)(planned, DoWhatItSays(tmp_path), watch)
    assert sorted(watch.started) == ["job-0", "job-1", "job-2"]
    assert watch.errors == {"job-0": "", "job-1": "", "job-2": ""}
    assert watch.ticks > 0
    assert len(list(tmp_path.glob("*.done"))) == 3


def test_a_job_may_start_processes(make: Callable[[int], Executor], tmp_path: Path) -> None:
    """As one that decodes images, or a user's file that reads its rows in a pool."""
    watch = Watch(tmp_path)
    make(1)(jobs("pool"), DoWhatItSays(tmp_path), watch)
    assert watch.errors == {"job-0": ""}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_round_follows_when_all_jobs_of_the_last_one_have_ended(
    make: Callable[[int], Executor], workers: int, tmp_path: Path
) -> None:
    first, second, third = jobs("finish", "raise", "finish"), jobs(*["finish"] * 4)[3:], jobs(*["finish"] * 6)[4:]
    watch = Watch(tmp_path, rounds=[second, third])
    make(workers)(first, DoWhatItSays(tmp_path), watch)
    assert watch.started == [f"job-{i}" for i in range(6)]
    # After a stop there is no further round.
    stopped = Watch(tmp_path, stop=lambda watch: Mode.DRAIN if watch.errors else Mode.RUN, rounds=[second])
    make(1)(jobs("finish"), DoWhatItSays(tmp_path), stopped)
    assert stopped.started == ["job-0"]
    # A sweep that is resumed may have nothing left of its rounds so far.
    resumed = Watch(tmp_path, rounds=[second])
    make(1)([], DoWhatItSays(tmp_path), resumed)
    assert resumed.started == ["job-3"]


def test_a_job_that_fails_takes_no_other_down_and_says_why(make: Callable[[int], Executor], tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    make(1)(jobs("finish", "raise", "bug", "finish"), DoWhatItSays(tmp_path), watch)
    assert watch.errors == {"job-0": "", "job-1": "the disk is full", "job-2": "KeyError: 'bug'", "job-3": ""}


@pytest.mark.parametrize("workers", [1, 2])
def test_once_asked_to_stop_no_job_is_begun(make: Callable[[int], Executor], workers: int, tmp_path: Path) -> None:
    begun = tmp_path / "job-0.begun"
    watch = Watch(tmp_path, stop=lambda watch: Mode.DRAIN if begun.exists() else Mode.RUN)
    make(workers)(jobs(*["finish"] * 9), DoWhatItSays(tmp_path), watch)
    assert 1 <= len(watch.started) <= 2 * workers
    assert len(watch.errors) == len(watch.started), "what was begun ends by itself"


def test_a_job_that_runs_is_told_to_leave_and_why(make: Callable[[int], Executor], tmp_path: Path) -> None:
    begun = tmp_path / "job-0.begun"
    watch = Watch(tmp_path, stop=lambda watch: Mode.STOP if begun.exists() else Mode.RUN, why="fail fast")
    make(1)(jobs("wait", "finish"), DoWhatItSays(tmp_path), watch)
    assert watch.started == ["job-0"]
    assert told(tmp_path, "job-0", "done") == {"asked": True, "words": "fail fast"}


@pytest.mark.parametrize("workers", [1, 2])
def test_after_a_failure_that_ends_the_sweep_no_job_is_begun(
    make: Callable[[int], Executor], workers: int, tmp_path: Path
) -> None:
    def fail_fast(watch: Watch) -> Mode:
        return Mode.STOP if any(watch.errors.values()) else Mode.RUN

    watch = Watch(tmp_path, stop=fail_fast)
    make(workers)(jobs("raise", "wait", "finish", "finish"), DoWhatItSays(tmp_path), watch)
    assert watch.started == ["job-0", "job-1"][:workers]
    assert watch.errors["job-0"] == "the disk is full"


@pytest.mark.skipif(not hasattr(os, "setsid"), reason="this system has no sessions")
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_what_a_terminal_sends_while_processes_start_reaches_the_sweep_alone(name: str, tmp_path: Path) -> None:
    import multiprocessing
    import signal

    sweep = multiprocessing.get_context("spawn").Process(target=_in_a_group, args=(tmp_path,))
    sweep.start()
    _wait_until((tmp_path / "group").exists)
    os.killpg(int((tmp_path / "group").read_text()), getattr(signal, name))
    sweep.join(60)
    errors = told(tmp_path, "group", "errors")
    assert errors == {"job-0": "", "job-1": ""}


def _in_a_group(folder: Path) -> None:
    """A sweep in a session of its own, as a terminal's; its processes have just been begun."""
    from stopcli.runs.files import write_json, write_text
    from stopcli.training.session import stop_on_signals

    os.setsid()
    with stop_on_signals() as request:
        watch = Watch(folder, request=request)

        def stopping(watch: Watch) -> Mode:
            if len(watch.started) == 2:
                write_text(folder / "group", str(os.getpid()))
            return Mode.STOP if request.stop_requested else Mode.RUN

        watch.stop = stopping
        Processes(2)(jobs("wait", "wait"), DoWhatItSays(folder), watch)
        write_json(folder / "group.errors", watch.errors)


def test_threads_share_what_is_costly_to_make(tmp_path: Path) -> None:
    InProcess(1)(jobs("finish", "raise", "finish", "finish"), DoWhatItSays(tmp_path), Watch(tmp_path))
    assert told(tmp_path, "job-1", "begun")["loop_cache"] == ["job-0", "job-1"]
    # After a failure nobody knows what state it is in.
    assert told(tmp_path, "job-3", "begun")["loop_cache"] == ["job-2", "job-3"]


def test_a_loop_cache_serves_one_job_at_a_time(tmp_path: Path) -> None:
    both, loop_caches = threading.Barrier(2, timeout=10), set()

    def work(job: Job[Any], context: JobContext) -> None:
        assert context.loop_cache.setdefault("job", job.name) == job.name
        loop_caches.add(id(context.loop_cache))
        both.wait()
        del context.loop_cache["job"]

    watch = Watch(tmp_path)
    InProcess(2)(jobs(*["finish"] * 6), work, watch)
    assert len(loop_caches) == 2
    assert set(watch.errors.values()) == {""}


def test_a_process_that_is_killed_takes_nothing_along(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    Processes(2)(jobs("die", "finish", "finish"), DoWhatItSays(tmp_path), watch)
    assert watch.errors == {"job-0": "its process was killed by SIGKILL", "job-1": "", "job-2": ""}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not pin processes")
def test_processes_are_pinned_to_their_cores(tmp_path: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    shares: Sequence[tuple[int, ...]] = [(core,) for core in cores[:2]]
    Processes(len(shares), tuple(shares))(jobs("finish", "finish", "finish"), DoWhatItSays(tmp_path), Watch(tmp_path))
    seen = {tuple(told(tmp_path, f"job-{i}", "begun")["cores"]) for i in range(3)}
    assert seen == set(shares)
    assert len({told(tmp_path, f"job-{i}", "begun")["pid"] for i in range(3)}) == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not pin processes")
def test_fewer_jobs_than_workers_are_not_pinned(tmp_path: Path) -> None:
    """Another sweep of few jobs would be pinned to the same cores, beside idle ones."""
    cores = sorted(os.sched_getaffinity(0))
    shares: Sequence[tuple[int, ...]] = [(core,) for core in cores[:2]]
    Processes(2, tuple(shares))(jobs("finish"), DoWhatItSays(tmp_path), Watch(tmp_path))
    assert told(tmp_path, "job-0", "begun")["cores"] == cores


def test_processes_leave_when_the_sweeps_process_is_gone(tmp_path: Path) -> None:
    import multiprocessing

    sweep = multiprocessing.get_context("spawn").Process(
        target=Processes(1), args=(jobs("wait"), DoWhatItSays(tmp_path), Watch(tmp_path))
    )
    sweep.start()
    begun, done = tmp_path / "job-0.begun", tmp_path / "job-0.done"
    _wait_until(begun.exists)
    sweep.kill()
    _wait_until(done.exists)
    assert told(tmp_path, "job-0", "done") == {"asked": True, "words": "the end of the process that ran the sweep"}


def _wait_until(true: Callable[[], bool]) -> None:
    import time

    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def two_seeds_of_three_arms() -> list[Job[Settings]]:
    """Jobs as a sweep plans them: arm by arm, and what the others are compared with not first."""
    arms = {"cheap": 1.0, "dear": 9.0, "reference": 2.0}
    return [
        Job(f"{arm}-{seed}", arm, Settings(seed), cost, arm == "reference")
        for arm, cost in arms.items()
        for seed in range(2)
    ]


ROUNDS = [f"{arm}-{seed}" for seed in range(2) for arm in ("reference", "dear", "cheap")]


def test_jobs_are_begun_seed_by_seed_and_what_others_are_compared_with_first(
    make: Callable[[int], Executor], tmp_path: Path
) -> None:
    watch = Watch(tmp_path)
    make(1)(two_seeds_of_three_arms(), DoWhatItSays(tmp_path), watch)
    assert watch.started == ROUNDS


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_that_is_ended_early_leaves_whole_rounds(workers: int, tmp_path: Path) -> None:
    def after_a_round(watch: Watch) -> Mode:
        return Mode.DRAIN if len(watch.errors) >= 3 else Mode.RUN

    watch = Watch(tmp_path, stop=after_a_round)
    InProcess(workers)(two_seeds_of_three_arms(), DoWhatItSays(tmp_path), watch)
    assert set(ROUNDS[:3]) <= watch.errors.keys() <= set(ROUNDS[: 3 + workers])


def test_ray_is_handed_the_jobs_in_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cluster:
        """As much of Ray as hands in tasks, one of which is done at every look."""

        def is_initialized(self) -> bool:
            return True

        def nodes(self) -> list[dict[str, Any]]:
            return [{"Alive": True, "Resources": {"CPU": 1}}]

        def remote(self, **options: Any) -> Callable[[Any], Any]:
            return lambda task: SimpleNamespace(remote=lambda job, *others: job.name)

        def wait(self, references: list[str], **options: Any) -> tuple[list[str], list[str]]:
            return references[:1], references[1:]

        def get(self, reference: str) -> str:
            return ""

    monkeypatch.setattr(ray, "import_ray", Cluster)
    watch = Watch(tmp_path)
    ray.RayCluster("", workers=2, threads=1)(two_seeds_of_three_arms(), DoWhatItSays(tmp_path), watch)
    assert watch.started == ROUNDS

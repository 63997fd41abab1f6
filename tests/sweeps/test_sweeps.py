from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from stopcli.config import parse
from stopcli.errors import RunError
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.sweeps.execute import execute
from stopcli.sweeps.plan import Job, seed_jobs


def jobs(count: int) -> tuple[Job[MoonsConfig], ...]:
    return seed_jobs(parse(MoonsConfig, {"seed": 3, "seeds": count, "patience": 9}), "patience-9")


def summary_of(job: Job[Any], lane: dict[str, Any]) -> dict[str, Any]:
    return {"state": "finished", "seed": job.config.seed}


def test_a_sweep_is_a_named_job_for_each_seed() -> None:
    planned = jobs(3)
    assert [job.name for job in planned] == ["patience-9-seed3", "patience-9-seed4", "patience-9-seed5"]
    assert [(job.config.seed, job.config.seeds, job.config.patience) for job in planned] == [
        (3, 1, 9),
        (4, 1, 9),
        (5, 1, 9),
    ]


def test_results_come_in_the_order_of_the_jobs() -> None:
    def run(job: Job[Any], lane: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.02 if job.config.seed == 3 else 0)
        return summary_of(job, lane)

    results = execute(jobs(8), run, workers=4, stop=lambda: False)
    assert [result.job.config.seed for result in results] == list(range(3, 11))
    assert {result.state for result in results} == {"finished"}


def test_a_job_that_fails_takes_no_other_down_and_says_why() -> None:
    def run(job: Job[Any], lane: dict[str, Any]) -> dict[str, Any]:
        if job.config.seed == 4:
            raise RunError("the disk is full\nand more")
        if job.config.seed == 5:
            raise KeyError("bug")
        return summary_of(job, lane)

    results = execute(jobs(4), run, workers=2, stop=lambda: False)
    assert [result.state for result in results] == ["finished", "failed", "failed", "finished"]
    assert [result.reason for result in results] == ["", "the disk is full", "KeyError('bug')", ""]


def test_each_worker_keeps_a_lane_of_its_own() -> None:
    both = threading.Barrier(2, timeout=10)

    def run(job: Job[Any], lane: dict[str, Any]) -> dict[str, Any]:
        both.wait()
        lane.setdefault("made", threading.get_ident())
        return {"state": "finished", "made": lane["made"], "thread": threading.get_ident()}

    summaries = [result.summary for result in execute(jobs(6), run, workers=2, stop=lambda: False)]
    assert all(s is not None and s["made"] == s["thread"] for s in summaries)
    assert len({s["thread"] for s in summaries if s}) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_once_asked_to_stop_no_job_is_begun(workers: int) -> None:
    begun: list[int] = []

    def run(job: Job[Any], lane: dict[str, Any]) -> dict[str, Any]:
        begun.append(job.config.seed)
        return summary_of(job, lane)

    results = execute(jobs(50), run, workers=workers, stop=lambda: len(begun) >= 5)
    assert 5 <= len(results) == len(begun) < 50

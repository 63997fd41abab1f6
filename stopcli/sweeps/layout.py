"""How a sweep uses a machine: how many jobs at a time, with how many threads, on which cores."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from stopcli.configs.training import SweepSettings
from stopcli.control_groups import usable_cores
from stopcli.errors import ConfigError
from stopcli.quantities import counted
from stopcli.sweeps.plan import Executor
from stopcli.sweeps.processes import Processes
from stopcli.sweeps.threads import InProcess

# More workers than this would each compile for longer than they train.
MOST_WORKERS = 8


@dataclass(frozen=True)
class Layout:
    """Where and how a sweep's jobs run.

    Attributes:
        executor: `in-process`, `processes` or `ray`.
        workers: jobs at a time; with Ray, 0 for as many as its machines have cores for.
        threads: of TensorFlow in each job, which is a part of a job's settings; None where jobs share this process's.
        ray_address: of the cluster; empty for one that is started here.
        gpu: whether the jobs compute on a GPU.
    """

    executor: str
    workers: int
    threads: int | None
    ray_address: str = ""
    gpu: bool = False

    def make(self) -> Executor:
        """The executor."""
        if self.executor == "in-process":
            return InProcess(self.workers)
        if self.executor == "ray":
            from stopcli.sweeps.ray import RayCluster

            return RayCluster(self.ray_address, self.workers, self.threads or 1, self.gpu)
        return Processes(self.workers, core_shares(self.workers, self.threads or 1))

    def check(self) -> None:
        """Check that the executor is available, before anything is started.

        Raises:
            RequestError: Ray is not installed, or no cluster answers.
        """
        if self.executor == "ray":
            from stopcli.sweeps.ray import check_ray

            check_ray(self.ray_address)

    def describe(self) -> str:
        """The layout in words."""
        if self.threads is None:
            return f"{self.workers} at a time in this process"
        threads = f"{counted(self.threads, 'thread')} each"
        if self.executor == "in-process":
            return f"one after the other in this process, {threads}"
        if self.executor == "ray":
            return f"on Ray ({self.ray_address or 'this machine'}), {threads}"
        return f"{counted(self.workers, 'process', 'processes')} at a time, {threads}"


def plan_layout(config: Any, *, gpu: bool) -> Layout:
    """The layout that a sweep's settings ask for; what they leave open is what was measured to be fastest.

    That is one job a core with one thread each (benchmarks/sweep_throughput.py); on a GPU one job at a time, because
    jobs share it badly. A number of threads that the settings name, as those of a resumed sweep do, is kept.
    """
    cores = usable_cores()
    if not isinstance(config, SweepSettings):
        return Layout("in-process", min(cores, MOST_WORKERS), None)
    threads: int | None = getattr(config, "threads", None)
    if config.executor == "in-process":
        if config.jobs not in (None, 1):
            raise ConfigError("jobs", config.jobs, "1 with executor in-process, where runs share TensorFlow's threads")
        return Layout("in-process", 1, threads or cores, gpu=gpu)
    if config.executor == "ray":
        here = 0 if config.ray_address else max(1, cores // (threads or 1))
        if not config.ray_address and (threads or 1) > cores:
            raise ConfigError("threads", threads, f"at most the {counted(cores, 'core')} of this machine")
        return Layout("ray", config.jobs or here, threads or 1, config.ray_address, gpu=gpu)
    jobs = config.jobs or (1 if gpu else max(1, cores // threads) if threads else cores)
    return Layout("processes", jobs, threads or max(1, cores // jobs), gpu=gpu)


def core_shares(workers: int, threads: int) -> tuple[tuple[int, ...], ...]:
    """The cores of each worker; none where they would have to share cores, or where the system cannot pin them."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    cores = sorted(os.sched_getaffinity(0))
    if workers * threads > len(cores):
        return ()
    return tuple(tuple(cores[i * threads : (i + 1) * threads]) for i in range(workers))

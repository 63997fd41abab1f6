"""How the runs of a sweep share machines: threads or processes of this one, or Ray."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from stopcli.configs.training import SweepSettings
from stopcli.control_groups import usable_cores
from stopcli.errors import ConfigError, in_a_line
from stopcli.quantities import counted
from stopcli.signals import StopNow, release_signals, signal_name, stop_signals_held
from stopcli.sweeps.plan import TICK_SECONDS, Executor, Job, JobContext, SweepMonitor, Work, Workers
from stopcli.training.session import StopRequest, stop_on_signals


@dataclass(frozen=True)
class InProcess(Executor):
    """Runs jobs in threads of this process, `workers` (≥ 1) at a time; with one, one after the other."""

    workers: int = 1

    def workers_for(
        self, jobs: Sequence[Job[Any]], work: Work, monitor: SweepMonitor
    ) -> AbstractContextManager[Workers]:
        return contextlib.nullcontext(_Threads(self.workers, work, monitor.request))


class _Threads(Workers):
    def __init__(self, count: int, work: Work, request: StopRequest) -> None:
        self._work, self._request = work, request
        self._free = [JobContext(request) for _ in range(count)]
        self._ended: queue.SimpleQueue[tuple[Job[Any], JobContext, str]] = queue.SimpleQueue()

    @property
    def has_room(self) -> bool:
        return bool(self._free)

    def start(self, job: Job[Any]) -> None:
        threading.Thread(target=self._run, args=(job, self._free.pop()), name=job.name, daemon=True).start()

    def _run(self, job: Job[Any], context: JobContext) -> None:
        error = "its thread has ended"
        try:
            self._work(job, context)
            error = ""
        except Exception as failure:
            # The job's own folder says more; here it must not take the other jobs down.
            error = in_a_line(failure)
            context.loop_cache.clear()
        finally:
            self._ended.put((job, context, error))

    def wait(self) -> list[tuple[Job[Any], str]]:
        try:
            # With a timeout, so that signals are handled while the main thread waits.
            job, context, error = self._ended.get(timeout=TICK_SECONDS)
        except queue.Empty:
            return []
        self._free.append(context)
        return [(job, error)]

    def stop(self, why: str) -> None:
        if not self._request.stop_requested:
            self._request.cancel(why)


# How long processes that were killed may take to end.
_KILL_SECONDS = 10.0


@dataclass(frozen=True)
class Processes(Executor):
    """Runs jobs in processes, `workers` (≥ 1) at a time, each pinned to its cores; without any, wherever the system
    puts it."""

    workers: int
    cores: tuple[tuple[int, ...], ...] = ()

    @contextlib.contextmanager
    def workers_for(self, jobs: Sequence[Job[Any]], work: Work, monitor: SweepMonitor) -> Iterator[Workers]:
        # Fewer jobs leave cores free, as fewer workers do: see `core_shares`.
        cores = self.cores if len(jobs) >= self.workers else ()
        processes = _Processes(cores or ((),) * self.workers, work, monitor.request)
        try:
            yield processes
        finally:
            # Only after a second Ctrl-C or an error of stopcli's own are there any.
            processes.kill()


@dataclass(frozen=True)
class _JobProcess:
    job: Job[Any]
    process: BaseProcess
    pipe: Connection
    cores: tuple[int, ...]


class _Processes(Workers):
    def __init__(self, cores: Sequence[tuple[int, ...]], work: Work, request: StopRequest) -> None:
        self._free, self._work, self._request = list(cores), work, request
        self._processes: list[_JobProcess] = []

    @property
    def has_room(self) -> bool:
        return bool(self._free)

    def start(self, job: Job[Any]) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        cores = self._free[0]
        arguments = (job, self._work, theirs, cores, self._request.seconds_left)
        # No daemon, which could start no processes, as those that decode images, or a pool in a user's file.
        process = context.Process(target=_work, args=arguments, name=job.name, daemon=False)
        # Ctrl-C or a hang-up of the terminal reaches the new process too until it has left the session: held back until
        # then, as is what is sent to it alone before it can save.
        try:
            with stop_signals_held():
                process.start()
        finally:
            theirs.close()
        self._free.pop(0)
        self._processes.append(_JobProcess(job, process, ours, cores))

    def wait(self) -> Iterator[tuple[Job[Any], str]]:
        multiprocessing.connection.wait([running.process.sentinel for running in self._processes], timeout=TICK_SECONDS)
        for ended in [running for running in self._processes if not running.process.is_alive()]:
            self._processes.remove(ended)
            self._free.append(ended.cores)
            yield ended.job, _error(ended)

    def stop(self, why: str) -> None:
        for running in self._processes:
            # Where the job has just ended, nobody listens any more.
            with contextlib.suppress(OSError):
                running.pipe.send(why)

    def kill(self) -> None:
        for running in self._processes:
            running.process.kill()
        for running in self._processes:
            running.process.join(_KILL_SECONDS)


def _work(job: Job[Any], work: Work, pipe: Connection, cores: tuple[int, ...], budget_seconds: float | None) -> None:
    """What a job's process does."""
    if hasattr(os, "setsid"):
        # Ctrl-C in the terminal is for the process that runs the sweep, which then asks this one to stop, once.
        os.setsid()
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    # Output would tear the live table apart; the run's messages are in its log.
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(null, stream)
    reason = ""
    try:
        with stop_on_signals(budget_seconds) as request:
            release_signals()
            threading.Thread(target=_listen, args=(pipe, request), daemon=True).start()
            work(job, JobContext(request))
    except StopNow as stopped:
        os._exit(stopped.exit_status)
    except Exception as error:
        reason = in_a_line(error)
    try:
        pipe.send(reason)
    except OSError:
        # Nobody waits for it any more; it is in the folder too.
        sys.exit(1)


def _listen(pipe: Connection, request: StopRequest) -> None:
    """Save and stop when the sweep's process asks for it, or is gone: the pipe ends with it, however it died."""
    try:
        request.cancel(str(pipe.recv()))
    except (EOFError, OSError):
        request.cancel("the end of the process that ran the sweep")


def _error(ended: _JobProcess) -> str:
    """What ended a job's process, in words; empty where it ended by itself."""
    ended.process.join()
    try:
        if ended.pipe.poll():
            return str(ended.pipe.recv())
    except (EOFError, OSError):
        pass
    finally:
        ended.pipe.close()
    code = ended.process.exitcode
    if code is not None and code < 0:
        return f"its process was killed by {signal_name(-code)}"
    return f"its process ended with status {code}"


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
    # Runs that take less than a process takes to start share this one, its data and its compiled loop.
    if not isinstance(config, SweepSettings) or (config.executor == "auto" and getattr(config, "short_epochs", False)):
        most = min(cores, MOST_WORKERS)
        return Layout("in-process", min(getattr(config, "jobs", None) or most, most), None)
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
    """The cores of each worker; none where the workers do not fill the cores, or would have to share them, or where the
    system cannot pin them.

    Where there is room for another worker, another sweep may be what fills it, and would pin its own to the same cores:
    the system places them all better.
    """
    if not hasattr(os, "sched_getaffinity"):
        return ()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) // threads != workers:
        return ()
    return tuple(tuple(cores[i * threads : (i + 1) * threads]) for i in range(workers))

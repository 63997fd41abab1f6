"""Running a sweep's jobs in processes of this machine, each with its share of the cores.

Every job has a process of its own: one that is killed, or runs out of memory, takes nothing else along, and the number
of TensorFlow's threads, which a process chooses once, is the job's.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from stopcli.errors import in_a_line
from stopcli.signals import StopNow, release_signals, stop_signals_held
from stopcli.sweeps.plan import TICK_SECONDS, Executor, Job, JobContext, Supervisor, Work, Workers
from stopcli.training.session import StopRequest, stop_on_signals

# How long processes that were killed may take to end.
_KILL_SECONDS = 10.0


@dataclass(frozen=True)
class Processes(Executor):
    """Runs jobs in processes.

    Args:
        workers: how many at a time, ≥ 1.
        cores: that each of them is pinned to; empty for wherever the system puts them.
    """

    workers: int
    cores: tuple[tuple[int, ...], ...] = ()

    @contextlib.contextmanager
    def workers_for(self, jobs: Sequence[Job[Any]], work: Work, supervisor: Supervisor) -> Iterator[Workers]:
        processes = _Processes(self.cores or ((),) * self.workers, work, supervisor.request)
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
        process = context.Process(target=_work, args=arguments, name=job.name, daemon=True)
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
        known = {int(member): member.name for member in signal.Signals}
        return f"its process was killed by {known.get(-code, f'signal {-code}')}"
    return f"its process ended with status {code}"

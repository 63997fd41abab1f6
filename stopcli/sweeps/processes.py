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
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from stopcli.errors import in_a_line, system_words
from stopcli.signals import StopNow, release_signals, stop_signals_held
from stopcli.sweeps.plan import Job, JobContext, Mode, Supervisor, Work, in_rounds
from stopcli.training.session import StopRequest, stop_on_signals

_TICK_SECONDS = 0.2
# What a process that was asked to save and leave may take for it before it is left to itself.
_LEAVE_SECONDS = 10.0


@dataclass(frozen=True)
class _Running:
    job: Job[Any]
    process: BaseProcess
    pipe: Connection
    slot: int


@dataclass(frozen=True)
class Processes:
    """Runs jobs in processes.

    Args:
        workers: how many at a time, ≥ 1.
        cores: what each of them is pinned to; empty for wherever the system puts them.
    """

    workers: int
    cores: tuple[tuple[int, ...], ...] = ()

    def __call__(self, jobs: Sequence[Job[Any]], work: Work, supervisor: Supervisor) -> None:
        waiting, running = in_rounds(jobs), list[_Running]()
        slots = list(range(self.workers))
        asked_to_stop = False
        try:
            while running or (waiting and supervisor.mode() is Mode.RUN):
                while waiting and slots and supervisor.mode() is Mode.RUN:
                    job = waiting.pop(0)
                    supervisor.on_start(job)
                    try:
                        running.append(self._begin(job, work, supervisor, slots[0]))
                    except OSError as error:
                        # No process or no memory is to be had for it now.
                        supervisor.on_end(job, f"its process could not be begun: {system_words(error)}")
                        continue
                    slots.pop(0)
                if supervisor.mode() is Mode.STOP and not asked_to_stop:
                    asked_to_stop = True
                    for one in running:
                        _ask_to_leave(one.pipe, supervisor.why)
                multiprocessing.connection.wait([one.process.sentinel for one in running], timeout=_TICK_SECONDS)
                for one in [one for one in running if not one.process.is_alive()]:
                    running.remove(one)
                    slots.append(one.slot)
                    supervisor.on_end(one.job, _error(one))
                supervisor.tick()
        finally:
            # Left in a hurry, by a second Ctrl-C or by an error of ours.
            for one in running:
                one.process.kill()
            for one in running:
                one.process.join(_LEAVE_SECONDS)

    def _begin(self, job: Job[Any], work: Work, supervisor: Supervisor, slot: int) -> _Running:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        cores = self.cores[slot] if self.cores else ()
        process = context.Process(
            target=_work, args=(job, work, theirs, cores, supervisor.request.seconds_left), name=job.name, daemon=True
        )
        # Ctrl-C or a hang-up of the terminal reaches the new process too until it has left the session: held back until
        # then, as is what is sent to it alone before it can save.
        try:
            with stop_signals_held():
                process.start()
        finally:
            theirs.close()
        return _Running(job, process, ours, slot)


def _work(job: Job[Any], work: Work, pipe: Connection, cores: tuple[int, ...], budget_seconds: float | None) -> None:
    """What a job's process does."""
    if hasattr(os, "setsid"):
        # Ctrl-C in the terminal is for the process that runs the sweep, which then tells this one, once.
        os.setsid()
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    # Talk would tear the live table apart; what a run has to say stands in its log.
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
        # Nobody waits for it any more; the folder says it too.
        sys.exit(1)


def _listen(pipe: Connection, request: StopRequest) -> None:
    """Save and leave when the sweep's process says so, or is gone: the pipe ends with it, however it died."""
    try:
        request.cancel(str(pipe.recv()))
    except (EOFError, OSError):
        request.cancel("the end of the process that ran the sweep")


def _ask_to_leave(pipe: Connection, reason: str) -> None:
    # Where the job has just ended, nobody listens any more.
    with contextlib.suppress(OSError):
        pipe.send(reason)


def _error(one: _Running) -> str:
    """What took a job's process down, in words; empty where it ended by itself."""
    one.process.join()
    try:
        if one.pipe.poll():
            return str(one.pipe.recv())
    except (EOFError, OSError):
        pass
    finally:
        one.pipe.close()
    code = one.process.exitcode
    if code is not None and code < 0:
        known = {int(member): member.name for member in signal.Signals}
        return f"its process was killed by {known.get(-code, f'signal {-code}')}"
    return f"its process ended with status {code}"

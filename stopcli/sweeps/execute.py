"""Running a sweep's jobs in this process, several at a time.

Threads are enough where the work is compiled: TensorFlow lets go of Python's interpreter while a call runs. Each worker
has a lane, in which it keeps what is costly to make and serves one job after the other, such as a compiled loop.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from stopcli.config import AnyConfig
from stopcli.errors import StopcliError
from stopcli.sweeps.plan import Job


@dataclass(frozen=True)
class JobResult(Generic[AnyConfig]):
    """What became of a job: its summary, or the error that ended it."""

    job: Job[AnyConfig]
    summary: dict[str, Any] | None
    error: BaseException | None = None

    @property
    def state(self) -> str:
        return str(self.summary["state"]) if self.summary else "failed"

    @property
    def reason(self) -> str:
        """Why the job did not finish, in a line; empty where it did."""
        if self.error is not None:
            words = self.error.message if isinstance(self.error, StopcliError) else repr(self.error)
            return words.splitlines()[0]
        return "" if self.state == "finished" or self.summary is None else str(self.summary["stop"]["rule"])


def execute(
    jobs: Sequence[Job[AnyConfig]],
    run: Callable[[Job[AnyConfig], dict[str, Any]], dict[str, Any]],
    *,
    workers: int,
    stop: Callable[[], bool],
    tick: Callable[[], None] = lambda: None,
) -> list[JobResult[AnyConfig]]:
    """Run jobs, some at a time; a job that fails does not end the others.

    Args:
        run: (job, lane) → the job's summary. The lane is a dict of the worker's own.
        workers: how many at a time, ≥ 1.
        stop: asked before each job; once it says yes, no further job is begun.
        tick: called several times a second by the thread that waits, such as for a heartbeat.

    Returns:
        A result for each job that was begun, in the order of the jobs.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for i in range(len(jobs)):
        waiting.put(i)
    results: dict[int, JobResult[AnyConfig]] = {}

    def work() -> None:
        lane: dict[str, Any] = {}
        while not stop():
            try:
                i = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                results[i] = JobResult(jobs[i], run(jobs[i], lane))
            except Exception as error:
                # What went wrong stands in the job's own folder; here it must not take the other jobs down.
                results[i] = JobResult(jobs[i], None, error)
                lane.clear()

    threads = [threading.Thread(target=work, name=f"lane-{n}", daemon=True) for n in range(min(workers, len(jobs)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        # With a timeout, so that signals are handled while the main thread waits.
        while thread.is_alive():
            thread.join(timeout=0.2)
            tick()
    return [results[i] for i in sorted(results)]

"""Running a sweep's jobs in this process, several at a time.

Threads are enough where the work is compiled: TensorFlow lets go of Python's interpreter while a call runs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stopcli.errors import in_a_line
from stopcli.sweeps.plan import Job, JobContext, Mode, Supervisor, Work, in_rounds

_TICK_SECONDS = 0.2


@dataclass(frozen=True)
class InProcess:
    """Runs jobs in threads of this process; with one worker, one after the other.

    Args:
        workers: how many at a time, ≥ 1.
    """

    workers: int = 1

    def __call__(self, jobs: Sequence[Job[Any]], work: Work, supervisor: Supervisor) -> None:
        waiting: queue.SimpleQueue[Job[Any]] = queue.SimpleQueue()
        for job in in_rounds(jobs):
            waiting.put(job)
        # Told by the thread that waits.
        events: queue.SimpleQueue[_Event] = queue.SimpleQueue()

        def serve() -> None:
            loop_cache: dict[str, Any] = {}
            while supervisor.mode() is Mode.RUN:
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                events.put(_Event(job, None))
                error_text = ""
                try:
                    work(job, JobContext(supervisor.request, loop_cache))
                except Exception as error:
                    # What went wrong stands in the job's own folder; here it must not take the other jobs down.
                    error_text = in_a_line(error)
                    loop_cache.clear()
                ended = _Event(job, error_text)
                events.put(ended)
                # A failure may mean that no further job is to be begun.
                ended.handled.wait()

        threads = [threading.Thread(target=serve, name=f"worker-{n}", daemon=True) for n in range(self.workers)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            # With a timeout, so that signals are handled while the main thread waits.
            _tell(events, supervisor, timeout=_TICK_SECONDS)
            if supervisor.mode() is Mode.STOP and not supervisor.request.stop_requested:
                supervisor.request.cancel(supervisor.why)
            supervisor.tick()
        while _tell(events, supervisor, timeout=0):
            pass


@dataclass(frozen=True)
class _Event:
    """A job that has begun, or ended where there are words: empty ones where it ended by itself."""

    job: Job[Any]
    error_text: str | None
    handled: threading.Event = field(default_factory=threading.Event)


def _tell(events: queue.SimpleQueue[_Event], supervisor: Supervisor, timeout: float) -> bool:
    """Pass one event on. Returns whether there was one."""
    try:
        event = events.get(timeout=timeout) if timeout else events.get_nowait()
    except queue.Empty:
        return False
    if event.error_text is None:
        supervisor.on_start(event.job)
    else:
        supervisor.on_end(event.job, event.error_text)
    event.handled.set()
    return True

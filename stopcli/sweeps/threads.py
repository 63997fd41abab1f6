"""Running a sweep's jobs in this process, several at a time.

Threads are enough where the work is compiled: TensorFlow releases Python's interpreter while a call runs.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from stopcli.errors import in_a_line
from stopcli.sweeps.plan import TICK_SECONDS, Executor, Job, JobContext, Supervisor, Work, Workers
from stopcli.training.session import StopRequest


@dataclass(frozen=True)
class InProcess(Executor):
    """Runs jobs in threads of this process; with one worker, one after the other.

    Args:
        workers: how many at a time, ≥ 1.
    """

    workers: int = 1

    def workers_for(
        self, jobs: Sequence[Job[Any]], work: Work, supervisor: Supervisor
    ) -> AbstractContextManager[Workers]:
        return contextlib.nullcontext(_Threads(self.workers, work, supervisor.request))


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

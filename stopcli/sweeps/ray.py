"""Running a sweep's jobs on a Ray cluster: one task a job, on whichever machine has room.

The machines share the folder that the runs are in, and have the same stopcli installed. A task whose machine or process
dies is started again elsewhere by Ray, finds the job's folder, and resumes from its last saved state.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stopcli.errors import RequestError, ResourceError, in_a_line, system_words
from stopcli.sweeps.plan import TICK_SECONDS, Executor, Job, JobContext, SweepMonitor, Work, Workers
from stopcli.training.session import StopRequest

DEFAULT_PORT = 6379
# A running cluster answers within this; Ray itself would try for minutes.
ANSWER_SECONDS = 5.0
HEALTH_SECONDS = 20.0
# How often a task is started again whose machine died.
RETRIES = 4
_POLL_SECONDS = 0.5
# A job that has not saved and stopped within this is left to Ray.
_STOP_SECONDS = 120.0
# Jobs return only a text; Ray would reserve a third of the memory.
_STORE_BYTES = 80 * 1024 * 1024


@dataclass(frozen=True)
class RayCluster(Executor):
    """Runs jobs on a Ray cluster, after `check_ray`.

    Args:
        address: `auto` for the cluster that this machine belongs to, HOST or HOST:PORT of its head; empty for one that
            is started for this sweep, on this machine.
        workers: most jobs at a time; 0 for as many as there is room for.
        threads: cores that each job takes.
        gpu: whether each job takes a GPU.
    """

    address: str
    workers: int
    threads: int
    gpu: bool = False

    @contextlib.contextmanager
    def workers_for(self, jobs: Sequence[Job[Any]], work: Work, monitor: SweepMonitor) -> Iterator[Workers]:
        ray = import_ray()
        monitor.stop_file.unlink(missing_ok=True)
        with _connected(ray, self.address):
            self._check_room(ray)
            # A process runs one task: TensorFlow's threads are chosen once a process.
            options = {"num_cpus": self.threads, "num_gpus": int(self.gpu), "max_calls": 1, "max_retries": RETRIES}
            yield _Tasks(ray, ray.remote(**options)(_work), self.workers or sys.maxsize, work, monitor)
        monitor.stop_file.unlink(missing_ok=True)

    def _check_room(self, ray: Any) -> None:
        """Raise ResourceError where no machine could ever take a job: Ray would wait without saying so."""
        for kind, needed in (("CPU", self.threads), ("GPU", int(self.gpu))):
            most = max((node["Resources"].get(kind, 0) for node in ray.nodes() if node["Alive"]), default=0)
            if needed > most:
                raise ResourceError(
                    f"Ray: a run takes {needed} {kind}s, and no machine of the cluster has more than {most:g}",
                    hint="A new sweep with fewer --threads has room." if kind == "CPU" else "",
                )


class _Tasks(Workers):
    stop_seconds = _STOP_SECONDS

    def __init__(self, ray: Any, task: Any, count: int, work: Work, monitor: SweepMonitor) -> None:
        self._ray, self._task, self._count, self._work = ray, task, count, work
        self._stop_file = monitor.stop_file
        seconds = monitor.request.seconds_left
        # By the wall clock, which machines share; it also runs while a task waits for a core.
        self._deadline = None if seconds is None else time.time() + seconds
        self._tasks: dict[Any, Job[Any]] = {}

    @property
    def has_room(self) -> bool:
        return len(self._tasks) < self._count

    def start(self, job: Job[Any]) -> None:
        self._tasks[self._task.remote(job, self._work, str(self._stop_file), self._deadline, str(Path.cwd()))] = job

    def wait(self) -> Iterator[tuple[Job[Any], str]]:
        ended, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=TICK_SECONDS) if self._tasks else ([], [])
        for reference in ended:
            yield self._tasks.pop(reference), _error(self._ray, reference)

    def stop(self, why: str) -> None:
        self._stop_file.write_text(why, encoding="utf-8")


def import_ray() -> Any:
    """Ray, imported so that it uses its token. Raises RequestError where it is not installed."""
    _take_token()
    try:
        import ray
    except ImportError:
        raise RequestError(
            "--executor ray: Ray is not installed", hint="It comes with: pip install 'stopcli[ray]'"
        ) from None
    return ray


def check_ray(address: str) -> None:
    """Check that Ray is installed and a cluster answers at the address. Raises RequestError where it is not, or none
    does."""
    ray = import_ray()
    if not address or ray.is_initialized():
        return
    if address == "auto":
        _ask_health([])
        return
    host, port = split_address(address)
    try:
        socket.create_connection((host, port), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise _nobody(f"at {host}:{port}", system_words(error)) from None
    _ask_health(["--address", f"{host}:{port}"])


def _ask_health(where: list[str]) -> None:
    """Raise RequestError where no cluster answers. In a process, because Ray's own attempts cannot be cancelled."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", *where]
    address_text = f"at {where[1]}" if where else "on this machine (auto)"
    try:
        health = subprocess.run(command, capture_output=True, text=True, timeout=HEALTH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise _nobody(address_text, f"not within {HEALTH_SECONDS:.0f} s") from None
    if health.returncode == 0:
        return
    output = health.stdout + health.stderr
    if "AuthToken" in output:
        raise RequestError(
            f"--ray-address: the cluster {address_text} asks for a token",
            hint="Put it into RAY_AUTH_TOKEN or ~/.ray/auth_token.",
        )
    raise _nobody(address_text, "no cluster")


def _nobody(address_text: str, why: str) -> RequestError:
    return RequestError(
        f"--ray-address: nobody answers {address_text} ({why})",
        hint="A cluster is started on its first machine with: ray start --head",
    )


def _take_token() -> None:
    """Have Ray use its token, where there is one, also for clusters that it joins, not only for those that it starts.

    A cluster that needs none accepts one. Ray looks for it once, when it is imported.
    """
    has_token = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if has_token or (Path.home() / ".ray" / "auth_token").exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def split_address(address: str) -> tuple[str, int]:
    """Host and port. Raises RequestError where the port is not a number."""
    if "://" in address:
        raise RequestError(
            f"--ray-address: received {address!r}, expected auto, HOST or HOST:PORT of the cluster itself"
        )
    host, colon, port = address.rpartition(":")
    if not colon:
        return address, DEFAULT_PORT
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise RequestError(f"--ray-address: received {address!r}, expected auto, HOST or HOST:PORT")
    return host, int(port)


@contextlib.contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """A connection to the cluster, or to a new one, while the block runs."""
    if ray.is_initialized():
        # By a program that calls stopcli.
        yield
        return
    # A new cluster sends no usage data.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    where: dict[str, Any] = {"address": "local", "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    if address:
        where = {"address": address if address == "auto" else "{}:{}".format(*split_address(address))}
    # Ray replaces stopcli's handler by its own, which would quit without saving.
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", configure_logging=False, **where)
    except (ConnectionError, RuntimeError, ValueError) as error:
        hint = "`ray status` shows what the cluster is doing."
        if "AuthToken" in str(error.__cause__):
            hint = "The cluster asks for a token: on this machine, put it into RAY_AUTH_TOKEN or ~/.ray/auth_token."
        raise ResourceError(f"Ray: {in_a_line(error)}", hint=hint) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
    try:
        yield
    finally:
        ray.shutdown()


def _work(job: Job[Any], work: Work, stop_file: str, deadline: float | None, folder: str) -> str:
    """What a task does before the deadline, in seconds since 1970, in the sweep's working folder, where the machine has
    that. Returns the error that ended the job; empty where it ended by itself."""
    # The paths that a user's own file has may count from there. Ray starts its processes elsewhere.
    with contextlib.suppress(OSError):
        os.chdir(folder)
    seconds_left = None if deadline is None else deadline - time.time()
    if Path(stop_file).exists() or (seconds_left is not None and seconds_left <= 0):
        # The sweep ended while the task waited for a core.
        return ""
    request = StopRequest(seconds_left)
    over = threading.Event()
    threading.Thread(target=_watch, args=(Path(stop_file), request, over), daemon=True).start()
    # Ray forwards what tasks print to the process that started them, and keeps it in its own files.
    with Path(os.devnull).open("w") as null, contextlib.redirect_stdout(null):
        try:
            work(job, JobContext(request))
        except Exception as error:
            return in_a_line(error)
        finally:
            over.set()
    sys.stdout.flush()
    return ""


def _watch(stop_file: Path, request: StopRequest, over: threading.Event) -> None:
    """Ask a job to stop once the stop file exists: all machines share the sweep's folder."""
    while not over.wait(_POLL_SECONDS):
        with contextlib.suppress(OSError):
            request.cancel(stop_file.read_text(encoding="utf-8") or "the sweep")
            return


def _error(ray: Any, reference: Any) -> str:
    try:
        return str(ray.get(reference))
    except ray.exceptions.RayError as error:
        return f"Ray: {in_a_line(error)}"

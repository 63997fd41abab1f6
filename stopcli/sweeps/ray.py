"""Running a sweep's jobs on a Ray cluster: one task a job, on whichever machine has room.

The machines share the folder that the runs are in, and have the same stopcli installed. A task whose machine or process
dies is begun again elsewhere by Ray, finds the job's folder, and goes on from its last saved state.
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
from stopcli.sweeps.plan import Job, JobContext, Mode, Supervisor, Work, in_rounds
from stopcli.training.session import StopRequest

DEFAULT_PORT = 6379
# A cluster that is there answers within this; Ray itself would go on trying for minutes.
ANSWER_SECONDS = 5.0
HEALTH_SECONDS = 20.0
# How often a task is begun again whose machine died.
RETRIES = 4
_TICK_SECONDS = 0.2
_POLL_SECONDS = 0.5
# Jobs that were asked to leave save what they have; one that does not come back is left to Ray.
_LEAVE_SECONDS = 120.0
# Jobs hand nothing over but words; Ray would set a third of the memory aside.
_STORE_BYTES = 80 * 1024 * 1024


@dataclass(frozen=True)
class RayCluster:
    """Runs jobs on a Ray cluster, which `check_ray` has found to be there.

    Args:
        address: `auto` for the cluster that this machine belongs to, HOST or HOST:PORT of its head; empty for one that
            is started for this sweep, on this machine.
        workers: jobs at a time at the most; 0 for as many as there is room for.
        threads: cores that each job takes.
        gpu: whether each job takes a GPU.
    """

    address: str
    workers: int
    threads: int
    gpu: bool = False

    def __call__(self, jobs: Sequence[Job[Any]], work: Work, supervisor: Supervisor) -> None:
        ray = import_ray()
        stop_file = supervisor.stop_file
        stop_file.unlink(missing_ok=True)
        with _connected(ray, self.address):
            self._check_room(ray)
            # A process runs one task: TensorFlow's threads are chosen once a process.
            options = {"num_cpus": self.threads, "num_gpus": int(self.gpu), "max_calls": 1, "max_retries": RETRIES}
            task = ray.remote(**options)(_work)
            seconds_left = supervisor.request.seconds_left
            # By the wall clock, which machines share; a task that waits for a core spends of it.
            deadline = None if seconds_left is None else time.time() + seconds_left
            waiting, running = in_rounds(jobs), dict[Any, Job[Any]]()
            asked_at: float | None = None
            while running or (waiting and supervisor.mode() is Mode.RUN):
                room = self.workers or len(jobs)
                while waiting and len(running) < room and supervisor.mode() is Mode.RUN:
                    job = waiting.pop(0)
                    running[task.remote(job, work, str(stop_file), deadline)] = job
                    supervisor.on_start(job)
                if supervisor.mode() is Mode.STOP and asked_at is None:
                    asked_at = time.monotonic()
                    stop_file.write_text(supervisor.why, encoding="utf-8")
                if asked_at is not None and time.monotonic() - asked_at > _LEAVE_SECONDS:
                    break
                done, _ = ray.wait(list(running), num_returns=1, timeout=_TICK_SECONDS) if running else ([], [])
                for reference in done:
                    supervisor.on_end(running.pop(reference), _error(ray, reference))
                supervisor.tick()
        stop_file.unlink(missing_ok=True)

    def _check_room(self, ray: Any) -> None:
        """Raise ResourceError where no machine could ever take a job: Ray would wait for one without a word."""
        for kind, needed in (("CPU", self.threads), ("GPU", int(self.gpu))):
            most = max((node["Resources"].get(kind, 0) for node in ray.nodes() if node["Alive"]), default=0)
            if needed > most:
                raise ResourceError(
                    f"Ray: a run takes {needed} {kind}s, and no machine of the cluster has more than {most:g}",
                    hint="A new sweep with fewer --threads has room." if kind == "CPU" else "",
                )


def import_ray() -> Any:
    """Ray, imported so that it uses its token.

    Raises:
        RequestError: it is not installed.
    """
    _take_token()
    try:
        import ray
    except ImportError:
        raise RequestError(
            "--executor ray: Ray is not installed", hint="It comes with: pip install 'stopcli[ray]'"
        ) from None
    return ray


def check_ray(address: str) -> None:
    """Find out whether Ray is there, and a cluster answers at the address.

    Raises:
        RequestError: Ray is not installed, or nobody answers.
    """
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
    """Raise RequestError where no cluster answers. In another process, because Ray's own attempts cannot be ended."""
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
        hint="A cluster is begun on its first machine with: ray start --head",
    )


def _take_token() -> None:
    """Have Ray use its token, where there is one: a cluster may ask for it, and one that does not takes it too.

    Ray does so by itself for the clusters that it starts, but not for those that it joins; it looks once, when it is
    imported.
    """
    has_token = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if has_token or (Path.home() / ".ray" / "auth_token").exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def split_address(address: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        RequestError: the port is no number.
    """
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
    """A connection to the cluster, or a cluster of one's own, while the block runs."""
    if ray.is_initialized():
        # Whoever calls stopcli within a program of theirs has chosen one.
        yield
        return
    # A cluster of our own sends nobody anything.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    where: dict[str, Any] = {"address": "local", "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    if address:
        where = {"address": address if address == "auto" else "{}:{}".format(*split_address(address))}
    # Ray puts a handler of its own in the place of ours, which would leave without saving.
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


def _work(job: Job[Any], work: Work, stop_file: str, deadline: float | None) -> str:
    """What a task does. Returns the error that ended the job, in words; empty where it ended by itself.

    Args:
        deadline: in seconds since 1970, of the time budget; None where there is none.
    """
    seconds_left = None if deadline is None else deadline - time.time()
    if Path(stop_file).exists() or (seconds_left is not None and seconds_left <= 0):
        # It has waited for a core until the sweep was over.
        return ""
    request = StopRequest(seconds_left)
    over = threading.Event()
    threading.Thread(target=_watch, args=(Path(stop_file), request, over), daemon=True).start()
    # Ray forwards what tasks print to whoever began them, and keeps it in files of its own.
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
    """Ask a job to leave when the sweep's folder says so: the folder is what all machines share."""
    while not over.wait(_POLL_SECONDS):
        with contextlib.suppress(OSError):
            request.cancel(stop_file.read_text(encoding="utf-8") or "the sweep")
            return


def _error(ray: Any, reference: Any) -> str:
    try:
        return str(ray.get(reference))
    except ray.exceptions.RayError as error:
        return f"Ray: {in_a_line(error)}"

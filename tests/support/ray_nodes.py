"""Nodes of a Ray cluster on this machine, and which processes are theirs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def ray_node(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node of a Ray cluster, in the foreground, with a session of its own to be killed by."""
    ray = Path(sys.executable).with_name("ray")
    command = [str(ray), "start", "--block", "--disable-usage-stats", "--num-cpus", "1", *argv]
    node = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield node
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()


# A client of a cluster takes seconds to begin, so one of them waits.
_WAIT = """
import sys, time
import ray
ray.init(address=sys.argv[1], logging_level="ERROR")
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    time.sleep(0.1)
"""


def wait_for_head(address: str) -> None:
    """Wait until somebody answers at an address; other nodes can be started then."""
    host, _, port = address.partition(":")
    deadline = time.monotonic() + 90
    while True:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=5):
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_for_nodes(address: str, count: int) -> None:
    """Wait until a cluster that has begun has so many nodes."""
    command = [sys.executable, "-c", _WAIT, address, str(count)]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert completed.returncode == 0, completed.stderr


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def ancestors(pid: int) -> set[int]:
    """The processes that a process descends from, by their numbers."""
    pids = set()
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
        pids.add(pid)
    return pids

"""Running sweeps as the program itself does, each in its own process: TensorFlow's state belongs to a process."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from stopcli.config import to_toml
from stopcli.runs.files import read_json, write_text
from stopcli.runs.scratch import temporary_files
from stopcli.studies.reproducing.planning import Progress, Sweep
from stopcli.training.interruption import StopRequest

_POLL_SECONDS = 0.05


def run_sweep(sweep: Sweep, progress: Progress, request: StopRequest, output_options: Sequence[str] = ()) -> str:
    """Start or resume a sweep, and wait until its process has ended.

    A signal to this process is forwarded to it once, and it saves. What it prints goes to stderr; its results are read
    from its folder.

    Args:
        request: what ends it from outside; its time budget is the sweep's.
        output_options: how much it prints.

    Returns:
        Why it failed; empty where it did not.
    """
    with temporary_files(sweep.folder), tempfile.TemporaryDirectory(prefix="stopcli-reproduce-") as folder:
        config = Path(folder) / f"{sweep.experiment}.toml"
        write_text(config, to_toml(sweep.config))
        argv = ["run", str(config), "--run-dir", str(sweep.folder)]
        if progress == "unfinished":
            argv = ["resume", str(sweep.folder), *(["--retry-failed"] if sweep.config.is_sweep else [])]
        if request.seconds_left is not None:
            # A budget of nothing is refused; a sweep that gets one ends after its first call.
            argv += ["--time-budget", f"{max(request.seconds_left, 0.1):.1f}s"]
        status = _wait([sys.executable, "-m", "stopcli", *argv, *output_options], request)
    # A process that was asked to stop did not fail, whatever its status.
    return "" if request.signalled or not status else _failure(sweep, status)


def _wait(command: Sequence[str], request: StopRequest) -> int:
    # A session of its own: Ctrl-C at a terminal goes to a whole group, and the second signal would not let it save.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    forwarded = False
    try:
        while process.poll() is None:
            if request.signalled and not forwarded:
                forwarded = True
                # Also where this process got a SIGHUP, which no second signal would follow: see stop_on_signals.
                process.send_signal(signal.SIGINT if request.exit_status == 128 + signal.SIGINT else signal.SIGTERM)
            time.sleep(_POLL_SECONDS)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    return process.returncode


def _failure(sweep: Sweep, status: int) -> str:
    """Why a process failed, from its exit status and its folder."""
    reasons = [str(read_json(sweep.folder / "status.json").get("reason", ""))]
    jobs = read_json(sweep.folder / "summary.json").get("jobs") or ()
    reasons += [f"{job['name']}: {job['reason']}" for job in jobs if job.get("reason")]
    ending = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    return ": ".join(filter(None, (ending, "; ".join(filter(None, reasons)))))

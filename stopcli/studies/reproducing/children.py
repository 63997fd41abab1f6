"""Running sweeps as the program itself does, each in a process of its own: TensorFlow's state is a process's."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from stopcli.config import to_toml
from stopcli.counts import counted
from stopcli.durations import format_duration
from stopcli.runs.files import read_json, write_text
from stopcli.runs.scratch import temporary_files
from stopcli.signals import StopNow
from stopcli.studies.reproducing.planning import Progress, Sweep
from stopcli.training.interruption import StopRequest

_POLL_SECONDS = 0.05


def run_sweep(sweep: Sweep, progress: Progress, request: StopRequest, talk: Sequence[str] = ()) -> str:
    """Begin a sweep, or go on with it, and wait until its process has ended.

    It is told once of a signal that this process gets, and saves. Its talk goes to stderr; its results are read from
    its folder.

    Args:
        request: what ends it from outside; its time budget is the sweep's.
        talk: options for how much it says.

    Returns:
        Why it failed, in words; empty where it did not.
    """
    with temporary_files(sweep.folder), tempfile.TemporaryDirectory(prefix="stopcli-reproduce-") as folder:
        config = Path(folder) / f"{sweep.experiment}.toml"
        write_text(config, to_toml(sweep.config))
        words = ["run", str(config), "--run-dir", str(sweep.folder)]
        if progress == "unfinished":
            words = ["resume", str(sweep.folder), *(["--retry-failed"] if sweep.config.is_sweep else [])]
        if request.seconds_left is not None:
            # A budget of nothing is refused; a sweep that gets one ends after its first call.
            words += ["--time-budget", f"{max(request.seconds_left, 0.1):.1f}s"]
        status = _wait([sys.executable, "-m", "stopcli", *words, *talk], request)
    # Whatever a process that was told to leave makes of it, it did not fail.
    return "" if request.signalled else _problem(sweep, status)


def _wait(command: Sequence[str], request: StopRequest) -> int:
    # A session of its own: Ctrl-C at a terminal goes to a whole group, and the second signal would not let it save.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    told = False
    try:
        while process.poll() is None:
            if request.signalled and not told:
                told = True
                # Also where this process got a SIGHUP, which no second signal would follow: see stop_on_signals.
                process.send_signal(signal.SIGINT if request.exit_status == 128 + signal.SIGINT else signal.SIGTERM)
            time.sleep(_POLL_SECONDS)
    except StopNow:
        process.terminate()
        process.wait()
        raise
    except BaseException:
        process.terminate()
        process.wait()
        raise
    return process.returncode


def _problem(sweep: Sweep, status: int) -> str:
    """Why a process failed, in words; empty where it did not."""
    if not status:
        return ""
    reason = str(read_json(sweep.folder / "status.json").get("reason", ""))
    failed = [
        f"{job['name']}: {job['reason']}"
        for job in read_json(sweep.folder / "summary.json").get("jobs") or ()
        if job.get("reason")
    ]
    told = "; ".join([reason, *failed] if reason else failed)
    ended = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    return f"{ended}{': ' + told if told else ''}"


def describe(sweep: Sweep, progress: Progress) -> str:
    """What is about to be done for a sweep, in words."""
    runs = len(sweep.config.arms()) * sweep.config.seeds
    what = f"{sweep.name}: {counted(runs, 'run')} of {sweep.config.command}"
    return {
        "new": f"{what}, to be run in {sweep.folder}",
        "unfinished": f"{what}, to be gone on with in {sweep.folder}",
        "finished": f"{what}, finished already in {sweep.folder}",
        "diverged": f"{what}, of which some diverged and none is left to do, in {sweep.folder}",
    }[progress]


def took(sweep: Sweep) -> str:
    """How long a sweep took, by its own summary, in words; a dash where it has none."""
    seconds = (read_json(sweep.folder / "summary.json").get("seconds") or {}).get("total")
    if not isinstance(seconds, (int, float)):
        return "–"
    sessions = 1 + len(read_json(sweep.folder / "environment.json").get("resumed") or ())
    return format_duration(float(seconds)) + (f" (the last of {sessions} sessions)" if sessions > 1 else "")

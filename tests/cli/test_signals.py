"""Signals outside of training: while the program starts, reads, prints and ends. Those of a run: test_interruptions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from program import status_of
from written_runs import write_run

# Sends the process a signal when something is imported for the first time.
SEND = """
import os, signal, sys
number, moment = int(sys.argv.pop(1)), sys.argv.pop(1)
class Send:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Send())
if moment == "end":
    import atexit
    atexit.register(os.kill, os.getpid(), number)
"""
PROGRAM = "from stopcli.cli.main import main\nmain()\n"
COMPARE = ("compare", "a", "b", "--run-dir", "c")
# While the commands are imported; in one of them; within its folder.
MOMENTS = ["stopcli.cli.app", "typer", "rich.console", "stopcli.analysis.compare"]


def started(number: int, moment: str, *words: str, ignored: bool = False) -> subprocess.CompletedProcess[str]:
    code = SEND + PROGRAM
    if ignored:
        code = f"import signal; signal.signal({number}, signal.SIG_IGN)\n" + code
    return subprocess.run(
        [sys.executable, "-c", code, str(int(number)), moment, *words],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture(autouse=True)
def runs() -> None:
    write_run("a", accuracy=0.9)
    write_run("b", accuracy=0.95, hidden=7)


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_before_anything_is_done_is_one_line(moment: str) -> None:
    told = started(signal.SIGINT, moment, *COMPARE)
    assert (told.returncode, told.stdout) == (130, "")
    assert told.stderr.splitlines() == ["Interrupted by Ctrl-C."]
    assert not Path("c").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_other_signals_are_told_too(name: str, status: int) -> None:
    told = started(getattr(signal, name), "typer", "list")
    assert (told.returncode, told.stderr) == (status, f"Interrupted by {name}.\n")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_process_that_is_told_to_ignore_hang_ups_does() -> None:
    told = started(signal.SIGHUP, "typer", "list", ignored=True)
    assert told.returncode == 0
    assert told.stderr.startswith("No runs in runs; ")


def test_ctrl_c_in_mid_work_marks_the_folder() -> None:
    """The figures are drawn once the folder is there."""
    told = started(signal.SIGINT, "matplotlib.backends.backend_agg", *COMPARE)
    assert told.returncode == 130
    # After the answers, which are printed first.
    assert told.stderr.splitlines()[-1] == "Interrupted by Ctrl-C."
    assert (status_of("c")["state"], status_of("c")["reason"]) == ("interrupted", "Ctrl-C")


def test_a_signal_once_everything_is_printed_changes_nothing() -> None:
    told = started(signal.SIGINT, "end", "show", "a", "--json")
    assert (told.returncode, told.stderr) == (0, "")
    assert '"state": "finished"' in told.stdout


def test_ctrl_c_ends_verify_resume_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """In its first seconds, while the server of its processes imports TensorFlow."""
    with Path("said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "stopcli", "verify-resume"],
            stdout=said,
            stderr=said,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("stopcli-verify-resume-*")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert Path("said").read_text().splitlines()[1:] == ["Interrupted by Ctrl-C."]
    assert not list(tmp_path.glob("stopcli-verify-resume-*"))


def test_main_leaves_the_handlers_of_a_program_that_calls_it() -> None:
    code = """
import signal
from stopcli.cli.main import main
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
try:
    main(["list"])
except SystemExit as left:
    assert left.code == 0
assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=180, env=dict(os.environ), check=False).returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_process_that_a_users_file_forks_ends_by_a_signal_as_if_nothing_handled_it() -> None:
    code = (
        "import os, signal, time\n"
        "from stopcli.signals import handle_stop_signals\n"
        "handle_stop_signals(lambda number, frame: os._exit(3))\n"
        "ready, started = os.pipe()\n"
        "worker = os.fork()\n"
        "if not worker:\n"
        # Python forgets a signal that comes while it is still forking.
        "    os.write(started, b'1')\n"
        "    time.sleep(30)\n"
        "    os._exit(9)\n"
        "os.read(ready, 1)\n"
        "os.kill(worker, signal.SIGTERM)\n"
        "print(os.WTERMSIG(os.waitpid(worker, 0)[1]), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr, ended.returncode) == (f"{int(signal.SIGTERM)}\n", "", 3)

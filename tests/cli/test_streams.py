"""What stdout and stderr do is no business of a run's: closed, full, gone, or of an encoding that lacks characters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked import PROGRAM, Forked, wait_for
from program import status_of, summary_of
from written_runs import write_run, write_sweep

from stopcli.cli import streams
from stopcli.runs.metrics import read_metrics

PROJECT = Path(__file__).parents[2]
COMMANDS = [
    *("moons", "cifar-resnet", "cutout-sweep", "clr", "lr-range", "run", "reproduce", "resume", "list", "show"),
    *("compare", "report", "replay", "recommend", "verify-resume"),
]
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="this system has no pseudo-terminals")


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A line of a shell in which `stopcli` is the program."""
    program = f'stopcli() {{ "{sys.executable}" -m stopcli "$@"; }}\n'
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {program}{line}"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
        timeout=180,
        check=False,
    )


@pytest.fixture(autouse=True)
def in_a_shell() -> None:
    if not Path("/bin/bash").exists():
        pytest.skip("this system has no bash")


# A closed stdout too: the next file that is opened would be the one that results go to.
@pytest.mark.parametrize(
    ("target", "why"), [pytest.param("/dev/full", "No space left on device", marks=needs_full), ("&-", "it is closed")]
)
@pytest.mark.parametrize("words", ["list", "list --json", "list --help"])
def test_results_that_could_not_be_written_are_an_error_in_one_line(words: str, target: str, why: str) -> None:
    write_run("runs/a")
    told = shell(f"stopcli {words} >{target}")
    assert told.returncode == 1
    *talk, error = told.stderr.decode().splitlines()
    assert error == f"Error: not everything could be written to stdout: {why}"
    # What the runs take is talk.
    assert len(talk) == (words == "list")


@pytest.mark.parametrize("target", [pytest.param("/dev/full", marks=needs_full), "&-"])
def test_talk_that_cannot_be_written_is_left_out(target: str) -> None:
    """Its images are loaded under a bar where stderr is a terminal; whether it is one was asked of None."""
    told = shell(f"stopcli reproduce cutout --scale full --dry-run --dataset digits 2>{target}")
    assert (told.returncode, told.stderr) == (0, b"")
    assert b"runs of cutout-sweep" in told.stdout


def test_a_reader_that_is_gone_is_an_error_where_it_missed_results() -> None:
    for number in range(40):
        write_run(f"runs/{'a' * 100}-{number}")
    told = shell("stopcli list --json | (exec 0<&-; sleep 1); exit ${PIPESTATUS[0]}")
    assert told.returncode == 1
    assert told.stderr.decode().splitlines() == ["Error: not everything could be written to stdout: Broken pipe"]


def test_the_end_of_the_process_closes_them_without_a_word() -> None:
    # Python 3.13 reports what goes wrong there by itself, earlier versions do in this mode.
    ended = shell(f"'{sys.executable}' -X dev -m stopcli nonsense")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_no_file_is_given_the_number_of_a_closed_stream(closed: str) -> None:
    code = "import os, pathlib; from stopcli.cli import streams; streams.install(); "
    code += "pathlib.Path('number').write_text(str(os.open('.', os.O_RDONLY)))"
    assert shell(f"'{sys.executable}' -c \"{code}\" {closed}").returncode == 0
    assert int(Path("number").read_text()) > 2


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_every_help_can_be_printed_in_every_encoding(encoding: str) -> None:
    code = f"""
from stopcli.cli.main import main
for command in {COMMANDS}:
    try:
        main([command, "--help"])
    except SystemExit as left:
        assert left.code == 0, command
"""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "100"}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=180, check=False)
    assert (told.returncode, told.stderr) == (0, b"")
    text = told.stdout.decode(encoding)
    assert text.count("Usage: stopcli") == len(COMMANDS)
    assert ">= 1" in text
    assert "\\u" not in text


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_results_can_be_printed_in_every_encoding(encoding: str) -> None:
    write_sweep("runs/a", {"simple": [0.9, 0.91, 0.92], "m2": [0.93, 0.94, 0.95]})
    stop = {"reason": "interrupted", "rule": "Ctrl-C", "epoch": 40, "wait": 20, "best_epoch": 20, "best_value": 0.2}
    write_run("b", state="interrupted", saved=None, summary={"stop": stop})
    lines = [
        "stopcli compare runs/a --run-dir compared", "stopcli replay b --patience 5 --run-dir replayed",
        "stopcli list", "stopcli show b", "stopcli show compared",
    ]  # fmt: skip
    told = shell(" && ".join(lines), PYTHONIOENCODING=encoding)
    assert told.returncode == 0, told.stderr
    text = told.stdout.decode(encoding) + told.stderr.decode(encoding)
    assert "Traceback" not in text
    assert "\\u" not in text


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("2 ± 1 → 3 × 4 – …", "ascii", b"2 +/- 1 -> 3 x 4 - ..."),
        ("2 ± 1 → 3 × 4 – …", "latin-1", b"2 \xb1 1 -> 3 \xd7 4 - ..."),
        ("┏━┳┓", "ascii", b"+-++"),
        ("é 中", "ascii", b"\\xe9 \\u4e2d"),
        ("name \udcff", "utf-8", b"name \\xff"),
    ],
)
def test_what_an_encoding_lacks_is_replaced(text: str, encoding: str, shown: bytes) -> None:
    with os.fdopen(os.open("said", os.O_WRONLY | os.O_CREAT), "wb", buffering=0) as file:
        stream = streams.text_over(streams.Outlet(file), encoding)
        stream.write(text)
        stream.flush()
    assert Path("said").read_bytes() == shown


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_pipe_that_another_process_made_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(write, False)
    reader = subprocess.Popen(["bash", "-c", "sleep 0.5; wc -c"], stdin=read, stdout=subprocess.PIPE)
    outlet = streams.Outlet(os.fdopen(os.dup(write), "wb", buffering=0))
    stream = streams.text_over(outlet, "utf-8")
    stream.write("x" * 1_000_000)
    stream.flush()
    assert outlet.failure == ""
    outlet._target.close()
    os.close(write)
    os.dup2(read, write)
    assert int(reader.communicate(timeout=60)[0]) == 1_000_000


FULL = "import os; full = os.open('/dev/full', os.O_WRONLY); os.dup2(full, 1); os.dup2(full, 2)\n"
# A terminal whose other end is gone: writing fails with EIO.
GONE = "import os, pty; main, other = pty.openpty(); os.dup2(other, 1); os.dup2(other, 2); os.close(main)\n"
# `2>&1 | head -1`, as far as the program sees of it.
FIFO = "import os; fifo = os.open('fifo', os.O_WRONLY); os.dup2(fifo, 1); os.dup2(fifo, 2)\n"
LONG = ["moons", "--epochs", "100000000", "--save-every", "1000s", "--run-dir", "a"]


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("out", [pytest.param(FULL, marks=needs_full), pytest.param(GONE, marks=needs_pty), FIFO])
def test_a_training_whose_talk_cannot_be_written_is_saved_on_ctrl_c(out: str) -> None:
    os.mkfifo("fifo")
    process = Forked(out + PROGRAM, *LONG)
    if out == FIFO:
        with Path("fifo").open() as reader:
            assert reader.readline().startswith("stopcli moons")
    wait_for("a/metrics.csv")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert (status_of("a")["state"], status_of("a")["reason"]) == ("interrupted", "Ctrl-C")
    assert len(read_metrics(Path("a/metrics.csv"))["epoch"]) == summary_of("a")["epochs"]
    assert len(list(Path("a/checkpoints/resume").glob("*.state"))) == 1
    assert Path("a/report.html").exists()


@pytest.mark.slow
@needs_full
@pytest.mark.usefixtures("tensorflow")
def test_a_run_whose_results_cannot_be_printed_is_finished_all_the_same() -> None:
    process = Forked(FULL + PROGRAM, "moons", "--epochs", "3", "--run-dir", "a")
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert status_of("a")["state"] == "finished"
    assert json.loads(Path("a/summary.json").read_text())["state"] == "finished"

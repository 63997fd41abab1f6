"""What a terminal shows at its width: tables and live views, whose names, words and numbers are whole."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import run
from screens import NAME, Screen, Terminal

from stopcli.cli import console, live
from stopcli.report.document import Table

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runs"
RUNS = sorted(
    path.name for path in FIXTURES.iterdir() if (path / "config.toml").exists() or (path / "table.csv").exists()
)
WIDTHS = (60, 80, 200)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="this system has no pseudo-terminals")

_words = st.text("abcdef-=:δ.", min_size=1, max_size=14)
_cells = st.one_of(
    st.just(""), st.just("–"), _words, st.floats(-9, 9).map("{:+.4f}".format), st.just("0.881 ± 0.059 [0.814, 0.929]")
)


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(
    st.lists(st.lists(_words, min_size=1, max_size=4).map(" ".join), min_size=n, max_size=n),
    st.lists(st.lists(_cells, min_size=n, max_size=n), max_size=5),
)), st.integers(50, 200))  # fmt: skip
def test_a_table_of_any_columns_fits_and_has_every_cell_whole(
    table: tuple[list[str], list[list[str]]], width: int
) -> None:
    columns, rows = table
    lines = [line.plain for line in console.table_lines(Table("", tuple(columns), tuple(map(tuple, rows))), width)]
    assert max(map(len, lines)) <= width
    shown = " ".join(" ".join(lines).split())
    assert all(cell in shown for row in rows for cell in row)
    assert all(
        word in shown for name, *cells in zip(columns, *rows, strict=True) if any(cells) for word in name.split()
    )


def test_a_name_that_is_wider_than_the_terminal_is_alone_and_whole() -> None:
    first, _, name, rest = console.table_lines(Table("", ("run", "state"), (("n" * 90, "finished"),)), 80)
    assert (first.plain, name.plain, rest.plain) == ("run", "n" * 90, "  state finished")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that runs the program with stdout and stderr on a terminal of a width. Returns its screen."""

    def show(width: int, *argv: str) -> Screen:
        stream = io.StringIO()
        stream.isatty = lambda: True  # type: ignore[method-assign]
        stream.fileno = lambda: 99999  # type: ignore[method-assign]
        with monkeypatch.context() as patch:
            for name in ("stdout", "stderr"):
                patch.setattr(sys, name, stream)
            patch.setenv("COLUMNS", str(width))
            patch.setenv("TERM", "xterm")
            patch.setattr(live, "copy_of_stderr", lambda: stream)
            assert run(*argv) == 0
        return Screen(width).feed(stream.getvalue().replace("\n", "\r\n"))

    return show


def check(screen: Screen, texts: list[str]) -> None:
    """Hold that no line is beyond the width, and that these texts are whole within a line."""
    assert not screen.beyond, screen.text
    for text in texts:
        assert any(text in line for line in screen.lines), (text, screen.text)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RUNS)
def test_what_show_prints_fits(name: str, width: int, terminal: Any) -> None:
    shutil.copytree(FIXTURES / name, name)
    path = Path(name, "summary.json")
    table = (json.loads(path.read_text()) if path.exists() else {}).get("table") or {"rows": []}
    screen = terminal(width, "show", name)
    check(screen, [name])
    unwrapped = " ".join(screen.text.split())
    assert all(cell in unwrapped for row in table["rows"] for cell in row)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_list_has_the_names_of_runs_whole(width: int, terminal: Any) -> None:
    for name in (NAME, "moons", "clr"):
        shutil.copytree(FIXTURES / "moons", f"runs/{name}")
    check(terminal(width, "list"), [NAME, "finished", "val_loss", "0.4506 at 5"])


@pytest.mark.parametrize("width", WIDTHS[1:])
@pytest.mark.parametrize("argv", [("compare", "a", "b"), ("replay", "a", "b")], ids=["compare", "replay"])
def test_what_analyses_print_fits(argv: tuple[str, ...], width: int, terminal: Any) -> None:
    shutil.copytree(FIXTURES / "moons-seeds", "a")
    shutil.copytree(FIXTURES / "moons-other", "b")
    names = {"compare": ["patience 5", "patience 2"], "replay": ["patience:100", "pq:0.75"]}[argv[0]]
    check(terminal(width, *argv, "--run-dir", "analysis"), names)


def test_a_single_run_ends_with_labelled_lines(terminal: Any) -> None:
    shutil.copytree(FIXTURES / "moons", "a")
    assert terminal(80, "show", "a").text.splitlines()[1:8] == [
        "Arm          patience 10 gl 50",
        "Training     Stopped at epoch 15 of 100: no improvement since epoch 5 (val_loss",
        "             patience=10); the best val_loss, 0.4506, was at epoch 5.",
        "Final model  epoch 15; train accuracy 0.967; test accuracy 0.757 (95 % interval",
        "             0.645 to 0.842)",
        "Saved model  epoch 1, chosen by val_accuracy on the test rows; train accuracy",
        "             0.733; test accuracy 0.800 (95 % interval 0.692 to 0.877)",
    ]


# Draws with the view's own thread, into a pseudo-terminal; then what a block's end or Ctrl-C leaves.
VIEW = """
import os, sys, time
sys.path[:0] = sys.argv[2].split(os.pathsep)
from screens import job, progress, NAME
from stopcli.cli import console, live
from stopcli.signals import StopNow
from stopcli.training.session import stop_on_signals
moment = sys.argv[1]
live.DRAW_SECONDS = 0.02
print("before", flush=True)
view = live.RunView(console.Output(), "cifar-resnet")
try:
    with stop_on_signals(None, view.saving) as request, view:
        if moment == "reading":
            view.counted("decoding the photos of a folder", 1234, 50000)
        elif moment != "start":
            view.stage(sys.argv[3])
        if moment in ("train", "evaluate", "announced", "twice"):
            view.progress(progress(projected_seconds=300.0 if moment == "announced" else None))
        if moment in ("jobs", "many"):
            names = [f"{NAME}-seed{number}" for number in range(3 if moment == "jobs" else 300)]
            view.show_jobs([job(name, "failed" if name.endswith("2") else "running") for name in names])
        time.sleep(0.2)
        deadline = time.monotonic() + 60
        while moment != "end" and not request.signalled:
            time.sleep(0.01)
            assert time.monotonic() < deadline
        time.sleep(0.2)
        while moment == "twice":
            time.sleep(0.01)
except StopNow:
    pass
print("after", flush=True)
"""
MOMENTS = ("start", "reading", "compile", "train", "announced", "evaluate", "jobs", "many", "twice", "end")


def drawn(output: str, width: int) -> str:
    """What stood on the terminal before the last drawing, which may have been read in part."""
    return Screen(width).feed(output.rpartition("\r\x1b[2K")[0]).text


@pytest.mark.parametrize(
    ("moment", "width"),
    [
        *((moment, 80) for moment in MOMENTS),
        *((moment, n) for moment in ("reading", "train", "jobs") for n in (60, 200)),
    ],
)
def test_a_live_view_fits_and_leaves_nothing_behind(moment: str, width: int) -> None:
    stage = "evaluating the final and the saved model" if moment == "evaluate" else "compiling"
    process = Terminal(width, VIEW, moment, ":".join(sys.path), stage)
    texts = {
        "reading": ["1234/50000"], "train": ["123456/400000 epochs", "wait 3456/20000", "val_accuracy 0.9123"],
        "jobs": [f"{NAME}-seed{number}" for number in range(3)], "many": [f"{NAME}-seed1", "more"],
    }.get(moment, ["cifar-resnet"])  # fmt: skip
    process.read_until(lambda output: all(text in drawn(output, width) for text in texts), seconds=30)
    if moment != "end":
        process.press_ctrl_c()
    if moment == "twice":
        process.read_until(lambda output: "Saving." in output)
        process.press_ctrl_c()
    assert process.end() == 0
    screen = process.screen
    assert not screen.beyond
    assert not screen.cursor_hidden
    assert ("Saving. Press Ctrl-C again" in process.output) == (moment != "end")
    # What is announced of a long run stays.
    kept = [
        line for line in screen.text.splitlines() if moment != "announced" or not ("epochs" in line or "take" in line)
    ]
    assert kept == ["before", "after"]


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "presses"), [("starting", 1), ("val_loss", 1), ("val_loss", 2)])
def test_a_real_run_that_is_interrupted_leaves_only_its_messages(pattern: str, presses: int) -> None:
    code = "import sys; from stopcli.cli.main import main; main()"
    process = Terminal(80, code, "moons", "--epochs", "100000000", "--run-dir", "a")
    process.read_until(lambda output: pattern in output)
    for number in range(presses):
        process.press_ctrl_c()
        process.read_until(lambda output, number=number: number or "Saving." in output or "Interrupted" in output)
    assert process.end() == 130
    screen = process.screen
    assert not screen.beyond
    assert not screen.cursor_hidden
    assert not re.search("[━╸⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]|rows/s", screen.text), screen.text

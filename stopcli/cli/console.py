"""What the command line prints: results on stdout, messages and errors on stderr, a live view on a terminal.

On a terminal, no line is longer than it is wide, and no name, number or word is broken: texts are wrapped between
words, and columns of a table that do not fit stand below their row.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from stopcli.cli.streams import copy_of_stderr, terminal_output_kept
from stopcli.quantities import counted, format_duration
from stopcli.report.document import Table
from stopcli.runs.files import dump_json
from stopcli.signals import write_in_handler

if TYPE_CHECKING:
    from stopcli.report.run_report import NextStep
    from stopcli.runs.summary import Summary
    from stopcli.sweeps.plan import JobResult
    from stopcli.training.session import Progress as RunProgress

# Without a terminal, a line of progress is printed this often; of a sweep, where lines are longer, less often.
PLAIN_LINE_SECONDS, SWEEP_LINE_SECONDS = 5.0, 15.0
# The first moments of training are dominated by warming up, and would promise hours.
SETTLED_SECONDS = 0.5
# A live view is drawn this often.
DRAW_SECONDS = 0.1
# Lines of the terminal for what stands around a sweep's table.
_MARGIN = 5
# Of a run that will take longer, the time is announced.
LONG_SECONDS = 60.0
# rich assumes 80 columns where it cannot find out; a table for a file or a pipe need not be folded to that.
_PIPE_WIDTH = 140
# Between the columns of a table.
_GAP = "  "
# The right-aligned columns have only such cells: numbers with what goes with them, or nothing.
_NUMBER = re.compile(r"[-+−]?\d|–?$")
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_LONGEST_BAR, _SHORTEST_BAR = 20, 8
_SAVING = "Saving. Press Ctrl-C again to quit without saving."


@dataclass(frozen=True)
class Output:
    """How much is printed, and in what form."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False

    @property
    def stderr(self) -> Console:
        return console(stderr=True)

    def say(self, text: str, style: str | None = None) -> None:
        """A message, which --quiet leaves out."""
        if not self.quiet:
            _print_message(text, style)

    def detail(self, text: str) -> None:
        """A message that --verbose adds."""
        if self.verbose:
            self.say(text, "dim")

    def suggest(self, steps: Sequence[NextStep]) -> None:
        """What may be done next; commands on lines of their own, to be copied."""
        for step in steps:
            self.say(f"{step.purpose}:")
            if not self.quiet:
                print_command(step.command, stderr=True)

    def warn(self, text: str) -> None:
        """A warning, a sentence without a full stop; with --quiet, it is only in the report."""
        self.say(f"Warning: {text}.", "yellow")

    def result(self, table: Table, summary: object) -> None:
        """The results: a table, or only summary.json."""
        if self.json:
            print(dump_json(summary))
        else:
            _print_table(table)

    def results(self, tables: Sequence[Table], summary: object) -> None:
        """Several tables below their titles, or only summary.json."""
        if self.json:
            print(dump_json(summary))
            return
        for table in tables:
            print_result(table.title)
            _print_table(table)
            print()

    def summary(self, summary: Summary, say: Callable[[str], None]) -> None:
        """What came of a run, in labelled lines; of several, in a table behind the answer; or only summary.json.

        Args:
            say: prints a sentence.
        """
        from stopcli.report.run_report import conclusions_of, outcome, results_table, sentences_of

        lines, table = outcome(summary), results_table(summary)
        sentences = conclusions_of(summary) if lines and not self.json else sentences_of(summary)
        if self.json:
            print(dump_json(summary))
        elif lines:
            _print_labelled(lines)
        else:
            # The answer comes before the numbers.
            for sentence in sentences[:1]:
                say(sentence)
            sentences = sentences[1:]
            _print_table(table)
        for sentence in sentences:
            say(sentence)


def _print_labelled(lines: Sequence[tuple[str, str]]) -> None:
    margin = max(len(label) for label, _ in lines) + len(_GAP)
    for label, text in lines:
        print_result(f"{label:{margin}}{text}", indent=margin)


def _print_table(table: Table) -> None:
    screen = console(stderr=False)
    for line in table_lines(table, screen.width):
        screen.print(line, soft_wrap=True)


def print_result(text: str, *, indent: int = 2) -> None:
    """A line of the results on stdout.

    Args:
        indent: of its further lines, where a terminal is too narrow for one.
    """
    screen = console(stderr=False)
    line = _wrapped(text, screen.width, indent) if screen.is_terminal else text
    screen.print(line, markup=False, highlight=False, soft_wrap=True)


def print_command(command: str, *, stderr: bool) -> None:
    """A command that can be copied: where a terminal is too narrow for it, the lines end with a backslash."""
    screen, lines = console(stderr=stderr), [" "]
    for word in map(shlex.quote, shlex.split(command)):
        if screen.is_terminal and cell_len(f"{lines[-1]} {word} \\") > screen.width and lines[-1].strip():
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {word}"
    screen.print("\n".join(lines), style="bold", markup=False, highlight=False, soft_wrap=True)


# Of the live view, while there is one: what is printed meanwhile has to go above it.
_live_console: Console | None = None


def console(*, stderr: bool) -> Console:
    """A console on stderr or stdout, wide where that is no terminal and COLUMNS does not say how wide it is."""
    if stderr and _live_console:
        return _live_console
    plain = Console(stderr=stderr, highlight=False)
    if not plain.is_terminal and "COLUMNS" not in os.environ:
        plain.width = _PIPE_WIDTH
    return plain


def _print_message(text: str, style: str | None = None) -> None:
    screen = console(stderr=True)
    if screen.is_terminal:
        text = "\n".join(_wrapped(line, screen.width, 2) for line in text.split("\n"))
    screen.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _size(screen: Console) -> tuple[int, int]:
    """Columns and lines of a console's own terminal; rich asks those of stdin, stdout and stderr."""
    columns, lines = 0, 0
    # A terminal may be gone, or not know its size, and then say 0.
    with contextlib.suppress(OSError):
        columns, lines = os.get_terminal_size(screen.file.fileno())
    forced = os.environ.get("COLUMNS", "")
    return int(forced) if forced.isdecimal() and int(forced) else columns or 80, lines or 24


def _wrapped(text: str, width: int, indent: int = 0) -> str:
    """A line as lines of a width, broken between words alone, and not before a percent sign."""
    joined = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text)
    wrapper = textwrap.TextWrapper(
        max(width, 20), break_long_words=False, break_on_hyphens=False, subsequent_indent=" " * indent
    )
    lines = wrapper.wrap(joined)
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}%", " %")


def table_lines(table: Table, width: int) -> list[Text]:
    """A table as lines, in which no cell is cut or broken.

    Columns that do not fit move, from the right, into lines below each row, where they stand behind their names. Only a
    name in the first column that is wider than all is beyond the width.
    """
    cells = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    contents = [max(map(cell_len, column), default=0) for column in cells]
    names = [(cell_len(name), max(map(cell_len, name.split()), default=0)) for name in table.columns]
    widths = [max(content, whole) for content, (whole, _) in zip(contents, names, strict=True)]
    if _sum(widths) > width:
        # Names of columns in several lines.
        widths = [max(content, longest) for content, (_, longest) in zip(contents, names, strict=True)]
    fitting = max((n for n in range(1, len(widths) + 1) if _sum(widths[:n]) <= width), default=1)
    to_left = [i == 0 or not all(map(_NUMBER.match, column)) for i, column in enumerate(cells)]
    wrapped = [
        textwrap.wrap(name, max(space, 1), break_on_hyphens=False)
        for name, space in zip(table.columns[:fitting], widths, strict=False)
    ]
    height = max(map(len, wrapped))
    heads = zip(*([""] * (height - len(lines)) + lines for lines in wrapped), strict=True)
    rule = Text("─" * min(width, max(_sum(widths[:fitting]), 1)), style="dim")
    lines = [*(Text(_row(row, widths, to_left), style="bold") for row in heads), rule]
    moved = list(zip(table.columns, contents, strict=True))[fitting:]
    for number, row in enumerate(table.rows):
        if table.sums and number == len(table.body):
            lines.append(rule)
        lines.append(Text(_row(row[:fitting], widths, to_left)))
        # Of an empty cell, not the name either.
        items = [
            f"{name if cell else ' ' * len(name)} {cell}{' ' * (content - cell_len(cell))}"
            for cell, (name, content) in zip(row[fitting:], moved, strict=True)
        ]
        lines += [Text(line, style="dim") for line in _packed(items, width, _GAP)]
    return lines


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _row(cells: Sequence[str], widths: Sequence[int], to_left: Sequence[bool]) -> str:
    padding = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=False)]
    aligned = (
        cell + pad if is_left else pad + cell for cell, pad, is_left in zip(cells, padding, to_left, strict=False)
    )
    return _GAP.join(aligned).rstrip()


def _packed(items: Sequence[str], width: int, separator: str) -> list[str]:
    """Items in as few indented lines as hold them; one that is longer than a line is wrapped."""
    lines: list[str] = []
    for item in items:
        if lines and cell_len(lines[-1] + separator + item.rstrip()) <= width:
            lines[-1] += separator + item
        else:
            lines.append("  " + item)
    return [part for line in lines for part in _wrapped(line.rstrip(), width, 4).split("\n")]


_tracebacks = False


def show_tracebacks(verbose: bool) -> bool:
    """The callback of --verbose: from now on, errors are shown with their traceback."""
    global _tracebacks
    _tracebacks = verbose
    return verbose


def print_traceback() -> None:
    """Print the traceback of the error that is being handled, where --verbose was given."""
    if _tracebacks:
        traceback.print_exc()


def print_error(message: str, hint: str = "") -> None:
    """Print an error in a line or two on stderr."""
    _print_message(f"Error: {message}", "bold red")
    if hint:
        _print_message(hint)


def print_line(text: str) -> None:
    """Print a line of progress where there is no terminal."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class _Bar:
    """What a bar shows.

    Attributes:
        done, total: how much is done of how much; None before that is known.
        numbers: of the run, such as its metrics.
    """

    text: str
    done: float = 0.0
    total: int | None = None
    unit: str = ""
    numbers: Sequence[str] = ()

    def lines(self, width: int, seconds: float) -> list[Text]:
        """The bar beside the text where both fit, else below it, and the numbers below both."""
        head = f"{_SPINNER[int(seconds * 10) % len(_SPINNER)]} {self.text}"
        # Rounded down: an epoch counts when it is complete.
        count = "" if self.total is None else f"{int(self.done)}/{self.total} {self.unit}".rstrip() + " "
        tail = f" {count}{timedelta(seconds=int(seconds))}"
        room = width - cell_len(f"{head} {tail}")
        if room >= _SHORTEST_BAR:
            lines = [Text.assemble(head, " ", self._bar(min(room, _LONGEST_BAR)), tail)]
        else:
            length = max(min(width - cell_len(f"  {tail}"), _LONGEST_BAR), 1)
            lines = [Text(line) for line in _wrapped(head, width, 2).split("\n")]
            lines.append(Text.assemble("  ", self._bar(length), tail))
        return lines + [Text(line, style="dim") for line in _packed(self.numbers, width, " · ")]

    def _bar(self, length: int) -> Text:
        halves = int(2 * length * min(self.done / self.total, 1)) if self.total else 0
        full = "━" * (halves // 2) + "╸" * (halves % 2)
        return Text.assemble((full, "green"), "" if self.total is None else " " * (length - len(full)))


def _numbers(progress: RunProgress) -> list[str]:
    parts = [f"{name} {value:.4f}" for name, value in progress.metrics.items()]
    if progress.best_value is not None:
        parts.append(f"best {progress.monitor} {progress.best_value:.4f} at {progress.best_epoch}")
    parts += [progress.waiting] if progress.waiting else []
    if progress.seconds >= SETTLED_SECONDS:
        parts.append(f"{progress.samples_per_second:,.0f} rows/s")
        parts.append(f"at most {format_duration(progress.seconds_left)} left")
    return parts


class RunView:
    """Shows the progress of a run or a sweep: a bar or a table on a terminal, else a plain line every few seconds.

    An observer of the run. As a context manager it draws while the block runs, and leaves nothing of it on the
    terminal. A thread of its own does all the drawing: a signal is raised in the main thread, and can stop no drawing
    halfway.

    Args:
        name: of the run, such as its command.
    """

    def __init__(self, output: Output, name: str) -> None:
        self._name, self._quiet = name, output.quiet
        self._started = self._last_line = time.monotonic()
        self._announced = self._saving = False
        # The jobs whose end has been printed; None before the first are shown.
        self._printed: set[str] | None = None
        self._bar = _Bar(name)
        self._jobs: Sequence[JobResult] = ()
        # A descriptor of its own, because stderr's is redirected while TensorFlow starts, and the bar goes on.
        self._console = Console(file=copy_of_stderr()) if sys.stderr.isatty() else output.stderr
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal and not self._quiet
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def __enter__(self) -> RunView:
        if self._live:
            try:
                self._thread.start()
            except BaseException:
                self._end()
                raise
        return self

    def __exit__(self, *exception: object) -> None:
        # Twice where a second Ctrl-C comes meanwhile: else the bar stays, and the cursor is hidden.
        try:
            self._end()
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _draw(self) -> None:
        global _live_console
        with (
            terminal_output_kept(self._console.file.fileno()),
            Live(console=self._console, auto_refresh=False, transient=True) as live,
        ):
            _live_console = self._console
            try:
                while not self._ended.wait(DRAW_SECONDS):
                    live.update(self._drawing(), refresh=True)
            finally:
                _live_console = None

    def _drawing(self) -> Group:
        """What is on the terminal now. The last line is empty, so that the ^C of a terminal is drawn over."""
        width, height = _size(self._console)
        lines = [Text(line, style="yellow") for line in _wrapped(_SAVING, width).split("\n")] if self._saving else []
        if self._jobs:
            lines += _jobs_lines(self._name, self._jobs, width, height - _MARGIN)
        else:
            lines += self._bar.lines(width, time.monotonic() - self._started)
        return Group(*lines[: max(height - 1, 1)], "")

    def saving(self) -> None:
        """Say that everything is being saved. May be called by a signal's handler."""
        self._saving = True
        if not self._live and not self._quiet:
            write_in_handler(f"\n{_SAVING}\n")

    def stage(self, text: str) -> None:
        self._last_line = time.monotonic()
        self._bar = replace(self._bar, text=f"{self._name}: {text}")
        if not self._live and not self._quiet:
            print_line(self._bar.text)

    def counted(self, what: str, done: int, total: int) -> None:
        self._bar = _Bar(f"{self._name}: {what}", done, total)
        self._line_at_times(f"{what}: {done} of {total}")

    def progress(self, progress: RunProgress) -> None:
        if not self._announced and progress.projected_seconds is not None:
            self._announced = True
            self._announce(progress)
        numbers, done = _numbers(progress), progress.epoch + progress.fraction
        self._bar = _Bar(self._bar.text, done, progress.epochs, "epochs", numbers)
        self._line_at_times(f"epoch {progress.epoch}/{progress.epochs}  {' · '.join(numbers)}")

    def _line_at_times(self, text: str) -> None:
        if not self._live and not self._quiet and time.monotonic() - self._last_line >= PLAIN_LINE_SECONDS:
            self._last_line = time.monotonic()
            print_line(f"{self._name}: {text}")

    def _announce(self, progress: RunProgress) -> None:
        """Before a long run, print how long it will take, as measured on its first steps."""
        if progress.seconds_left < LONG_SECONDS or self._quiet:
            return
        duration = format_duration(progress.seconds_left)
        epochs = counted(progress.epochs, "epoch")
        _print_message(f"{self._name}: {epochs} will take about {duration}; fewer --epochs take less.")

    def show_jobs(self, jobs: Sequence[JobResult]) -> None:
        """Show the progress of a sweep's jobs, on a terminal in the place of the bar; may be called at any time."""
        self._jobs = tuple(jobs)
        if not self._live and not self._quiet:
            self._print_jobs(jobs, time.monotonic())

    def _print_jobs(self, jobs: Sequence[JobResult], now: float) -> None:
        done = [job for job in jobs if job.done]
        if self._printed is None:
            # What an earlier session has done is no news.
            self._printed = {job.name for job in done}
        for job in done:
            if job.name not in self._printed:
                self._printed.add(job.name)
                print_line(f"{_sentence(job)} ({len(self._printed)} of {len(jobs)})")
        if now - self._last_line >= SWEEP_LINE_SECONDS:
            self._last_line = now
            running = [_sentence(job) for job in jobs if job.state == "running"]
            print_line("; ".join([f"{self._name}: {len(self._printed)} of {len(jobs)} done", *running]))


def _jobs_lines(name: str, jobs: Sequence[JobResult], width: int, room: int) -> list[Text]:
    """Jobs that are running, then those that have ended badly, then the rest, as far as the terminal has room."""
    done = sum(job.done for job in jobs)
    title = Text(f"{name}: {done} of {counted(len(jobs), 'run')} done", style="italic")
    first = list(jobs) if len(jobs) <= room else sorted(jobs, key=_urgency)[: max(room, 1)]
    columns = ("run", "state", "epoch", "error", "images/s", "left")
    lines = table_lines(Table("", columns, tuple(map(_job_row, first))), width)
    while len(lines) > room and len(first) > 1:
        first = sorted(jobs, key=_urgency)[: max(len(first) * room // len(lines), 1)]
        lines = table_lines(Table("", columns, tuple(map(_job_row, first))), width)
    for line in lines:
        line.highlight_words(("failed", "died"), "red")
    more = [Text(f"… {len(jobs) - len(first)} more")] if len(first) < len(jobs) else []
    return [title, *lines, *more]


def _job_row(job: JobResult) -> tuple[str, ...]:
    running, progress = job.state == "running", job.progress
    return (
        job.name,
        job.state,
        f"{job.epoch}/{job.epochs}" if job.epoch or running else "",
        "" if job.error is None else f"{job.error:.3f}",
        f"{progress.samples_per_second:,.0f}" if running and progress.samples_per_second else "",
        format_duration(progress.seconds_left) if running and progress.seconds_left is not None else "",
    )


def _urgency(job: JobResult) -> int:
    order = ("running", "failed", "died", "interrupted", "paused", "finished")
    return order.index(job.state) if job.state in order else len(order)


def _sentence(job: JobResult) -> str:
    if job.state != "running":
        reason = f": {job.reason}" if job.reason else ""
        return f"{job.name}: {job.state} at epoch {job.epoch}{reason}"
    progress = job.progress
    parts = [f"epoch {job.epoch}/{job.epochs}"]
    parts += [f"error {job.error:.3f}"] if job.error is not None else []
    parts += [f"{progress.samples_per_second:,.0f} images/s"] if progress.samples_per_second else []
    parts += [f"{format_duration(progress.seconds_left)} left"] if progress.seconds_left is not None else []
    return f"{job.name} {', '.join(parts)}"

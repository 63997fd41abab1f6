"""What the command line says: results on stdout, talk and errors on stderr, a live bar where there is a terminal.

A sweep's jobs as they go: a live table on a terminal, else a line when one ends and one every few seconds.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table as RichTable
from rich.text import Text

from stopcli.cli.streams import copy_of_stderr
from stopcli.quantities import counted, format_duration
from stopcli.report.document import Table
from stopcli.runs.files import dump_json
from stopcli.sweeps.plan import NOT_BEGUN, JobProgress
from stopcli.training.session import Progress as RunProgress

# Where there is no terminal, a line this often tells that the run goes on.
PLAIN_LINE_SECONDS = 5.0
# The first moments of training are dominated by warming up, and would promise hours.
SETTLED_SECONDS = 0.5
# A run that will take longer is told of it.
LONG_SECONDS = 60.0
# rich assumes 80 columns where it cannot ask; a table for a file or a pipe need not be cut to that.
_PIPE_WIDTH = 140


@dataclass(frozen=True)
class Output:
    """How much to say, and in what form."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False

    @property
    def talk(self) -> Console:
        return _console(stderr=True)

    def say(self, text: str, style: str | None = None) -> None:
        """Talk, which --quiet leaves out."""
        if not self.quiet:
            self.talk.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """More talk, which --verbose asks for."""
        if self.verbose and not self.quiet:
            self.talk.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """What the user should know; with --quiet it stands in the report alone."""
        if self.quiet:
            return
        self.talk.print(f"Warning: {text}.", style="yellow", markup=False, highlight=False, soft_wrap=True)

    def result(self, table: Table, summary: Mapping[str, Any]) -> None:
        """The results: a table, or summary.json alone."""
        if self.json:
            print(dump_json(summary))
            return
        shown = RichTable(title=None, header_style="bold", title_justify="left")
        for i, column in enumerate(table.columns):
            shown.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
        for row in table.rows:
            shown.add_row(*row)
        _console(stderr=False).print(shown, markup=False)

    def results(self, tables: Sequence[Table], summary: Mapping[str, Any]) -> None:
        """Several tables below their titles, or summary.json alone."""
        if self.json:
            print(dump_json(summary))
            return
        for table in tables:
            print(table.title)
            self.result(table, summary)


def stdout_console() -> Console:
    """Where results go."""
    return _console(stderr=False)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=_PIPE_WIDTH)


_tracebacks = False


def show_tracebacks(asked: bool) -> bool:
    """The callback of --verbose: from now on, errors are shown with their traceback."""
    global _tracebacks
    _tracebacks = asked
    return asked


def print_traceback() -> None:
    """The traceback of the error being handled, where --verbose was given."""
    if _tracebacks:
        traceback.print_exc()


def print_error(message: str, hint: str = "") -> None:
    """An error in a line or two on stderr."""
    console = _console(stderr=True)
    console.print(f"Error: {message}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    if hint:
        console.print(hint, markup=False, highlight=False, soft_wrap=True)


def _numbers(progress: RunProgress) -> str:
    parts = [f"{name} {value:.4f}" for name, value in progress.metrics.items()]
    if progress.best_value is not None:
        parts.append(f"best {progress.monitor} {progress.best_value:.4f} at {progress.best_epoch}")
    parts += [progress.waiting] if progress.waiting else []
    if progress.seconds >= SETTLED_SECONDS:
        parts += [f"{progress.samples_per_second:,.0f} rows/s", _left(progress)]
    return " · ".join(parts)


def _left(progress: RunProgress) -> str:
    return f"{format_duration(progress.seconds_left)} left at most"


class _Bars(Progress):
    """Bars with a run's numbers on a line of their own below its bar, where 80 columns can hold them."""

    def get_renderables(self) -> Iterable[RenderableType]:
        for task in self.tasks:
            yield self.make_tasks_table([task])
            if task.fields["numbers"]:
                yield Text(f"  {task.fields['numbers']}", style="dim")


class _Count(ProgressColumn):
    """How much is done of how much, once that is known."""

    def render(self, task: Task) -> Text:
        # Rounded down: an epoch counts when it is complete.
        return Text("" if task.total is None else f"{int(task.completed)}/{task.total:.0f} {task.fields['unit']}")


class RunView:
    """Shows a run as it goes: a bar on a terminal, else a plain line every few seconds.

    As a context manager it draws while the block runs.
    """

    def __init__(self, output: Output) -> None:
        self._silent = output.quiet
        # A descriptor of its own, because stderr's is turned away while TensorFlow starts, and the bar goes on.
        console = Console(file=copy_of_stderr()) if sys.stderr.isatty() else output.talk
        self._bars: Progress | None = None
        if console.is_terminal and not self._silent:
            self._bars = _Bars(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                _Count(),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )

    def __enter__(self) -> RunView:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bars:
            self._bars.stop()

    def run(self, name: str) -> JobView:
        """An observer for the one run there is, which tells of each of its stages."""
        if self._bars:
            return JobView(name, self._bars, self._bars.add_task(name, total=None, unit="epochs", numbers=""), None)
        return JobView(name, None, None, None if self._silent else print_line)


def print_line(text: str) -> None:
    """A line of talk where there is no terminal."""
    print(text, file=sys.stderr, flush=True)


class JobView:
    """The observer of one run.

    Args:
        bars, task: its bar, where there is a terminal.
        line: prints a line of talk, where there is none.
    """

    def __init__(
        self,
        name: str,
        bars: Progress | None,
        task: TaskID | None,
        line: Callable[[str], None] | None,
    ) -> None:
        self._name, self._bars, self._task, self._line = name, bars, task, line
        self._last_line = time.monotonic()
        self._projected = False

    def stage(self, text: str) -> None:
        self._last_line = time.monotonic()
        if self._bars and self._task is not None:
            self._bars.update(self._task, description=f"{self._name}: {text}")
        elif self._line:
            self._line(f"{self._name}: {text}")

    def counted(self, what: str, done: int, total: int) -> None:
        if self._bars and self._task is not None:
            words = f"{self._name}: {what}"
            self._bars.update(self._task, description=words, completed=done, total=total, unit="", numbers="")
        elif self._line and time.monotonic() - self._last_line >= PLAIN_LINE_SECONDS:
            self._last_line = time.monotonic()
            self._line(f"{self._name}: {what}: {done} of {total}")

    def progress(self, progress: RunProgress) -> None:
        if not self._projected and progress.projected_seconds is not None:
            self._projected = True
            self._project(progress)
        if self._bars and self._task is not None:
            done = progress.epoch + progress.fraction
            numbers = _numbers(progress)
            self._bars.update(self._task, completed=done, total=progress.epochs, unit="epochs", numbers=numbers)
        elif self._line and time.monotonic() - self._last_line >= PLAIN_LINE_SECONDS:
            self._last_line = time.monotonic()
            self._line(f"{self._name}: epoch {progress.epoch}/{progress.epochs}  {_numbers(progress)}")

    def _project(self, progress: RunProgress) -> None:
        """Before a long run, tell how long it will be, measured on its first steps."""
        left = progress.seconds_left
        if left < LONG_SECONDS:
            return
        text = f"{self._name}: {counted(progress.epochs, 'epoch')} will take about {format_duration(left)}; "
        text += "fewer --epochs shorten it."
        if self._bars:
            self._bars.console.print(text, markup=False, highlight=False)
        elif self._line:
            self._line(text)


# Drawn this often at the most; the jobs themselves tell of their progress less often.
DRAW_SECONDS = 0.5
SWEEP_LINE_SECONDS = 15.0
# Lines of the terminal that are left for what stands around the table.
_MARGIN = 8


class SweepView:
    """Shows how far a sweep's jobs are. As a context manager it draws while the block runs."""

    def __init__(self, output: Output, name: str) -> None:
        self._name, self._silent = name, output.quiet
        self._live: Live | None = None
        if output.talk.is_terminal and not self._silent:
            self._live = Live(console=output.talk, transient=True, auto_refresh=False)
        self._told: set[str] | None = None
        self._drawn, self._line_told = 0.0, time.monotonic()

    def __enter__(self) -> SweepView:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, lines: Sequence[JobProgress]) -> None:
        """Show how far the jobs are; called as often as one likes."""
        now = time.monotonic()
        if self._live:
            if now - self._drawn >= DRAW_SECONDS:
                self._drawn = now
                self._live.update(self._table(lines, self._live.console.height - _MARGIN), refresh=True)
            return
        if self._silent:
            return
        ended = [line for line in lines if line.done]
        if self._told is None:
            # What an earlier session has done is no news.
            self._told = {line.name for line in ended}
        for line in ended:
            if line.name not in self._told:
                self._told.add(line.name)
                print_line(f"{_sentence(line)} ({len(self._told)} of {len(lines)})")
        if now - self._line_told >= SWEEP_LINE_SECONDS:
            self._line_told = now
            running = [_sentence(line) for line in lines if line.state == "running"]
            print_line("; ".join([f"{self._name}: {len(self._told)} of {len(lines)} done", *running]))

    def _table(self, lines: Sequence[JobProgress], most: int) -> RichTable:
        """What runs, then what has ended badly, then the rest, as far as the terminal has room."""
        done = sum(line.done for line in lines)
        title = f"{self._name}: {done} of {counted(len(lines), 'run')} done"
        table = RichTable(title=title, title_justify="left", header_style="bold")
        for column in ("run", "state", "epoch", "error", "images/s", "left"):
            table.add_column(column, justify="left" if column in ("run", "state") else "right", overflow="fold")
        shown = lines if len(lines) <= most else sorted(lines, key=_urgency)[: max(most, 1)]
        for line in shown:
            table.add_row(*_cells(line), style={"failed": "red", "died": "red", "running": "bold"}.get(line.state, ""))
        if len(shown) < len(lines):
            table.add_row(f"… {len(lines) - len(shown)} more", *[""] * 5)
        return table


def _urgency(line: JobProgress) -> int:
    order = ("running", "failed", "died", "interrupted", "paused", "finished", NOT_BEGUN)
    return order.index(line.state) if line.state in order else len(order)


def _cells(line: JobProgress) -> tuple[str, ...]:
    running = line.state == "running"
    return (
        line.name,
        line.state,
        f"{line.epoch}/{line.epochs}" if line.epoch or running else "",
        "" if line.error is None else f"{line.error:.3f}",
        f"{line.samples_per_second:,.0f}" if running and line.samples_per_second else "",
        format_duration(line.seconds_left) if running and line.seconds_left is not None else "",
    )


def _sentence(line: JobProgress) -> str:
    if line.state != "running":
        why = f": {line.reason}" if line.reason else ""
        return f"{line.name}: {line.state} at epoch {line.epoch}{why}"
    parts = [f"epoch {line.epoch}/{line.epochs}"]
    parts += [f"error {line.error:.3f}"] if line.error is not None else []
    parts += [f"{line.samples_per_second:,.0f} images/s"] if line.samples_per_second else []
    parts += [f"{format_duration(line.seconds_left)} left"] if line.seconds_left is not None else []
    return f"{line.name} {', '.join(parts)}"

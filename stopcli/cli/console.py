"""What the command line prints: results on stdout, messages and errors on stderr, a live bar on a terminal.

The progress of a sweep's jobs: a live table on a terminal, else a line when one ends and one every few seconds.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from stopcli.cli.streams import copy_of_stderr
from stopcli.quantities import counted, format_duration
from stopcli.runs.files import dump_json

if TYPE_CHECKING:
    from stopcli.report.document import Table
    from stopcli.sweeps.plan import JobResult
    from stopcli.training.session import Progress as RunProgress

# Without a terminal, a line of progress is printed this often.
PLAIN_LINE_SECONDS = 5.0
# The first moments of training are dominated by warming up, and would promise hours.
SETTLED_SECONDS = 0.5
# A sweep's table is drawn this often at most; without a terminal, a line is printed this often.
DRAW_SECONDS, SWEEP_LINE_SECONDS = 0.5, 15.0
# Lines of the terminal for what is printed around the table.
_MARGIN = 8
# Of a run that will take longer, the time is announced.
LONG_SECONDS = 60.0
# rich assumes 80 columns where it cannot find out; a table for a file or a pipe need not be cut to that.
_PIPE_WIDTH = 140


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

    def warn(self, text: str) -> None:
        """A warning, a sentence without a full stop; with --quiet, it is only in the report."""
        self.say(f"Warning: {text}.", "yellow")

    def result(self, table: Table, summary: object) -> None:
        """The results: a table, or only summary.json."""
        if self.json:
            print(dump_json(summary))
            return
        rows = RichTable(title=None, header_style="bold", title_justify="left")
        for i, column in enumerate(table.columns):
            rows.add_column(column, justify="left" if i == 0 else "right", overflow="fold")
        for row in table.rows:
            rows.add_row(*row)
        console(stderr=False).print(rows, markup=False)

    def results(self, tables: Sequence[Table], summary: object) -> None:
        """Several tables below their titles, or only summary.json."""
        if self.json:
            print(dump_json(summary))
            return
        for table in tables:
            print(table.title)
            self.result(table, summary)


def console(*, stderr: bool) -> Console:
    """A console on stderr or stdout, wide where that is no terminal."""
    plain = Console(stderr=stderr)
    return plain if plain.is_terminal else Console(stderr=stderr, width=_PIPE_WIDTH)


def _print_message(text: str, style: str | None = None) -> None:
    console(stderr=True).print(text, style=style, markup=False, highlight=False, soft_wrap=True)


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


def _numbers(progress: RunProgress) -> str:
    parts = [f"{name} {value:.4f}" for name, value in progress.metrics.items()]
    if progress.best_value is not None:
        parts.append(f"best {progress.monitor} {progress.best_value:.4f} at {progress.best_epoch}")
    parts += [progress.waiting] if progress.waiting else []
    if progress.seconds >= SETTLED_SECONDS:
        parts.append(f"{progress.samples_per_second:,.0f} rows/s")
        parts.append(f"at most {format_duration(progress.seconds_left)} left")
    return " · ".join(parts)


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
    """Shows the progress of a run or a sweep: a bar or a table on a terminal, else a plain line every few seconds.

    An observer of the run. As a context manager it draws while the block runs.

    Args:
        name: of the run, such as its command.
    """

    def __init__(self, output: Output, name: str) -> None:
        self._name, self._quiet = name, output.quiet
        self._last_line = time.monotonic()
        self._announced = False
        # A descriptor of its own, because stderr's is redirected while TensorFlow starts, and the bar goes on.
        console = Console(file=copy_of_stderr()) if sys.stderr.isatty() else output.stderr
        self._bars: Progress | None = None
        self._live: Live | None = None
        self._last_drawn = 0.0
        # The jobs whose end has been printed; None before the first are shown.
        self._printed: set[str] | None = None
        if console.is_terminal and not self._quiet:
            self._bars = _Bars(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                _Count(),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )
            self._task = self._bars.add_task(name, total=None, unit="epochs", numbers="")

    def __enter__(self) -> RunView:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if display := self._bars or self._live:
            display.stop()

    def stage(self, text: str) -> None:
        self._last_line = time.monotonic()
        if self._bars:
            self._bars.update(self._task, description=f"{self._name}: {text}")
        elif not self._quiet:
            print_line(f"{self._name}: {text}")

    def counted(self, what: str, done: int, total: int) -> None:
        if self._bars:
            description = f"{self._name}: {what}"
            self._bars.update(self._task, description=description, completed=done, total=total, unit="", numbers="")
        else:
            self._line_at_times(f"{what}: {done} of {total}")

    def progress(self, progress: RunProgress) -> None:
        if not self._announced and progress.projected_seconds is not None:
            self._announced = True
            self._announce(progress)
        numbers = _numbers(progress)
        if self._bars:
            done = progress.epoch + progress.fraction
            self._bars.update(self._task, completed=done, total=progress.epochs, unit="epochs", numbers=numbers)
        else:
            self._line_at_times(f"epoch {progress.epoch}/{progress.epochs}  {numbers}")

    def _line_at_times(self, text: str) -> None:
        if not self._quiet and time.monotonic() - self._last_line >= PLAIN_LINE_SECONDS:
            self._last_line = time.monotonic()
            print_line(f"{self._name}: {text}")

    def _announce(self, progress: RunProgress) -> None:
        """Before a long run, print how long it will take, as measured on its first steps."""
        if progress.seconds_left < LONG_SECONDS or self._quiet:
            return
        duration = format_duration(progress.seconds_left)
        text = (
            f"{self._name}: {counted(progress.epochs, 'epoch')} will take about {duration}; fewer --epochs take less."
        )
        if self._bars:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            print_line(text)

    def show_jobs(self, jobs: Sequence[JobResult]) -> None:
        """Show the progress of a sweep's jobs, on a terminal in the place of the bar; may be called at any time."""
        now = time.monotonic()
        if self._bars:
            self._bars.stop()
            self._live = Live(console=self._bars.console, transient=True, auto_refresh=False)
            self._live.start()
            self._bars = None
        if self._live:
            if now - self._last_drawn >= DRAW_SECONDS:
                self._last_drawn = now
                self._live.update(_jobs_table(self._name, jobs, self._live.console.height - _MARGIN), refresh=True)
        elif not self._quiet:
            self._print_jobs(jobs, now)

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


def _jobs_table(name: str, jobs: Sequence[JobResult], room: int) -> RichTable:
    """Jobs that are running, then those that have ended badly, then the rest, as far as the terminal has room."""
    done = sum(job.done for job in jobs)
    title = f"{name}: {done} of {counted(len(jobs), 'run')} done"
    table = RichTable(title=title, title_justify="left", header_style="bold")
    for column in ("run", "state", "epoch", "error", "images/s", "left"):
        table.add_column(column, justify="left" if column in ("run", "state") else "right", overflow="fold")
    first = jobs if len(jobs) <= room else sorted(jobs, key=_urgency)[: max(room, 1)]
    for job in first:
        running, progress = job.state == "running", job.progress
        table.add_row(
            job.name,
            job.state,
            f"{job.epoch}/{job.epochs}" if job.epoch or running else "",
            "" if job.error is None else f"{job.error:.3f}",
            f"{progress.samples_per_second:,.0f}" if running and progress.samples_per_second else "",
            format_duration(progress.seconds_left) if running and progress.seconds_left is not None else "",
            style={"failed": "red", "died": "red", "running": "bold"}.get(job.state, ""),
        )
    if len(first) < len(jobs):
        table.add_row(f"… {len(jobs) - len(first)} more", *[""] * 5)
    return table


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

"""Live views of what trains: a bar for a run, a table for a sweep; without a terminal, a line every few seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from stopcli.cli.console import (
    Output,
    live_consoles,
    packed,
    print_line,
    print_message,
    screen_size,
    table_lines,
    wrapped,
)
from stopcli.cli.streams import copy_of_stderr, terminal_output_kept
from stopcli.quantities import counted, format_duration
from stopcli.report.document import Table
from stopcli.signals import write_in_handler

if TYPE_CHECKING:
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
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_LONGEST_BAR, _SHORTEST_BAR = 20, 8
_SAVING = "Saving. Press Ctrl-C again to quit without saving."


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
            lines = [Text(line) for line in wrapped(head, width, 2).split("\n")]
            lines.append(Text.assemble("  ", self._bar(length), tail))
        return lines + [Text(line, style="dim") for line in packed(self.numbers, width, " · ")]

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
        self._console = Console(file=copy_of_stderr(), emoji=False) if sys.stderr.isatty() else output.stderr
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
        with (
            terminal_output_kept(self._console.file.fileno()),
            Live(console=self._console, auto_refresh=False, transient=True) as live,
        ):
            live_consoles.append(self._console)
            try:
                while not self._ended.wait(DRAW_SECONDS):
                    live.update(self._drawing(), refresh=True)
            finally:
                live_consoles.pop()

    def _drawing(self) -> Group:
        """What is on the terminal now. The last line is empty, so that the ^C of a terminal is drawn over."""
        width, height = screen_size(self._console)
        lines = [Text(line, style="yellow") for line in wrapped(_SAVING, width).split("\n")] if self._saving else []
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

    def note(self, text: str) -> None:
        if not self._quiet:
            print_message(f"{self._name}: {text}.")

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
        print_message(f"{self._name}: {epochs} will take about {duration}; fewer --epochs take less.")

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
    columns = ("run", "state", "epoch", jobs[0].headline.error_short, "rows/s", "left")
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
        progress.stage or job.state if running else job.state,
        f"{job.epoch}/{job.epochs}" if job.epoch or running else "",
        "" if job.error is None else job.headline.show(job.error),
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
    if job.error is not None:
        parts.append(f"{job.headline.error_short} {job.headline.show_with_unit(job.error)}")
    parts += [f"{progress.samples_per_second:,.0f} rows/s"] if progress.samples_per_second else []
    parts += [f"{format_duration(progress.seconds_left)} left"] if progress.seconds_left is not None else []
    return f"{job.name} {', '.join(parts)}"

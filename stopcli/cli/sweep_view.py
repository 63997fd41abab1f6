"""A sweep's jobs as they go: a live table on a terminal, else a line when one ends and one every few seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.live import Live
from rich.table import Table as RichTable

from stopcli.cli.console import Output, print_line
from stopcli.counts import counted
from stopcli.durations import format_duration
from stopcli.sweeps.collect import NOT_BEGUN, JobProgress

# Drawn this often at the most; the jobs themselves tell of their progress less often.
DRAW_SECONDS = 0.5
PLAIN_LINE_SECONDS = 15.0
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
        if now - self._line_told >= PLAIN_LINE_SECONDS:
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

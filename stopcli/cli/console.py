"""What the command line prints: results on stdout, messages and errors on stderr, a live view on a terminal.

On a terminal, no line is longer than it is wide, and no name, number or word is broken: texts are wrapped between
words, and columns of a table that do not fit stand below their row.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shlex
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from stopcli.report.document import Table
from stopcli.runs.files import dump_json

if TYPE_CHECKING:
    from stopcli.report.next_steps import NextStep
    from stopcli.runs.summary import Summary

# rich assumes 80 columns where it cannot find out; a table for a file or a pipe need not be folded to that.
_PIPE_WIDTH = 140
# Between the columns of a table.
_GAP = "  "
# The right-aligned columns have only such cells: numbers with what goes with them, or nothing.
_NUMBER = re.compile(r"[-+−]?\d|–?$")


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
            print_message(text, style)

    def detail(self, text: str) -> None:
        """A message that --verbose adds."""
        if self.verbose:
            self.say(text, "dim")

    def suggest(self, steps: Sequence[NextStep]) -> None:
        """What may be done next; commands on lines of their own, to be copied."""
        for purpose, group in itertools.groupby(steps, lambda step: step.purpose):
            self.say(f"{purpose}:")
            for step in group:
                self.command(step.command)

    def command(self, command: str) -> None:
        """A command that can be copied; none with --quiet."""
        if not self.quiet:
            print_command(command, stderr=True)

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
    line = wrapped(text, screen.width, indent) if screen.is_terminal else text
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
live_consoles: list[Console] = []


def console(*, stderr: bool) -> Console:
    """A console on stderr or stdout, wide where that is no terminal and COLUMNS does not say how wide it is."""
    if stderr and live_consoles:
        return live_consoles[-1]
    plain = Console(stderr=stderr, highlight=False, emoji=False)
    if not plain.is_terminal and "COLUMNS" not in os.environ:
        plain.width = _PIPE_WIDTH
    return plain


def print_message(text: str, style: str | None = None) -> None:
    screen = console(stderr=True)
    if screen.is_terminal:
        text = "\n".join(wrapped(line, screen.width, 2) for line in text.split("\n"))
    screen.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def screen_size(screen: Console) -> tuple[int, int]:
    """Columns and lines of a console's own terminal; rich asks those of stdin, stdout and stderr."""
    columns, lines = 0, 0
    # A terminal may be gone, or not know its size, and then say 0.
    with contextlib.suppress(OSError):
        columns, lines = os.get_terminal_size(screen.file.fileno())
    forced = os.environ.get("COLUMNS", "")
    return int(forced) if forced.isdecimal() and int(forced) else columns or 80, lines or 24


def wrapped(text: str, width: int, indent: int = 0) -> str:
    """A line as lines of a width, broken between words alone, and not before a percent sign."""
    joined = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text)
    wrapper = textwrap.TextWrapper(
        max(width, 20), break_long_words=False, break_on_hyphens=False, subsequent_indent=" " * indent
    )
    lines = wrapper.wrap(joined)
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}%", " %")


def table_lines(table: Table, width: int) -> list[Text]:
    """A table as lines, in which no cell is cut or broken.

    Columns that do not fit move into lines below each row, where they stand behind their names; those that a table is
    read for stay. Only a name in the first column that is wider than all is beyond the width.
    """
    if _sum(_widths(table)) > width:
        keys = table.key_columns
        order = [*keys, *(i for i in range(len(table.columns)) if i not in keys)]
        rows = tuple(tuple(row[i] for i in order) for row in table.rows)
        table = replace(table, columns=tuple(table.columns[i] for i in order), rows=rows)
    cells = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    contents = [max(map(cell_len, column), default=0) for column in cells]
    widths = [max(content, cell_len(name)) for content, name in zip(contents, table.columns, strict=True)]
    if _sum(widths) > width:
        widths = _widths(table)
    fitting = max((n for n in range(1, len(widths) + 1) if _sum(widths[:n]) <= width), default=1)
    to_left = [i == 0 or not all(map(_NUMBER.match, column)) for i, column in enumerate(cells)]
    names = [
        textwrap.wrap(name, max(space, 1), break_on_hyphens=False)
        for name, space in zip(table.columns[:fitting], widths, strict=False)
    ]
    height = max(map(len, names))
    heads = zip(*([""] * (height - len(lines)) + lines for lines in names), strict=True)
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
        lines += [Text(line, style="dim") for line in packed(items, width, _GAP)]
    return lines


def _widths(table: Table) -> list[int]:
    """The least widths of columns, with their names in several lines."""
    cells = zip(*table.rows, strict=True) if table.rows else [()] * len(table.columns)
    return [
        max(map(cell_len, [*name.split(), *column]), default=0)
        for name, column in zip(table.columns, cells, strict=True)
    ]


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _row(cells: Sequence[str], widths: Sequence[int], to_left: Sequence[bool]) -> str:
    padding = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=False)]
    aligned = (
        cell + pad if is_left else pad + cell for cell, pad, is_left in zip(cells, padding, to_left, strict=False)
    )
    return _GAP.join(aligned).rstrip()


def packed(items: Sequence[str], width: int, separator: str) -> list[str]:
    """Items in as few indented lines as hold them; one that is longer than a line is wrapped."""
    lines: list[str] = []
    for item in items:
        if lines and cell_len(lines[-1] + separator + item.rstrip()) <= width:
            lines[-1] += separator + item
        else:
            lines.append("  " + item)
    return [part for line in lines for part in wrapped(line.rstrip(), width, 4).split("\n")]


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
    print_message(f"Error: {message}", "bold red")
    if hint:
        print_message(hint)


def print_line(text: str) -> None:
    """Print a line of progress where there is no terminal."""
    print(text, file=sys.stderr, flush=True)

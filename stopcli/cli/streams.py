"""Output streams that never fail, so that a stream that cannot be written never ends a training.

`install` replaces `sys.stdout` and `sys.stderr`. Where a write fails (a reader is gone, a terminal was closed, a disk
is full, a descriptor is closed), the failure is remembered and later output is dropped; characters that the encoding
lacks are replaced. rich, Typer, warnings and tracebacks print through them.

Imports next to nothing, because it is needed before anything else.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from stopcli.errors import escaped, system_words

_ERRORS = "stopcli-replace"
# Replacements for characters of our texts, and of rich's tables and bars, that an encoding lacks.
_REPLACEMENTS = {
    "±": "+/-", "→": "->", "←": "<-", "×": "x", "·": "-", "•": "*", "…": "...", "−": "-", "–": "-", "—": "-",
    "≥": ">=", "≤": "<=", "≠": "!=", "≈": "~", "√": "sqrt", "π": "pi", "β": "beta", "δ": "delta", "Φ": "Phi", "²": "^2",
    "⁴": "^4", "⁻": "^-", "⌊": "floor(", "⌋": ")", "‘": "'", "’": "'", "“": '"', "”": '"', "━": "-", "─": "-", "╸": "-",
    "╺": "-", "│": "|", "┃": "|",
}  # fmt: skip
_BOX_DRAWING, _BRAILLE = range(0x2500, 0x2580), range(0x2800, 0x2900)


class Outlet(io.RawIOBase):
    """Writes to another raw stream until that fails; from then on it drops what is written, and never fails itself.

    Args:
        target: the raw stream; None for none, where the descriptor was closed when the process began.
        owned: whether closing this closes the target. The process's own stdout and stderr are never closed.

    Attributes:
        failure: why writing failed; empty where it did not.
    """

    def __init__(self, target: Any, *, owned: bool = False) -> None:
        self._target, self._owned = target, owned
        self.failure = ""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.failure:
            try:
                return self._write(data)
            # ValueError: somebody has closed the target.
            except (OSError, ValueError) as error:
                self.failure = system_words(error)
        return len(data)

    def _write(self, data: Any) -> int:
        if self._target is None:
            raise OSError(None, "it is closed")
        while (written := self._target.write(data)) is None:
            # Another process has made the pipe or terminal that it shares with this one non-blocking.
            select.select([], [self._target], [])
        return int(written)

    def fileno(self) -> int:
        if self._target is None:
            raise io.UnsupportedOperation("fileno: the stream is closed")
        return int(self._target.fileno())

    def isatty(self) -> bool:
        try:
            return os.isatty(self.fileno())
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if self._owned:
            # What was written is on its way already.
            with contextlib.suppress(OSError):
                self._target.close()


def install() -> None:
    """Make stdout and stderr streams that never fail, and fill descriptors 0, 1 and 2 where they are closed.

    A closed one is opened on the null device: else the next file that is opened would get its number, and with it all
    output. Streams that somebody else has installed (a test, a program that calls `main`) stay.
    """
    _fill_descriptors()
    for name in ("stdout", "stderr"):
        stream, original = getattr(sys, name), getattr(sys, f"__{name}__")
        if stream is original:
            setattr(sys, name, _stream_over(original))


def _fill_descriptors() -> None:
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free: this one. Children inherit it, as they would have inherited an open one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _stream_over(original: Any) -> TextIO:
    if original is None:
        return text_over(Outlet(None), "utf-8")
    with contextlib.suppress(OSError, ValueError):
        original.flush()
    # A buffer that is none (python -u) is the raw stream itself.
    raw = getattr(original.buffer, "raw", original.buffer)
    lines, through = original.line_buffering, getattr(original, "write_through", False)
    return text_over(Outlet(raw), original.encoding, line_buffering=lines, write_through=through)


def text_over(outlet: Outlet, encoding: str, **options: bool) -> TextIO:
    """A text stream that writes to an outlet; characters that the encoding lacks are replaced."""
    codecs.register_error(_ERRORS, _replace)
    newline = None if os.name == "nt" else "\n"
    return io.TextIOWrapper(io.BufferedWriter(outlet), encoding=encoding, errors=_ERRORS, newline=newline, **options)


def copy_of_stderr() -> TextIO:
    """A stream that writes to where stderr goes now, through a descriptor of its own, and never fails either."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    return text_over(Outlet(io.FileIO(os.dup(2), "w"), owned=True), encoding, line_buffering=True)


@contextlib.contextmanager
def terminal_output_kept(terminal: int) -> Iterator[None]:
    """Keep a terminal from dropping what it has not shown yet on Ctrl-C, as it does by default, and from printing ^C.

    Else the cursor is not where the next drawing of a live view begins.

    Args:
        terminal: its descriptor.
    """
    try:
        import termios
    except ImportError:
        # Windows has none.
        yield
        return

    def set_flags(noflsh: int, echoctl: int) -> tuple[int, int]:
        mode = termios.tcgetattr(terminal)
        before = (mode[3] & termios.NOFLSH, mode[3] & termios.ECHOCTL)
        mode[3] = mode[3] & ~(termios.NOFLSH | termios.ECHOCTL) | noflsh | echoctl
        # A job in the background would be stopped for it.
        if os.tcgetpgrp(terminal) == os.getpgrp():
            termios.tcsetattr(terminal, termios.TCSANOW, mode)
        return before

    before = None
    # OSError: not the terminal of this session, or it is gone.
    with contextlib.suppress(OSError, termios.error):
        before = set_flags(termios.NOFLSH, 0)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, termios.error):
            if before:
                set_flags(*before)


def encodable(text: str) -> str:
    """A text without characters that stdout lacks, for what writes to its buffer in an encoding of its own choice."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    codecs.register_error(_ERRORS, _replace)
    return text.encode(encoding, _ERRORS).decode(encoding)


def failure_of_stdout() -> str:
    """Why some output could not be written to stdout; empty where all of it was."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    outlet = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return outlet.failure if isinstance(outlet, Outlet) else ""


def _replace(error: UnicodeError) -> tuple[str, int]:
    """The replacement of characters that an encoding lacks: similar ASCII, else an escape such as \\xe9."""
    assert isinstance(error, UnicodeEncodeError), "only for writing"
    return "".join(map(_replacement, error.object[error.start : error.end])), error.end


def _replacement(character: str) -> str:
    code = ord(character)
    if character in _REPLACEMENTS:
        return _REPLACEMENTS[character]
    if code in _BOX_DRAWING:
        return "+"
    if code in _BRAILLE:
        return "*"
    return escaped(character) if code > 0x7F else character

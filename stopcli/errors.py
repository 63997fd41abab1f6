"""What stopcli raises when it cannot do what was requested.

::

    StopcliError             exit status 1 unless a subclass says otherwise
    ├── RequestError         exit 2: the request was wrong and nothing was started
    │   ├── ConfigError      a setting has a value that it cannot have
    │   ├── NothingNewError  exit 5: a run was requested for new rows, and there are none
    │   └── RunFolderError   the run folder exists, is missing, or cannot be written
    │       └── RecordError  a file of a run was changed after the run wrote it
    └── RunError             exit 1: the run was started and failed
        ├── MetricError      a rule monitors a metric that the run does not report
        ├── CheckpointError  a model or a saved state could not be read
        ├── ResourceError    something outside the run failed: the disk, the memory, another machine
        └── ReplayError      training again from a saved state gave other numbers

Only the command line catches these, prints them and exits. Anything else that is raised is a bug and stays a
traceback.
"""

from __future__ import annotations

import sys

# As typing has it, whose import takes as long as all others before a signal is heeded.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

# Longer than any name or list of settings that somebody writes by hand, and no more than two lines of a terminal.
_SHOWN = 160

# The sentences of Keras, which name the shapes that do not fit at their end, and lines of somebody's code.
LONG_LINE = 500


def shortened(text: str, longest: int = _SHOWN) -> str:
    """Text from outside, at a length that fits a message."""
    if len(text) <= longest:
        return text
    return f"{text[: longest - 40]} … ({len(text):,} characters)"


def system_words(error: BaseException) -> str:
    """The system's reason in words; of another error, its message."""
    return getattr(error, "strerror", None) or str(error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is of memory that there was not enough of: Python's, or TensorFlow's, which is not imported to
    tell."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def in_a_line(error: BaseException) -> str:
    """An error for a sentence: the first line of what it says, with its kind where it is not one of these."""
    first = next(iter(str(error).splitlines()), "").strip()
    if isinstance(error, StopcliError) and first:
        return first
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def shown(value: object) -> str:
    """A value that was received, as a message shows it."""
    return shortened(repr(value))


# Of settings whose flag is not their name.
_FLAGS = {"settings": "--set", "baseline_arm": "--baseline"}

# By the kind of a fault that pydantic finds; `{…}` is what its context has.
_EXPECTATIONS = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "literal_error": "{expected}",
    "finite_number": "a finite number",
    "missing": "more values",
    "too_long": "a list of {max_length}",
    "bool_type": "true or false",
    "string_type": "a text",
    "tuple_type": "a list",
    "dict_type": "a table",
    "list_type": "a list",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
}


def expectation(fault: Mapping[str, Any]) -> str:
    """What would have been right, from one of the `errors()` of a pydantic ValidationError, in plain words."""
    if fault["type"] not in _EXPECTATIONS:
        return str(fault["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    context = {name: str(value).replace("'", "") for name, value in fault.get("ctx", {}).items()}
    return _EXPECTATIONS[fault["type"]].format(**context)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with what a name that is not known was probably meant to be; empty where nothing is near.

    >>> did_you_mean("val_los", ["loss", "val_loss"])
    'Did you mean val_loss?'
    """
    import difflib

    # Small letters are as near as capital ones.
    by_letters = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_letters, n=1)
    return f"Did you mean {by_letters[close[0]]}?" if close else ""


class StopcliError(Exception):
    """A failure that the user can understand: what happened, and what to do about it."""

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        # Paths are part of nearly all of them. Lines that the message has are meant.
        self.message = "\n".join(map(printable, message.split("\n")))
        super().__init__(self.message)
        self.hint = hint
        # The command line prints it; in Python, a traceback shows it.
        if hint and sys.version_info >= (3, 11):
            self.add_note(hint)


class RequestError(StopcliError):
    """The request was wrong. Nothing was started, nothing was written."""

    exit_status = 2


class ConfigError(RequestError):
    """A setting, by its name in config.toml, has a value that it cannot have; the command line shows it as a flag."""

    def __init__(self, setting: str, received: object, expected: str, *, hint: str = "") -> None:
        super().__init__(f"{shortened(setting)}: received {shown(received)}, expected {expected}", hint=hint)
        self.setting = setting
        self.received = received
        self.expected = expected

    def as_flag(self) -> str:
        """The message in the command line's words: `--train-size: received …`."""
        flag = _FLAGS.get(self.setting, "--" + self.setting.replace("_", "-"))
        return f"{flag}: received {shown(self.received)}, expected {self.expected}"


class NothingNewError(RequestError):
    """A run was requested for the new rows of a table, and there are none. A job that is started every night can tell a
    day without rows by its exit status from a request that is wrong."""

    exit_status = 5


class RunFolderError(RequestError):
    """The run folder exists already, is missing, or cannot be written."""


class RecordError(RunFolderError):
    """A file of a run was changed after the run wrote it. Once it is restored, the run can be resumed."""

    def __init__(self, message: str, *, hint: str = "Put the file back as it was, and resume.") -> None:
        super().__init__(message, hint=hint)


class RunError(StopcliError):
    """The run was started and failed. What it had done until then is kept."""


class MetricError(RunError):
    """A rule monitors a metric that the run does not report."""


class CheckpointError(RunError):
    """A model or a saved state could not be read."""


class ResourceError(RunError):
    """Something outside the run failed: the disk, the memory, another machine. Resuming later may succeed."""


class ReplayError(RunError):
    """Training again from a saved state gave other numbers than the first time."""


def printable(text: object) -> str:
    """A text from outside, such as a file's name, in which everything can be printed: line breaks, tabs, and bytes that
    are not UTF-8 are escaped."""
    return "".join(character if character.isprintable() else escaped(character) for character in str(text))


def escaped(letter: str) -> str:
    """A letter that cannot be printed, in ASCII."""
    # Python's stand-ins for bytes of a name that is not UTF-8.
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")

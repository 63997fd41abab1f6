"""The `stopcli` program: its output streams, its signals, its exit status.

Imports only what takes no time. The commands are imported once a signal can no longer end in a traceback.
"""

from __future__ import annotations

import os
import sys

from stopcli.signals import StopNow, handle_stop_signals, ignore_terminal, signal_name, write_in_handler

# As typing has it, whose import takes as long as all others here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn


def main(args: list[str] | None = None) -> NoReturn:
    """Run the program and exit: 0 done, 1 the run failed, 2 the request was wrong, 130, 143 and 129 interrupted; what
    `compare --require` requires does not hold, 3, or cannot be told, 4; no new rows to train on, 5.

    Args:
        args: the command line; None for that of the process, which then belongs to the program, with its signals, until
            it ends.
    """
    owns_process = args is None
    if owns_process:
        handle_stop_signals(_leave)
    # scikit-learn's joblib asks for a semaphore when it is imported, and warns where /dev/shm has none to give.
    os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")
    from stopcli.cli import streams

    streams.install()
    # After what protects it: these imports take most of the time of a short command.
    from stopcli.cli.app import run_program

    if owns_process:
        handle_stop_signals(_stop)
    try:
        status = run_program(sys.argv[1:] if args is None else args)
    except StopNow as stopped:
        status = stopped.exit_status
        if owns_process:
            ignore_terminal()
        if not stopped.reported:
            from stopcli.cli.console import Output

            Output().say(f"Interrupted by {stopped}.")
        if owns_process:
            streams.failure_of_stdout()
            _exit_at_once(status)
    failure = streams.failure_of_stdout()
    if failure:
        from stopcli.cli.console import print_error

        print_error(f"not everything could be written to stdout: {failure}")
        status = status or 1
    if owns_process:
        # Everything is done and printed, and the status is known.
        ignore_terminal()
    sys.exit(status)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Exit before anything was started. Not by an exception, which code that is being imported may swallow or wrap."""
    # A terminal has printed ^C, without a line end.
    start = "\n" if sys.stderr is not None and sys.stderr.isatty() else ""
    write_in_handler(f"{start}Interrupted by {signal_name(number)}.\n")
    os._exit(128 + number)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Exit by way of everything that has to be cleaned up."""
    raise StopNow(number)


def _exit_at_once(status: int) -> NoReturn:
    """End the process without waiting for its threads, which may still be training, and leave no process behind."""
    if "multiprocessing" in sys.modules:
        import multiprocessing

        for child in multiprocessing.active_children():
            child.kill()
    os._exit(status)


if __name__ == "__main__":
    main()

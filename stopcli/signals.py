"""Signals that ask the program to end: which they are, what they are called, and the exception that leaves at once.

Imports next to nothing, because it is needed before anything else.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

Handler = Callable[[int, "FrameType | None"], object]

# A lost connection, a closed terminal. Windows has none.
SIGHUP: int | None = getattr(signal, "SIGHUP", None)
# Windows has no masks.
_MASKS = hasattr(signal, "pthread_sigmask")


class StopNow(BaseException):
    """Leave at once, saving nothing more. No Exception, so that nothing on the way can take it for a failure.

    Attributes:
        exit_status: 128 + the signal's number, as shells have it: 130 after Ctrl-C, 143 after SIGTERM.
        reported: whether the user has been informed what becomes of the run.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal_name(number))
        self.exit_status = 128 + number
        self.reported = False


def signal_name(number: int) -> str:
    """What users call a signal."""
    known = {int(member): member.name for member in signal.Signals}
    return "Ctrl-C" if number == signal.SIGINT else known.get(number, f"signal {number}")


def write_in_handler(text: str) -> None:
    """A line of ASCII on stderr from a signal's handler, which may have come while the stream was in the middle of
    another."""
    with contextlib.suppress(OSError):
        os.write(2, text.encode("ascii"))


def stop_signals() -> tuple[int, ...]:
    """The signals that ask this process to end.

    SIGHUP is one of them unless the process ignores it from its start, as under `nohup`.
    """
    asking = [int(signal.SIGINT), int(signal.SIGTERM)]
    if SIGHUP is not None and signal.getsignal(SIGHUP) is not signal.SIG_IGN:
        asking.append(SIGHUP)
    return tuple(asking)


def handle_stop_signals(handler: Handler) -> dict[int, object]:
    """Let a function handle them; only in the main thread. Returns the handlers before, for `restore_handlers`.

    A process that is forked from this one, such as a worker of a pool in a user's file, is ended by them as if nothing
    handled them: it has no run to save, and whoever started it ends it by SIGTERM.
    """
    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            handler(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    return {number: signal.signal(number, handle) for number in stop_signals()}


def restore_handlers(handlers: dict[int, object]) -> None:
    """Put handlers back that `handle_stop_signals` has replaced."""
    for number, handler in handlers.items():
        signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal has returned


def ignore_terminal() -> None:
    """From now on, Ctrl-C and SIGHUP, which go to all processes of a terminal, do nothing; SIGTERM ends at once."""
    for number in stop_signals():
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)


def end_with_parent() -> None:
    """Let this process, which a pool has started, end when its parent is gone: it would wait for work for ever, because
    it holds the other end of the pipe that the work comes through itself."""
    # Not above: a command that has just started handles no signal yet.
    import multiprocessing
    import threading

    parent = multiprocessing.parent_process()
    assert parent is not None, "only a process that multiprocessing has started has such a parent"

    def wait() -> None:
        parent.join()
        # Whatever it computes, nobody receives it any more.
        os._exit(1)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def release_signals(held_before: Iterable[int] = ()) -> None:
    """Let signals that are held back come in, but for those that were held back before."""
    if _MASKS:
        signal.pthread_sigmask(signal.SIG_SETMASK, held_before)


@contextlib.contextmanager
def stop_signals_held() -> Iterator[None]:
    """Hold them back while the block runs, where the system can. A process that it starts does so until it calls
    `release_signals`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals()) if _MASKS else ()
    try:
        yield
    finally:
        release_signals(before)

"""What the system allows this process: address space, threads, and time until it is asked to
end.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from halfsquare.errors import HalfsquareError, LimitError

# Measured: in less, one of the libraries that read tables and compute ends the process, hangs or
# cannot be loaded.
TO_WORK = 1500 << 20
# A JavaScript engine reserves this much for its heaps before it draws; it uses a thousandth.
TO_DRAW = 80 << 30


class Terminated(BaseException):
    """Asked to end by SIGTERM: as after Ctrl-C, what was begun is undone."""

    number, told = signal.SIGTERM, "asked to end"


class HungUp(Terminated):
    """Asked to end by SIGHUP: the terminal is gone."""

    number, told = signal.SIGHUP, "the terminal is gone"


def require_streams() -> None:
    """See that standard input, output and error stand where they are expected.

    The number of one that was closed (``>&-``) would be given to the next file that is opened, and
    what is printed would land in it. What a stream's encoding cannot say is written by its number
    in Unicode.
    """
    for number, flag in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except (
            OSError
        ):  # the use of it fails, as that of a closed one should; but errors go nowhere
            opened = os.open(os.devnull, flag)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # a stream that can be read as well is asked where it stands
                stream.reconfigure(errors="backslashreplace")


def require_address_space(needed: int, what: str) -> None:
    """Refuse work, before a library is loaded that would crash, in too little address space
    (``ulimit -v``).

    Under a limit, BLAS is held to one thread: each takes address space in advance.

    Raises
    ------
    LimitError
    """
    try:
        import resource
    except ImportError:  # no such limits on this system
        return
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed == resource.RLIM_INFINITY:
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if allowed < needed:
        raise LimitError(
            f"the address space is limited to {allowed >> 20:,} MB (ulimit -v), and {what} needs "
            f"{needed >> 20:,} MB of it, of which far less is used. Raise the limit"
        )


def is_lack_of_memory(problem: BaseException) -> bool:
    """Whether an error of a library says that the system gave it no memory, no thread or no address
    space.
    """
    words = "can't start new thread", "failed to map segment", "annot allocate memory", "bad_alloc"
    return isinstance(problem, MemoryError) or (
        isinstance(problem, (RuntimeError, ImportError, OSError))
        and any(w in str(problem) for w in words)
    )


class Ending:
    """Whether somebody asked this process to end: an exception raised in the middle of a library's
    own work can come out as another one, or not at all.
    """

    def __init__(self) -> None:
        self.asked: type[BaseException] | None = None

    def terminate(self, number: int, frame: object) -> None:
        """For SIGTERM and SIGHUP."""
        self.asked = HungUp if number == signal.SIGHUP else Terminated
        raise self.asked

    def interrupt(self, number: int, frame: object) -> None:
        """For SIGINT; one after SIGTERM changes nothing."""
        self.asked = self.asked or KeyboardInterrupt
        raise self.asked


_ending = Ending()


def asked_to_end() -> type[BaseException]:
    """What a library's word of an interruption means: :class:`Terminated` after SIGTERM, else
    KeyboardInterrupt.
    """
    return _ending.asked or KeyboardInterrupt


@contextmanager
def orderly_end() -> Iterator[None]:
    """SIGTERM ends the block with :class:`Terminated`, SIGHUP with :class:`HungUp`, so that whoever
    holds files can let go of them.

    An error that follows from a signal, or an exit on account of it, is told as what the signal
    asked for.
    """
    global _ending
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _ending = ending = Ending()
    told = {
        signal.SIGTERM: ending.terminate,
        signal.SIGHUP: ending.terminate,
        signal.SIGINT: ending.interrupt,
    }
    # What whoever started this process has chosen to ignore stays ignored.
    before = {
        n: signal.signal(n, told[n]) for n in told if signal.getsignal(n) is not signal.SIG_IGN
    }
    try:
        yield
    except BaseException as problem:
        done = isinstance(problem, SystemExit) and problem.code in (None, 0)
        if ending.asked is not None and not done and not isinstance(problem, HalfsquareError):
            raise ending.asked from None
        raise
    finally:
        _ending = Ending()
        for number, handler in before.items():
            signal.signal(number, handler)

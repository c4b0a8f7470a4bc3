"""What a command is doing, as a bar on standard error: nothing where nobody is looking."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from halfsquare.text import visible

_DELAY = 1.0  # seconds before there is a bar: a flicker tells nothing
_EVERY = 0.1  # seconds between two changes of it


class Work:
    """Phase, share done where it is known, time left; begun by the first call that comes late
    enough.

    Parameters
    ----------
    time_limit : float or None
        Seconds that a descent may take: then the share done is that of the time.
    shown : bool
        Whether there is to be a bar.
    """

    def __init__(self, time_limit: float | None = None, *, shown: bool = True) -> None:
        self._began = self._told = time.monotonic()
        self._limit, self._shown = time_limit, shown
        self._bar: Any = None
        self._task: Any = None
        self._passes = 0  # over the rows
        self._rows = self._most = 0

    def read(self, rows: int) -> None:
        """So many rows have been read, in this pass."""
        if rows < self._rows or not self._passes:
            self._passes += 1
        self._rows, self._most = rows, max(self._most, rows)
        if self._due():
            again = self._passes > 1
            phase = f"Reading again ({self._passes})" if again else "Reading"
            self._show(phase, rows, self._most if again else None, f"{rows:,} rows")

    def step(self, state: Any) -> None:
        """A descent has taken a step."""
        if self._due():
            now = time.monotonic() - self._began
            loss = f"step {state.iteration:,}, loss {state.loss:.4g}"
            self._show("Fitting", now if self._limit else None, self._limit, loss)

    def say(self, line: str) -> None:
        """A line of its own, above the bar."""
        line = visible(line)
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr)

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def _due(self) -> bool:
        now = time.monotonic()
        if not self._shown or now - self._began < _DELAY or now - self._told < _EVERY:
            return False
        self._told = now
        return True

    def _show(self, phase: str, done: float | None, total: float | None, detail: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as TimeLeft

        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[detail]}"),
                TimeLeft() if self._limit else TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(phase, total=total, detail=detail)
        self._bar.update(
            self._task, description=phase, completed=done or 0, total=total, detail=detail
        )


@contextmanager
def working(time_limit: float | None = None, *, quiet: bool = False) -> Iterator[Work]:
    """The progress of a command, and what the package logs meanwhile, on standard error."""
    work = Work(time_limit, shown=not quiet and sys.stderr.isatty())
    handler = _Lines(work)
    log = logging.getLogger("halfsquare")
    level = log.level
    if not quiet:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    try:
        yield work
    finally:
        work.end()
        log.removeHandler(handler)
        log.setLevel(level)


@contextmanager
def reading() -> Iterator[Callable[[int], None]]:
    """The progress of a pass over rows."""
    with working() as work:
        yield work.read


class _Lines(logging.Handler):
    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work

    def emit(self, record: logging.LogRecord) -> None:
        self._work.say(record.getMessage())

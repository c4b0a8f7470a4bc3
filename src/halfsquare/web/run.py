"""One training run of the page: what it is asked for, and what becomes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

from halfsquare.errors import HalfsquareError
from halfsquare.fitting.fit import fit
from halfsquare.process import is_lack_of_memory
from halfsquare.results.fitted import FittedModel
from halfsquare.solvers.base import State
from halfsquare.web.controls import Controls
from halfsquare.web.curves import Curve
from halfsquare.web.datasets import DataSet
from halfsquare.web.kept import KeptRun
from halfsquare.web.reading_form import reading_in
from halfsquare.web.snapshot import Snapshot, snapshot_of
from halfsquare.web.surface import Surface, surface_of
from halfsquare.web.watching import Watcher

Standing = Literal["waiting", "reading", "descending", "paused", "done", "ended", "failed"]

RUNNING: tuple[Standing, ...] = ("waiting", "reading", "descending", "paused")


@dataclass(frozen=True)
class RunOptions:
    """What to train.

    Attributes
    ----------
    data : DataSet
    target : list of str or None
        None where a formula names it.
    method : str
        What people call model and method.
    options : mapping
        Arguments of :func:`halfsquare.fit`; nothing else decides the result.
    paused : bool
        Whether to wait before the first step.
    """

    data: DataSet
    target: list[str] | None
    method: str
    options: Mapping[str, Any]
    paused: bool = False

    @property
    def reading(self) -> dict[str, Any]:
        """Those of the options that say how the file is read."""
        return reading_in(self.options)

    @property
    def query(self) -> str:
        """The data set and how it is read, as the page Train is asked for it."""
        texts = {
            name: "yes" if value is True else "no" if value is False else
            ",".join(value) if isinstance(value, (list, tuple)) else str(value)
            for name, value in self.reading.items()
        }  # fmt: skip
        return urlencode({"data": self.data.key, **texts})

    @property
    def predicts(self) -> str:
        """The targets, or the formula that names it."""
        return str(self.options["formula"]) if self.target is None else ", ".join(self.target)


_FREE = threading.Lock()


class Run:
    """A training run; begins when its turn comes, or is one of an earlier server."""

    def __init__(self, number: int, asked: RunOptions, turn: threading.Lock) -> None:
        self.number, self.asked = number, asked
        self.controls = Controls(asked.paused)
        self.watcher = Watcher()
        self.rows_read = 0
        self.fitted: FittedModel | None = None
        self.problem: str | None = None
        self.seconds = 0.0
        self._last: Snapshot | None = None
        self._began: float | None = None
        self._thread = threading.Thread(
            target=self._run, args=(turn,), name=f"run {number}", daemon=True
        )

    @classmethod
    def restored(cls, kept: KeptRun, data: DataSet | None) -> Run:
        """A run that an earlier server kept; without its rows it cannot be reported on."""
        shown = data or DataSet("", kept.data, "no longer here", lambda: Path())
        run = cls(kept.number, RunOptions(shown, kept.target, kept.method, kept.options), _FREE)
        run.fitted, run.seconds = kept.fitted, kept.seconds
        run.watcher = Watcher.of(kept.curves)
        run._last = snapshot_of(kept.fitted, None)
        return run

    def begin(self) -> None:
        """Take its place among those that wait for their turn."""
        self._thread.start()

    @property
    def key(self) -> str:
        """What requests and the list of models call it."""
        return f"run-{self.number}"

    @property
    def label(self) -> str:
        """What people call it."""
        return f"Run {self.number}: {self.asked.method} on {self.asked.data.label}"

    @property
    def standing(self) -> Standing:
        """What it is doing; ``"ended"``: stopped before there was a model."""
        if self.fitted is not None:
            return "done"
        if self.problem is not None:
            return "failed"
        if self._thread.ident is None or self._thread.is_alive():
            if self._began is None:
                return "waiting"
            if self.controls.paused:
                return "paused"
            return "descending" if self.watcher.version else "reading"
        return "ended"

    @property
    def running(self) -> bool:
        """Whether it goes on, or waits to."""
        return self.standing in RUNNING

    @property
    def version(self) -> tuple[Any, ...]:
        """Changes with everything that can be seen."""
        held, stopped = self.controls.held, self.controls.stopped
        return (self.standing, self.watcher.version, self.rows_read, held, stopped)

    @property
    def snapshot(self) -> Snapshot | None:
        """Where the descent stands, or what the finished model looks like."""
        return self._last or self.watcher.snapshot

    @property
    def curves(self) -> list[Curve]:
        """Every descent so far."""
        return self.watcher.curves()

    def surface(self) -> Surface | None:
        """The loss around where its descent stands, or around the finished model; None for what
        has no weights, or lost its rows.
        """
        found = self.watcher.surface
        if found is None and self.fitted is not None and self.asked.data.key:
            found = surface_of(self.fitted, self.asked.data.rows(self.asked.reading))
        return found

    def end(self, seconds: float = 10.0) -> None:
        """Stop it, and wait until it has."""
        self.controls.stop()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def join(self) -> None:
        """Wait until it is over."""
        self._thread.join()

    def kept(self) -> KeptRun:
        """What of it outlives the server."""
        assert self.fitted is not None
        asked = self.asked
        return KeptRun(
            self.number,
            asked.data.label,
            asked.data.key,
            asked.target,
            asked.method,
            dict(asked.options),
            self.seconds,
            self.curves,
            self.fitted,
        )

    def _run(self, turn: threading.Lock) -> None:
        while not turn.acquire(timeout=0.1):
            if self.controls.stopped:
                return
        try:
            if not self.controls.stopped:
                self._began = time.monotonic()
                self._fit()
        finally:
            turn.release()
            self.watcher.forget()

    def _fit(self) -> None:
        asked, data = self.asked, self.asked.data
        try:
            path = str(data.make())
            fitted = fit(
                path, asked.target, progress=self._read, callback=self._watch, **asked.options
            )
            self._last = snapshot_of(fitted, path)
            self.seconds = time.monotonic() - (self._began or 0.0)
            # A model tells of its data under the name that people know.
            self.fitted = replace(fitted, record=fitted.record.named(data.label))
        except KeyboardInterrupt:
            pass
        except HalfsquareError as problem:
            self.problem = data.told(str(problem))
        except Exception as problem:
            if is_lack_of_memory(problem):
                self.problem = (
                    "there is not enough memory for these rows and this model: "
                    "choose fewer columns, or a smaller model"
                )
                return
            self.problem = (
                "this is a fault of the program, not yours "
                f"({type(problem).__name__}): please report it"
            )
            raise

    def _read(self, rows: int) -> None:
        self.rows_read = rows
        self.controls.check()

    def _watch(self, state: State[Any]) -> None:
        self.watcher.see(state, closely=self.controls.held)
        self.controls.wait()

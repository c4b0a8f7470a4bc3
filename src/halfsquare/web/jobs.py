"""The training run of the page: one at a time, in a thread of the server, whatever becomes of the
tab.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from halfsquare.errors import HalfsquareError
from halfsquare.fitting.fit import fit
from halfsquare.process import is_lack_of_memory
from halfsquare.results.fitted import FittedModel
from halfsquare.solvers.base import State
from halfsquare.web.datasets import DataSet
from halfsquare.web.watching import Look, Watcher, look_at

Pace = Literal["full", "slow", "step"]
_SLOW = 0.1  # seconds from one step to the next


class Gate:
    """Lets a descent through, or keeps it waiting, as the page says."""

    def __init__(self, pace: Pace = "full") -> None:
        self._changed = threading.Condition()
        self._pace = pace
        self._before: Pace = "full" if pace == "step" else pace
        self._let_through = 0  # how often one step was asked for
        self._waiting = 0
        self._stopped = False

    @property
    def pace(self) -> Pace:
        """How fast the descent may go on."""
        return self._pace

    @property
    def stopped(self) -> bool:
        """Whether the descent is to end."""
        return self._stopped

    @property
    def paused(self) -> bool:
        """Whether somebody waits for the next step to be asked for."""
        return self._pace == "step" and self._waiting > 0 and not self._stopped

    def pause(self) -> None:
        """Wait before each step until it is asked for."""
        self._go("step")

    def resume(self) -> None:
        """Go on as before the pause."""
        self._go(self._before)

    def full_speed(self) -> None:
        """Go on without waiting."""
        self._before = "full"
        self._go("full")

    def one_step(self) -> None:
        """Wait from now on, but let everyone who waits take one step first."""
        with self._changed:
            self._pace = "step"
            self._let_through += 1
            self._changed.notify_all()

    def stop(self) -> None:
        """End the descent: whoever passes next is interrupted."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _go(self, pace: Pace) -> None:
        with self._changed:
            self._pace = pace
            self._changed.notify_all()

    def check(self) -> None:
        """Go by, without waiting.

        Raises
        ------
        KeyboardInterrupt
            If the descent is to end.
        """
        if self._stopped:
            raise KeyboardInterrupt

    def pass_through(self) -> None:
        """Wait as long as the gate says.

        Raises
        ------
        KeyboardInterrupt
            If the descent is to end; the training loop turns it into the best so far.
        """
        with self._changed:
            asked, began = self._let_through, time.monotonic()
            self._waiting += 1
            try:
                while not self._stopped and self._let_through == asked:
                    left = began + _SLOW - time.monotonic()
                    if self._pace == "full" or (self._pace == "slow" and left <= 0):
                        break
                    self._changed.wait(left if self._pace == "slow" else None)
            finally:
                self._waiting -= 1
        self.check()


Standing = Literal["reading", "descending", "paused", "done", "ended", "failed"]

RUNNING: tuple[Standing, ...] = ("reading", "descending", "paused")


class Busy(HalfsquareError):
    """A second training run while the first goes on."""

    def __init__(self) -> None:
        super().__init__(
            "a training run is under way, and there is room for one. Watch it to its end, or "
            "stop it"
        )


@dataclass(frozen=True)
class Order:
    """What to train.

    Attributes
    ----------
    target : str or None
        None where a formula names it.
    way : str
        What people call model and method.
    options : mapping
        Arguments of :func:`halfsquare.fit`; nothing else decides the result.
    """

    data: DataSet
    target: str | None
    way: str
    options: Mapping[str, Any]
    pace: Pace = "full"


class Job:
    """A training run; begins at once."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.gate = Gate(order.pace)
        self.watcher = Watcher()
        self.rows_read = 0
        self.fitted: FittedModel | None = None
        self._last: Look | None = None
        self.problem: str | None = None
        self.seconds = 0.0
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)
        self._thread.start()

    @property
    def standing(self) -> Standing:
        """What it is doing; ``"ended"``: stopped before there was a model."""
        if self._thread.is_alive() and self.fitted is None and self.problem is None:
            if self.gate.paused:
                return "paused"
            return "descending" if self.watcher.version else "reading"
        if self.fitted is not None:
            return "done"
        return "failed" if self.problem is not None else "ended"

    @property
    def running(self) -> bool:
        """Whether it goes on, or waits to."""
        return self.standing in RUNNING

    @property
    def version(self) -> tuple[Any, ...]:
        """Changes with everything that can be seen."""
        return (
            self.standing,
            self.watcher.version,
            self.rows_read,
            self.gate.pace,
            self.gate.stopped,
        )

    @property
    def look(self) -> Look | None:
        """Where the descent stands, or what the finished model looks like."""
        return self._last or self.watcher.look

    def end(self, seconds: float = 10.0) -> None:
        """Stop it, and wait until it has."""
        self.gate.stop()
        self._thread.join(seconds)

    def _run(self) -> None:
        data = self.order.data
        try:
            path = str(data.make())
            fitted = fit(
                path,
                self.order.target,
                progress=self._read,
                callback=self._watch,
                **self.order.options,
            )
            self._last, self.seconds = look_at(fitted, path), time.monotonic() - self._began
            # A model tells of its data under the name that people know.
            self.fitted = replace(fitted, info={**fitted.info, "data": data.label})
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
        finally:
            self.watcher.forget()

    def _read(self, rows: int) -> None:
        self.rows_read = rows
        self.gate.check()

    def _watch(self, state: State[Any]) -> None:
        self.watcher.see(state, closely=self.gate.pace != "full")
        self.gate.pass_through()


class Jobs:
    """The training runs of one server: the present one, or the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.last: Job | None = None

    def start(self, order: Order) -> Job:
        """Begin a run in place of the last one.

        Raises
        ------
        Busy
            If that one still goes on.
        """
        with self._lock:
            if self.last is not None and self.last.running:
                raise Busy
            self.last = Job(order)
            return self.last

    def close(self) -> None:
        """Stop what goes on."""
        if self.last is not None:
            self.last.end()

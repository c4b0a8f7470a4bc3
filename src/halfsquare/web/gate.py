"""The gate in the way of a descent: open, slowed down, closed, open for one step, or an end to it.

The descent passes through it after each step, in a thread of its own, or in several where the
members of an ensemble descend side by side.
"""

from __future__ import annotations

import threading
import time
from typing import Literal

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

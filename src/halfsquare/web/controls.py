"""How fast a descent may go: paused, a step at a time, or at full speed."""

from __future__ import annotations

import threading


class Controls:
    """Lets a descent go on, or keeps it waiting, as the page says."""

    def __init__(self, paused: bool = False) -> None:
        self._changed = threading.Condition()
        self._held = paused
        self._let_through = 0  # how often one step was asked for
        self._waiting = 0
        self._stopped = False

    @property
    def held(self) -> bool:
        """Whether each step waits until it is asked for."""
        return self._held

    @property
    def stopped(self) -> bool:
        """Whether the descent is to end."""
        return self._stopped

    @property
    def paused(self) -> bool:
        """Whether somebody waits for the next step to be asked for."""
        return self._held and self._waiting > 0 and not self._stopped

    def toggle(self) -> None:
        """Pause, or go on."""
        with self._changed:
            self._held = not self._held
            self._changed.notify_all()

    def one_step(self) -> None:
        """Wait from now on, but let everyone who waits take one step first."""
        with self._changed:
            self._held = True
            self._let_through += 1
            self._changed.notify_all()

    def stop(self) -> None:
        """End the descent: whoever asks next is interrupted."""
        with self._changed:
            self._stopped = True
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

    def wait(self) -> None:
        """Wait as long as it is held.

        Raises
        ------
        KeyboardInterrupt
            If the descent is to end; the training loop turns it into the best so far.
        """
        with self._changed:
            asked = self._let_through
            self._waiting += 1
            try:
                while self._held and not self._stopped and self._let_through == asked:
                    self._changed.wait()
            finally:
                self._waiting -= 1
        self.check()

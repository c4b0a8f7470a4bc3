"""What ends a fit early: the time it was given, Ctrl-C, or a callback."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from halfsquare.results.fitted import FittedModel
from halfsquare.results.info import interrupted
from halfsquare.solvers.base import State
from halfsquare.solvers.run import Callback


@dataclass(frozen=True)
class TimeLimit:
    """Seconds for the whole fit, from when it began."""

    seconds: float | None
    began: float = field(default_factory=time.monotonic)

    def at(self, share: float) -> float | None:
        """The deadline of what may take that share of them."""
        return None if self.seconds is None else self.began + share * self.seconds

    def leaves(self, share: float) -> bool:
        """Whether that share of them is still to come."""
        deadline = self.at(1.0 - share)
        return deadline is None or time.monotonic() <= deadline


class Interruption:
    """Whether Ctrl-C or the callback has ended the fit: then no further descent is to
    begin.
    """

    def __init__(self) -> None:
        self.happened = False

    def noticed(self, callback: Callback | None) -> Callback | None:
        """``callback``, with its KeyboardInterrupt remembered."""
        if callback is None:
            return None
        told = callback

        def tell(state: State[Any]) -> None:
            try:
                told(state)
            except KeyboardInterrupt:
                self.happened = True
                raise

        return tell

    def ended(self, fitted: FittedModel) -> bool:
        """Whether the fit was ended by the time this model was done."""
        return self.happened or interrupted(fitted.members)

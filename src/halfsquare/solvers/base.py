"""What a descent method is: a first state, and a step from one state to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from halfsquare.files.packing import packable
from halfsquare.loss import Floats
from halfsquare.solvers.objective import Objective


@packable("state")
@dataclass(frozen=True)
class State:
    """Where a descent stands. States are values: a descent can be paused, resumed and replayed.

    Attributes
    ----------
    parameters : (p,)
        The best parameters so far.
    loss : float
        ½ penalized SSE at these parameters, summed over all rows (for mini-batches: an estimate).
    gradient_norm : float
        Euclidean norm of its gradient.
    iteration : int
        Steps tried, those refused included.
    stopped : str or None
        Why the descent is over, in words; None while it goes on.
    converged : bool
        Whether it ended at a minimum rather than at a limit.
    notes : mapping of str to float
        What else the method reports of this step (damping, batch, signal, noise, …).
    memory : Any
        What the method itself needs for the next step, all of it: made of what
        :mod:`halfsquare.files.packing` can pack.
    objective : Objective or None
        What is descended, told to those who watch; None in all other states.
    """

    parameters: Floats
    loss: float
    gradient_norm: float
    iteration: int = 0
    stopped: str | None = None
    converged: bool = False
    notes: Mapping[str, float] = field(default_factory=dict)
    memory: Any = None
    objective: Objective | None = None


class Descent(ABC):
    """A way down. Methods are frozen values; what changes is in the :class:`State` they pass on."""

    @abstractmethod
    def begin(self, objective: Objective, parameters: Floats) -> State:
        """The state at the starting parameters."""

    @abstractmethod
    def step(self, objective: Objective, state: State) -> State:
        """The state after one more step, accepted or refused."""

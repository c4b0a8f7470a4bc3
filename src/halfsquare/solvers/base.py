"""What a solver is: a first state, and a step from one state to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from halfsquare.files.packing import packable
from halfsquare.loss import Floats
from halfsquare.solvers.objective import Objective


@packable("reason")
class Reason(Enum):
    """Why a descent ended: its name in files, whether that is where it was to end, and the sentence
    that tells it, with a place for what was measured.
    """

    converged: bool
    sentence: str

    ZERO_GRADIENT = "zero_gradient", True, "converged: the gradient is zero"
    SMALL_GRADIENT = "small_gradient", True, "converged: the gradient fell to {:g} of the first"
    GRADIENT_ROUNDING = (
        "gradient_rounding",
        True,
        "converged: the gradient over all rows is zero to rounding",
    )
    NO_LOWER = "no_lower", True, "converged: no step lowers the loss further"
    EVIDENCE_CALM = "evidence_calm", True, "converged: the evidence no longer changes"
    HELD_OUT_NO_BETTER = (
        "held_out_no_better",
        True,
        "converged: shorter steps predict the rows held out no better",
    )
    SMALL_OFFSET = "small_offset", True, "converged: relative offset {:.1e}"
    OFFSET_ROUNDING = (
        "offset_rounding",
        True,
        "converged: relative offset {:.1e}, no step lowers the loss further",
    )
    LEFT_OUT_RISES = (
        "left_out_rises",
        True,
        "the MSE on rows left out rises by more than its standard error",
    )
    LEFT_OUT_CALM = ("left_out_calm", True, "the MSE on rows left out has not fallen for {} rounds")
    NO_TREE = "no_tree", True, "no tree lowers the loss any further"
    OFFSET_ABOVE = (
        "offset_above",
        False,
        "stopped: relative offset {:.1e}, no step lowers the loss further",
    )
    EXTENDED_PRECISION = "extended_precision", True, "converged: in extended precision"
    ERRORS_ROUNDING = ("errors_rounding", True, "converged: the errors are the rounding of float64")
    HELD_OUT_BEST = "held_out_best", True, "stopped: where the rows left out favour it"
    SOLVED = "solved", True, "solved directly ({})"
    SOLVED_EXACTLY = "solved_exactly", True, "solved from exact sums ({})"
    NO_PROGRESS = "no_progress", False, "stopped: no further progress"
    NO_STEP = "no_step", False, "stopped: no step, however short, lowers the loss"
    SINGULAR = "singular", False, "stopped: the curvature is singular"
    LOSS_NOT_FINITE = "loss_not_finite", False, "stopped: the loss is no longer finite"
    MODEL_NOT_FINITE = (
        "model_not_finite",
        False,
        "the model is not finite at the starting parameters",
    )
    FORMULA_NOT_FINITE = "formula_not_finite", False, "the formula is not finite at the start"
    ITERATION_LIMIT = "iteration_limit", False, "stopped: the limit of {} iterations"
    ROUND_LIMIT = "round_limit", False, "stopped: the limit of {} rounds"
    TIME_LIMIT = "time_limit", False, "stopped: the time limit"
    INTERRUPTED = "interrupted", False, "stopped: interrupted"

    def __new__(cls, code: str, converged: bool, sentence: str) -> Reason:
        reason = object.__new__(cls)
        reason._value_ = code
        reason.converged, reason.sentence = converged, sentence
        return reason


@packable("termination")
@dataclass(frozen=True)
class Termination:
    """Why a descent ended, and what was measured then.

    Raises
    ------
    ValueError
        If the reason's sentence has no place for such a detail: a file that says so is damaged.

    Examples
    --------
    >>> str(Termination(Reason.ITERATION_LIMIT, 7))
    'stopped: the limit of 7 iterations'
    """

    reason: Reason
    detail: float | str | None = None

    def __post_init__(self) -> None:
        try:
            self.reason.sentence.format(self.detail)
        except TypeError as problem:
            raise ValueError(f"{self.reason.value} with {self.detail!r}: {problem}") from None

    @property
    def converged(self) -> bool:
        """Whether it ended where it was to end rather than at a limit."""
        return self.reason.converged

    def __str__(self) -> str:
        return self.reason.sentence.format(self.detail)


M = TypeVar("M")
O = TypeVar("O", bound=Objective)


@packable("state")
@dataclass(frozen=True)
class State(Generic[M]):
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
    stopped : Termination or None
        Why the descent is over; None while it goes on.
    notes : mapping of str to float
        What else the solver reports of this step (damping, batch, signal, noise, …).
    memory : M
        What the solver itself needs for the next step, all of it: made of what
        :mod:`halfsquare.files.packing` can pack.
    objective : Objective or None
        What is descended, told to callbacks; None in all other states.
    """

    parameters: Floats
    loss: float
    gradient_norm: float
    iteration: int = 0
    stopped: Termination | None = None
    notes: Mapping[str, float] = field(default_factory=dict)
    memory: M = field(kw_only=True)
    objective: Objective | None = None

    @property
    def converged(self) -> bool:
        """Whether it ended at a minimum rather than at a limit."""
        return self.stopped is not None and self.stopped.converged


class Solver(ABC, Generic[O, M]):
    """A way down an objective of type O, with a memory of type M.

    Solvers are frozen values; what changes is in the :class:`State` they pass on. They see sums
    over all rows or over a batch of them, by the objective's methods, and never a model.
    """

    @abstractmethod
    def begin(self, objective: O, parameters: Floats) -> State[M]:
        """The state at the starting parameters."""

    @abstractmethod
    def step(self, objective: O, state: State[M]) -> State[M]:
        """The state after one more step, accepted or refused."""

    def resume(self, objective: O, state: State[M]) -> State[M]:
        """The first state of a descent that goes on from a state reached on other rows."""
        return self.begin(objective, state.parameters)


@packable("record")
@dataclass(frozen=True)
class Record:
    """One line of the history of a descent; see :class:`halfsquare.solvers.base.State`."""

    iteration: int
    loss: float
    gradient_norm: float
    notes: dict[str, float]

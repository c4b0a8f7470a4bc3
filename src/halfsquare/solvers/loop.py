"""The only training loop: step until the method says stop, a limit is reached, or someone
interrupts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from halfsquare.files.packing import packable
from halfsquare.loss import Floats
from halfsquare.solvers.base import Descent, State
from halfsquare.solvers.journal import NO_JOURNAL, Journal
from halfsquare.solvers.objective import Objective


@dataclass(frozen=True)
class Limits:
    """When to stop although the descent could go on.

    Attributes
    ----------
    iterations : int
        Steps at most.
    deadline : float or None
        A reading of ``time.monotonic()`` after which no step is begun.
    """

    iterations: int = 1000
    deadline: float | None = None


@packable("record")
@dataclass(frozen=True)
class Record:
    """One line of the history of a descent; see :class:`halfsquare.solvers.base.State`."""

    iteration: int
    loss: float
    gradient_norm: float
    notes: dict[str, float]


Watch = Callable[[State], None]
INTERRUPTED = "stopped: interrupted"


def descend(
    method: Descent,
    objective: Objective,
    start: Floats | State,
    *,
    limits: Limits = Limits(),
    watch: Watch | None = None,
    journal: Journal = NO_JOURNAL,
) -> tuple[State, list[Record]]:
    """Run ``method`` down ``objective`` from parameters (p,), or on from a state reached before.

    ``watch`` is called with every state, its objective beside it (progress, the live page). A
    KeyboardInterrupt ends the descent with the best state so far: nothing that was learnt is lost.

    A descent that the journal knows goes on from where it stood, with the same bits as if it had
    never stopped; one that is over there is not taken up again. What a clock or a person ended is
    not over.
    """
    page = journal.page(start)
    known = page.last()
    if known is not None:
        state, history = known
    else:
        state = start if isinstance(start, State) else method.begin(objective, start)
        history = [_record(state)]
        page.keep(state, history)
    try:
        while state.stopped is None:
            if state.iteration >= limits.iterations:
                state = replace(
                    state, stopped=f"stopped: the limit of {limits.iterations} iterations"
                )
                page.keep(state, history)
            elif limits.deadline is not None and time.monotonic() >= limits.deadline:
                state = replace(state, stopped="stopped: the time limit")
            else:
                state = method.step(objective, state)
                if _kept(state.iteration) or state.stopped is not None:
                    history.append(_record(state))
                page.keep(state, history)
                if watch is not None:
                    watch(replace(state, objective=objective))
    except KeyboardInterrupt:
        state = replace(state, stopped=INTERRUPTED)
    return state, history


def _kept(iteration: int) -> bool:
    """Every iteration up to a thousand, every tenth up to ten thousand, …: histories stay small."""
    every: int = 10 ** max(0, len(str(iteration)) - 3)
    return iteration % every == 0


def _record(state: State) -> Record:
    return Record(state.iteration, state.loss, state.gradient_norm, dict(state.notes))

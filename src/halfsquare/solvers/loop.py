"""The only training loop: step until the solver says stop, a limit is reached, or someone
interrupts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from halfsquare.loss import Floats
from halfsquare.solvers.base import M, O, Reason, Record, Solver, State, Termination
from halfsquare.solvers.run import Run

ITERATIONS = 1000


def descend(
    solver: Solver[O, M],
    objective: O,
    start: Floats | State[M],
    run: Run | None = None,
    *,
    iterations: int = ITERATIONS,
) -> tuple[State[M], list[Record]]:
    """Run ``solver`` down ``objective`` from parameters (p,), or on from a state reached before.

    It ends after ``iterations`` steps at most, or at the run's deadline, although it could go on. A
    KeyboardInterrupt ends it with the best state so far: nothing that was learnt is lost.

    A descent that the checkpointer knows goes on from where it stood, with the same bits as if it
    had never stopped; one that is over there is not taken up again. What a clock or a person ended
    is not over.
    """
    run = run or Run()
    slot = run.checkpointer.slot(start)
    known = slot.last()
    if known is not None:
        state, history = known
    else:
        state = start if isinstance(start, State) else solver.begin(objective, start)
        history = [_record(state)]
        slot.keep(state, history)
    try:
        if known is None and run.callback is not None:
            run.callback(replace(state, objective=objective))
        while state.stopped is None:
            if state.iteration >= iterations:
                limit = Termination(Reason.ITERATION_LIMIT, iterations)
                state = replace(state, stopped=limit)
                slot.keep(state, history)
            elif run.late:
                state = replace(state, stopped=Termination(Reason.TIME_LIMIT))
            else:
                state = solver.step(objective, state)
                if _kept(state.iteration) or state.stopped is not None:
                    history.append(_record(state))
                slot.keep(state, history)
                if run.callback is not None:
                    run.callback(replace(state, objective=objective))
    except KeyboardInterrupt:
        state = replace(state, stopped=Termination(Reason.INTERRUPTED))
    return state, history


def _kept(iteration: int) -> bool:
    """Every iteration up to a thousand, every tenth up to ten thousand, …: histories stay small."""
    every: int = 10 ** max(0, len(str(iteration)) - 3)
    return iteration % every == 0


def _record(state: State[Any]) -> Record:
    return Record(state.iteration, state.loss, state.gradient_norm, dict(state.notes))

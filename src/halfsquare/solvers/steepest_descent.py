"""Steepest descent on a quadratic, with the exact step that its curvature gives: no learning rate.

Along the negative gradient the loss F(θ - s g) is a parabola in s, least at s = gᵀg / gᵀHg (Cauchy
1847; Nocedal & Wright 2006, eq. 3.26), so the loss never rises. Which of the four conventions
states the loss cancels in s·g: the sequence of parameters is the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfsquare.loss import Floats
from halfsquare.solvers.base import Reason, Solver, State, Termination
from halfsquare.solvers.objective import Objective

Memory = tuple[Floats, float]  # the gradient, and the norm of the first


@dataclass(frozen=True)
class SteepestDescent(Solver[Objective, Memory]):
    """Exact steps along the negative gradient.

    Parameters
    ----------
    tolerance : float
        Converged when the gradient's norm has fallen to this share of the first one.
    """

    tolerance: float = 1e-11

    def begin(self, objective: Objective, parameters: Floats) -> State[Memory]:
        loss, gradient = objective.loss_and_gradient(parameters)
        norm = float(np.linalg.norm(gradient))
        state = State(parameters, loss, norm, memory=(gradient, norm))
        return replace(state, stopped=Termination(Reason.ZERO_GRADIENT)) if norm == 0.0 else state

    def step(self, objective: Objective, state: State[Memory]) -> State[Memory]:
        gradient, first = state.memory
        length = float(gradient @ gradient) / float(
            gradient @ objective.curvature_times(state.parameters, gradient)
        )
        parameters = state.parameters - length * gradient
        loss, gradient = objective.loss_and_gradient(parameters)
        # An exact step lowers the loss by ½ s|g|²: what seems a rise is the rounding of its sums,
        # and the gradient, which does not cancel so, still leads on.
        loss = min(loss, state.loss)
        norm = float(np.linalg.norm(gradient))
        done = norm <= self.tolerance * first
        return State(
            parameters,
            loss,
            norm,
            state.iteration + 1,
            stopped=Termination(Reason.SMALL_GRADIENT, self.tolerance) if done else None,
            notes={"step": length},
            memory=(gradient, first),
        )

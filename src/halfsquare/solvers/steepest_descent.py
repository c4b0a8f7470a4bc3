"""Steepest descent on a quadratic, with the exact step that its curvature gives: no learning rate.

Along the negative gradient the loss F(θ - s g) is a parabola in s, least at s = gᵀg / gᵀHg (Cauchy
1847; Nocedal & Wright 2006, eq. 3.26), so the loss never rises. Which of the four conventions
states the loss cancels in s·g: the sequence of parameters is the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfsquare.loss import Floats
from halfsquare.solvers.base import Descent, State
from halfsquare.solvers.objective import Objective


@dataclass(frozen=True)
class SteepestDescent(Descent):
    """Exact steps along the negative gradient.

    Parameters
    ----------
    tolerance : float
        Converged when the gradient's norm has fallen to this share of the first one.
    """

    tolerance: float = 1e-11

    def begin(self, objective: Objective, parameters: Floats) -> State:
        loss, gradient = objective.loss_and_gradient(parameters)
        norm = float(np.linalg.norm(gradient))
        state = State(parameters, loss, norm, memory=(gradient, norm))
        return (
            replace(state, stopped="converged: the gradient is zero", converged=True)
            if norm == 0.0
            else state
        )

    def step(self, objective: Objective, state: State) -> State:
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
            stopped=f"converged: the gradient fell to {self.tolerance:g} of the first"
            if done
            else None,
            converged=done,
            notes={"step": length},
            memory=(gradient, first),
        )

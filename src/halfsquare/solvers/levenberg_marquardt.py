"""Levenberg-Marquardt on merged sums: the Gauss-Newton step, damped so that the loss always falls.

A step δ solves (JᵀWJ + P + μD) δ = -(JᵀW(o-t) + Pθ), with the penalty P, damping μ and scaling D.
It is accepted only if the loss falls, so the loss never rises. The damping follows the gain
ratio, Nielsen (1999), "Damping parameter in Marquardt's method", eq. 2.4-2.5, as in Madsen,
Nielsen & Tingleff (2004), "Methods for non-linear least squares problems", algorithm 3.16.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.linalg import LinAlgError

from halfsquare.files.packing import packable
from halfsquare.loss import Floats
from halfsquare.solvers.base import Reason, Solver, State, Termination
from halfsquare.solvers.cholesky import Cholesky
from halfsquare.solvers.objective import Objective


@packable("levenberg_marquardt.memory")
@dataclass(frozen=True)
class DampedMemory:
    """The sums at the parameters, and the damping of the next step."""

    curvature: Floats  # (p, p) JᵀWJ + P
    gradient: Floats  # (p,) of the penalized ½SSE
    scaling: Floats  # (p,) D
    damping: float
    growth: float  # ν: doubles with each refusal in a row


@dataclass(frozen=True)
class LevenbergMarquardt(Solver[Objective, DampedMemory]):
    """Damped Gauss-Newton descent.

    Parameters
    ----------
    scaling : {"marquardt", "identity"}
        D: the running maximum of the curvature's diagonal (independent of the parameters'
        units; Moré 1978, eq. 6.3), or ones.
    damping : float
        First μ, relative to the largest curvature (relative to D with "marquardt").
    gradient_tolerance : float
        Converged when the predicted relative fall of the loss is below this.
    """

    scaling: Literal["marquardt", "identity"] = "marquardt"
    damping: float = 1e-3
    gradient_tolerance: float = 1e-14

    def begin(self, objective: Objective, parameters: Floats) -> State[DampedMemory]:
        loss, curvature, gradient = _sums(objective, parameters)
        diagonal = np.diag(curvature).copy()
        scaling = diagonal if self.scaling == "marquardt" else np.ones_like(diagonal)
        first = self.damping * (
            1.0 if self.scaling == "marquardt" else max(float(diagonal.max(initial=0.0)), 1e-300)
        )
        memory = DampedMemory(curvature, gradient, np.where(scaling > 0, scaling, 1.0), first, 2.0)
        state = State(parameters, loss, float(np.linalg.norm(gradient)), memory=memory)
        if not np.isfinite(loss):
            return replace(state, stopped=Termination(Reason.MODEL_NOT_FINITE))
        return state

    def step(self, objective: Objective, state: State[DampedMemory]) -> State[DampedMemory]:
        m = state.memory
        try:
            delta = -Cholesky.of(m.curvature, m.damping * m.scaling).solve(m.gradient)
        except LinAlgError:
            return self._refused(state)
        # Fall predicted by the quadratic model: L(0) - L(δ) = ½ δᵀ(μDδ - g)
        predicted = 0.5 * float(delta @ (m.damping * m.scaling * delta - m.gradient))
        if predicted <= self.gradient_tolerance * max(state.loss, np.finfo(float).tiny):
            stopped = Termination(Reason.NO_LOWER)
            return replace(state, iteration=state.iteration + 1, stopped=stopped)
        trial = state.parameters + delta
        trial_loss = objective.half_sse(trial) + objective.penalty_value(trial)
        if not trial_loss < state.loss:
            return self._refused(state)
        gain = (state.loss - trial_loss) / predicted
        damping = m.damping * max(1.0 / 3.0, 1.0 - (2.0 * gain - 1.0) ** 3)
        loss, curvature, gradient = _sums(objective, trial)
        scaling = (
            np.maximum(m.scaling, np.diag(curvature)) if self.scaling == "marquardt" else m.scaling
        )
        return State(
            trial,
            loss,
            float(np.linalg.norm(gradient)),
            state.iteration + 1,
            notes={"damping": damping, "accepted": 1.0},
            memory=DampedMemory(curvature, gradient, scaling, damping, 2.0),
        )

    def with_penalty(
        self, state: State[DampedMemory], old: Floats, new: Floats
    ) -> State[DampedMemory]:
        """The same point under penalties ``new`` (p,) instead of ``old``; nothing is summed
        again.
        """
        m = state.memory
        change = new - old
        curvature = m.curvature.copy()
        np.einsum("ii->i", curvature)[:] += change
        gradient = m.gradient + change * state.parameters
        return replace(
            state,
            loss=state.loss + 0.5 * float(change @ (state.parameters * state.parameters)),
            gradient_norm=float(np.linalg.norm(gradient)),
            memory=replace(m, curvature=curvature, gradient=gradient),
        )

    def _refused(self, state: State[DampedMemory]) -> State[DampedMemory]:
        m = state.memory
        damping = m.damping * m.growth
        stopped = Termination(Reason.NO_STEP) if damping > 1e100 else None
        return replace(
            state,
            iteration=state.iteration + 1,
            stopped=stopped,
            notes={"damping": damping, "accepted": 0.0},
            memory=replace(m, damping=damping, growth=2.0 * m.growth),
        )


def _sums(objective: Objective, parameters: Floats) -> tuple[float, Floats, Floats]:
    """Penalized ½SSE, its Gauss-Newton matrix and its gradient."""
    jtj, jte, ete = objective.normal_sums(parameters).finish()
    loss, gradient = 0.5 * float(ete[0, 0]), jte[:, 0]
    if objective.penalty is not None:
        loss += objective.penalty_value(parameters)
        gradient = gradient + objective.penalty * parameters
        np.einsum("ii->i", jtj)[:] += objective.penalty  # a view of sums that are nobody else's
    return loss, jtj, gradient

"""Levenberg-Marquardt where the linear parameters are always at their optimum: variable projection.

For o = Φ(α) a the best a at each α is a linear least-squares problem, solved exactly; descent moves
α alone, over a surface with fewer valleys. Golub & Pereyra (1973), "The differentiation of
pseudo-inverses and nonlinear least squares problems whose variables separate", eq. 2.3; with the
Jacobian of Kaufman (1975), as recommended by O'Leary & Rust (2013), "Variable projection for
nonlinear least squares problems", section 3: that is the part of ∂o/∂α orthogonal to Φ.

With R the triangular factor of [Φ | ∂o/∂α | e], that part has the factor R₂₂ (its lower right
block), so a step δ solves (R₂₂ᵀR₂₂ + μD) δ = -R₂₂ᵀ r₂. Without linear parameters this is plain
Levenberg-Marquardt by QR. Damping as in :mod:`halfsquare.solvers.levenberg_marquardt`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import numpy.typing as npt

from halfsquare.files.packing import packable
from halfsquare.loss import Floats
from halfsquare.solvers.base import Reason, Solver, State, Termination
from halfsquare.solvers.damped_steps import damped_step, free_columns, length_within
from halfsquare.solvers.qr_objective import FormulaObjective

# Where the predicted relative fall of the loss is below the first, a whole Gauss-Newton step of all
# parameters is tried before others; below the second, falls are lost in rounding and nothing else
# helps.
_NEAR, _ROUNDING = 1e-2, 1e-9

# Below this offset a step that is too long for the curvature of a valley is halved.
_BENT = 1e-3

_OUTPUT_ROUNDING = 50 * float(np.finfo(float).eps)


@packable("variable_projection.memory")
@dataclass(frozen=True)
class ProjectedMemory:
    """What the next step needs: the triangle of the sums, and the damping."""

    triangle: Floats  # (p+1, p+1) of the columns in this order, then the error
    order: tuple[int, ...]  # linear parameters, then the others
    scaling: Floats  # (s,) running maximum of the norms of the nonlinear columns
    damping: float
    growth: float
    contraction: float = 1.0  # of the offset by the last whole step


def triangle_of(state: State[ProjectedMemory]) -> Floats:
    """The R factor at a state, its columns in the order of the parameters (so no longer
    triangular).
    """
    m = state.memory
    return m.triangle[:, [*np.argsort(m.order), len(m.order)]]


@dataclass(frozen=True)
class VariableProjection(Solver[FormulaObjective, ProjectedMemory]):
    """Damped Gauss-Newton descent with exact linear parameters, within bounds.

    Parameters
    ----------
    linear : tuple of int
        Positions of the parameters solved for exactly; the formula is linear in them together.
    lower, upper : (p,)
        Bounds, -inf and inf where there are none; linear parameters must have none.
    tolerance : float
        Converged when the relative offset is below this: |Q₁ᵀe|/√p over |Q₂ᵀe|/√(Σw-p), the
        distance from the minimum in units of the confidence region (Bates & Watts 1981, "A relative
        offset orthogonality convergence criterion for nonlinear least squares", eq. 3.3).
    degrees : float
        Σw - p.
    target_norm : float
        √(Σ w t²): a fall of the loss that is small beside the rounding of the outputs is none.
    unseen : float
        From an offset below this, a whole step that by the last one's contraction will end below
        the tolerance is taken as the last, without another pass over the rows. 0 for never: the
        derivatives are then those of the point before, which costs digits that only many rows can
        spare.
    damping : float
        First μ, relative to D.
    """

    linear: tuple[int, ...]
    lower: Floats
    upper: Floats
    tolerance: float = 1e-10
    degrees: float = 1.0
    target_norm: float = 0.0
    unseen: float = 0.0
    damping: float = 1e-3

    def begin(self, objective: FormulaObjective, parameters: Floats) -> State[ProjectedMemory]:
        """The state at ``parameters``; far from the minimum, with the best linear part there is."""
        settled = np.clip(parameters, self.lower, self.upper)
        r = objective.triangle(settled, self._order(len(settled)))
        if self.linear and not r[:-1, -1] @ r[:-1, -1] <= _NEAR * (r[:, -1] @ r[:, -1]):
            settled, _ = self.settle(objective, settled)
            r = objective.triangle(settled, self._order(len(settled)))
        order = self._order(len(settled))
        free = np.zeros(len(settled) - len(self.linear))
        memory = ProjectedMemory(r, order, free, self.damping, 2.0)
        if not np.isfinite(r).all():
            loss, stopped = objective.half_sse(settled), Termination(Reason.FORMULA_NOT_FINITE)
            return State(settled, loss, np.nan, stopped=stopped, memory=memory)
        return self._state(settled, memory, 0, {})

    def step(
        self, objective: FormulaObjective, state: State[ProjectedMemory]
    ) -> State[ProjectedMemory]:
        """One trial step; refused where the loss does not fall or the formula is not finite."""
        m = state.memory
        free = self._free(state.parameters, m.triangle)
        r = free_columns(m.triangle, len(self.linear), free)
        within = length_within(r)
        offset = self._offset(r, within)
        if offset < self.tolerance:
            return self._ended(state, Reason.SMALL_OFFSET, offset)
        if offset < self.unseen and m.contraction * offset < self.tolerance and free.all():
            return self._last(state, m.contraction * offset)
        newton = 0.5 * within**2
        rounding = _ROUNDING * state.loss + 0.5 * (_OUTPUT_ROUNDING * self.target_norm) ** 2
        if newton <= max(_NEAR * state.loss, rounding):
            near = self._gauss_newton(objective, state, r, free, offset)
            if near is not None:
                return near
            if newton <= self._unresolved(state.loss):
                return self._ended(state, Reason.OFFSET_ROUNDING, offset)
        q = len(self.linear)
        r22, z = r[q:-1, q:-1], r[q:-1, -1]
        scale = np.where(m.scaling > 0, m.scaling, 1.0)[free]
        delta = damped_step(r22, z, np.sqrt(m.damping) * scale)
        predicted = 0.5 * float(delta @ (m.damping * scale**2 * delta - r22.T @ z))
        trial = self._moved(state.parameters, free, delta)
        trial, loss = self.settle(objective, trial)
        if not predicted > 0 or not loss < state.loss:
            return self._refused(state, newton <= rounding, offset)
        after = objective.triangle(trial, self._order(len(trial)))
        if (
            not np.isfinite(after).all()
            or not 0.5 * float(after[:, -1] @ after[:, -1]) < state.loss
        ):
            return self._refused(state, newton <= rounding, offset)
        gain = (state.loss - loss) / predicted
        damping = m.damping * max(1.0 / 3.0, 1.0 - (2.0 * gain - 1.0) ** 3)
        memory = replace(m, triangle=after, damping=max(damping, 1e-16), growth=2.0)
        return self._state(
            trial,
            memory,
            state.iteration + 1,
            {"damping": damping, "accepted": 1.0, "offset": offset},
        )

    def _last(self, state: State[ProjectedMemory], offset: float) -> State[ProjectedMemory]:
        """A whole step that nothing is asked about: the formula is as good as linear from here."""
        m = state.memory
        r = m.triangle.copy()
        delta = damped_step(r[:-1, :-1], r[:-1, -1], np.zeros(len(r) - 1))
        r[:-1, -1] += r[:-1, :-1] @ delta
        trial = state.parameters.copy()
        trial[list(m.order)] += delta
        if not np.array_equal(trial, np.clip(trial, self.lower, self.upper)):
            trial, r = state.parameters, m.triangle
        after = self._state(
            trial, replace(m, triangle=r), state.iteration, {"accepted": 1.0, "offset": offset}
        )
        return self._ended(after, Reason.SMALL_OFFSET, offset)

    def _gauss_newton(
        self,
        objective: FormulaObjective,
        state: State[ProjectedMemory],
        r: Floats,
        free: npt.NDArray[np.bool_],
        offset: float,
    ) -> State[ProjectedMemory] | None:
        """The whole step of all parameters, linear ones too, in one pass over the rows, or half of
        it; None if the offset stays.
        """
        m = state.memory
        order = np.array(self._order(len(state.parameters)))
        chosen = np.concatenate([order[: len(self.linear)], order[len(self.linear) :][free]])
        whole = damped_step(r[:-1, :-1], r[:-1, -1], np.zeros(len(chosen)))
        for length in (1.0, 0.5, 0.25) if offset < _BENT else (1.0,):
            trial = state.parameters.copy()
            trial[chosen] += length * whole
            trial = np.clip(trial, self.lower, self.upper)
            after = objective.triangle(trial, tuple(order))
            loss = 0.5 * float(after[:, -1] @ after[:, -1])
            if np.isfinite(after).all() and loss <= state.loss * (1.0 + _ROUNDING):
                left = free_columns(after, len(self.linear), self._free(trial, after))
                reached = self._offset(left, length_within(left))
                if reached < (1.0 - 0.3 * length) * offset:
                    memory = replace(m, triangle=after, contraction=reached / offset)
                    notes = {"accepted": 1.0, "offset": reached}
                    return self._state(trial, memory, state.iteration + 1, notes)
        return None

    def settle(self, objective: FormulaObjective, parameters: Floats) -> tuple[Floats, float]:
        """The parameters with the best linear part, and ½SSE there; infinite where the formula is
        not finite.
        """
        if not self.linear:
            return parameters, objective.half_sse(parameters)
        r = objective.triangle(parameters, self.linear)
        if not np.isfinite(r).all():
            parameters = parameters.copy()
            parameters[list(self.linear)] = (
                0.0  # far-off linear parameters may be all that overflows
            )
            r = objective.triangle(parameters, self.linear)
            if not np.isfinite(r).all():
                return parameters, np.inf
        delta = damped_step(r[:-1, :-1], r[:-1, -1], np.zeros(len(self.linear)))
        settled = parameters.copy()
        settled[list(self.linear)] += delta
        left = r[:, -1].copy()
        left[:-1] += r[:-1, :-1] @ delta
        return settled, 0.5 * float(left @ left)

    def _state(
        self, parameters: Floats, memory: ProjectedMemory, iteration: int, notes: dict[str, float]
    ) -> State[ProjectedMemory]:
        r, q = memory.triangle, len(self.linear)
        # A parameter that the linear ones stand in for has no column of its own left: it must not
        # run off.
        norms = np.maximum(
            np.linalg.norm(r[q:-1, q:-1], axis=0), 1e-8 * np.linalg.norm(r[:-1, q:-1], axis=0)
        )
        memory = replace(memory, scaling=np.maximum(memory.scaling, norms))
        gradient = float(np.linalg.norm(r[:-1, :-1].T @ r[:-1, -1]))
        return State(
            parameters,
            0.5 * float(r[:, -1] @ r[:, -1]),
            gradient,
            iteration,
            notes=notes,
            memory=memory,
        )

    def _unresolved(self, loss: float) -> float:
        """Falls of the loss that are lost in the rounding of the outputs, one part in some 10¹⁵ of
        the target each: a change of the error e by δ changes the loss by e·δ, of random signs.
        """
        eps, rows = float(np.finfo(float).eps), max(self.degrees + len(self.lower), 1.0)
        cross = self.target_norm * sqrt(2.0 * loss / rows)
        return 4.0 * eps * (loss + cross) + 0.5 * (_OUTPUT_ROUNDING * self.target_norm) ** 2

    def _refused(
        self, state: State[ProjectedMemory], level: bool, offset: float
    ) -> State[ProjectedMemory]:
        """Shorten the step; ``level`` says that what is left to gain is next to nothing."""
        m = state.memory
        damping = m.damping * m.growth
        notes = {"damping": damping, "accepted": 0.0}
        memory = replace(m, damping=damping, growth=2.0 * m.growth)
        state = replace(state, iteration=state.iteration + 1, notes=notes, memory=memory)
        if damping <= 1e50:
            return state
        if level:
            return self._ended(state, Reason.OFFSET_ROUNDING, offset)
        return replace(state, stopped=Termination(Reason.NO_STEP))

    def _ended(
        self, state: State[ProjectedMemory], reason: Reason, offset: float
    ) -> State[ProjectedMemory]:
        stopped = Termination(reason, offset)
        return replace(state, iteration=state.iteration + 1, stopped=stopped)

    def _offset(self, r: Floats, within: float) -> float:
        """The relative offset; 0 where the gradient vanishes."""
        p, whole = len(r) - 1, float(np.linalg.norm(r[:, -1]))
        if within == 0.0:
            return 0.0
        beyond = sqrt(max(whole**2 - within**2, 0.0))
        return within / sqrt(max(p, 1)) / max(beyond / sqrt(max(self.degrees, 1.0)), 1e-300)

    def _order(self, p: int) -> tuple[int, ...]:
        return (*self.linear, *(i for i in range(p) if i not in self.linear))

    def _free(self, parameters: Floats, r: Floats) -> npt.NDArray[np.bool_]:
        """Which nonlinear parameters may move: not those at a bound that the gradient pushes them
        past.
        """
        q = len(self.linear)
        at = np.array(self._order(len(parameters))[q:], dtype=np.intp)
        push = -(r[:-1, :-1].T @ r[:-1, -1])[q:]
        low = (parameters[at] <= self.lower[at]) & (push < 0)
        high = (parameters[at] >= self.upper[at]) & (push > 0)
        return np.asarray(~(low | high))

    def _moved(self, parameters: Floats, free: npt.NDArray[np.bool_], delta: Floats) -> Floats:
        at = np.array(self._order(len(parameters))[len(self.linear) :], dtype=np.intp)[free]
        trial = parameters.copy()
        trial[at] += delta
        return np.clip(trial, self.lower, self.upper)

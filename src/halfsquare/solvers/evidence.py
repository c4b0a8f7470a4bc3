"""Levenberg-Marquardt whose penalties and noise are set by the evidence, with nothing to tune.

Parameters come in groups g of n_g, with prior variance 1/α_g each; targets have noise variance σ² =
1/β. In the scale of ½SSE the penalties are λ_g = σ² α_g, and with C = JᵀWJ + diag(λ)

    effective parameters   γ_g = n_g - λ_g tr_g(C⁻¹),   γ = Σ γ_g       (how many the data set)
    noise                  σ²  = SSE / (N - γ)                          (N = k Σw)
    penalties              λ_g = σ² γ_g / ‖θ_g‖²
    log evidence           -F/σ² - ½ ln|C| + ½ Σ n_g ln λ_g - ½ N ln(2πσ²),  F = ½SSE + ½ Σ λ θ²

MacKay (1992), "A practical Bayesian framework for backpropagation networks", eq. 2.21-2.24 and
"Bayesian interpolation", eq. 4.4-4.10; re-estimated during the descent as by Foresee & Hagan
(1997), "Gauss-Newton approximation to Bayesian learning", with the Gauss-Newton matrix for the
Hessian. With one group for each input this is automatic relevance determination (Neal 1996): the
weights of an input that does not help get a large penalty.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import log, pi

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError

from halfsquare.files.packing import packable
from halfsquare.loss import Floats
from halfsquare.solvers.base import Reason, Solver, State, Termination
from halfsquare.solvers.cholesky import Cholesky
from halfsquare.solvers.levenberg_marquardt import DampedMemory, LevenbergMarquardt
from halfsquare.solvers.objective import Objective

# α_g is at least this: a group is never quite free, so the curvature is never singular.
_LEAST_PRECISION = 1e-4
# Noise below this share of the target's mean square is rounding.
_LEAST_NOISE = 1e-10


@packable("evidence.belief")
@dataclass(frozen=True)
class Belief:
    """Noise and penalties, and what the data say of them.

    Attributes
    ----------
    noise : float
        σ², in the squared unit of the target.
    penalties : (G,)
        λ_g, in the scale of ½SSE.
    effective : (G,)
        γ_g, the effective number of parameters in each group.
    log_evidence : float
        Natural logarithm; comparable between models of the same rows.
    """

    noise: float
    penalties: Floats
    effective: Floats
    log_evidence: float


@packable("evidence.memory")
@dataclass(frozen=True)
class EvidenceMemory:
    """The descent under the penalties of now, and the best there was."""

    inner: State[DampedMemory]  # of Levenberg-Marquardt, under the penalties of ``belief``
    belief: Belief
    # Of Levenberg-Marquardt, where the log evidence was highest, under the penalties it had there.
    best: State[DampedMemory]
    best_belief: Belief
    changes: tuple[float, ...] = ()  # of the log evidence in the last accepted steps


@dataclass(frozen=True)
class Evidence(Solver[Objective, EvidenceMemory]):
    """Levenberg-Marquardt with Bayesian regularization; see the formulas of this module.

    Penalties are re-estimated after every accepted step. In a network with many parameters the
    fixed point of the formulas can lie far beyond the point of highest evidence, in a closer fit:
    see :func:`highest_evidence`.

    Parameters
    ----------
    groups : (p,) whole numbers from 0
        The penalty group of each parameter.
    first_noise : float
        σ² to begin with, in the squared unit of the target: large, so that the descent begins
        simple and lets in only the detail that the data pay for.
    first_precision : float
        α_g to begin with.
    tolerance : float
        Converged when the last ``n_iter_no_change`` accepted steps changed the log evidence by less
        than this, in nats.
    n_iter_no_change : int
    most_precision : float
        α_g at most. A large one lets an input be switched off for good; a small one keeps it in
        play, which helps where it matters only together with others and so looks useless at first.
    inner : LevenbergMarquardt
        Takes the steps; between two re-estimations the penalized loss never rises.
    """

    groups: npt.NDArray[np.intp]
    first_noise: float = 0.3
    first_precision: float = 1.0
    tolerance: float = 0.1
    n_iter_no_change: int = 5
    most_precision: float = 1e6
    inner: LevenbergMarquardt = field(
        default_factory=lambda: LevenbergMarquardt(scaling="identity")
    )

    def begin(self, objective: Objective, parameters: Floats) -> State[EvidenceMemory]:
        count = int(self.groups.max()) + 1
        penalties = np.full(count, self.first_noise * self.first_precision)
        return self.begin_with(objective, parameters, self.first_noise, penalties)

    def begin_with(
        self, objective: Objective, parameters: Floats, noise: float, penalties: Floats
    ) -> State[EvidenceMemory]:
        """Begin with noise σ² and penalties λ (G,) that are known from other rows."""
        belief = Belief(noise, penalties, np.zeros(len(penalties)), -np.inf)
        return self._begun(objective, parameters, belief)

    def resume(self, objective: Objective, state: State[EvidenceMemory]) -> State[EvidenceMemory]:
        """Noise and penalties are those that were found before."""
        return self._begun(objective, state.parameters, belief_of(state))

    def _begun(
        self, objective: Objective, parameters: Floats, belief: Belief
    ) -> State[EvidenceMemory]:
        inner = self.inner.begin(self._penalized(objective, belief), parameters)
        unknown = replace(belief, log_evidence=-np.inf)
        return _state(EvidenceMemory(inner, unknown, inner, unknown))

    def step(self, objective: Objective, state: State[EvidenceMemory]) -> State[EvidenceMemory]:
        memory = state.memory
        inner = self.inner.step(self._penalized(objective, memory.belief), memory.inner)
        refused = inner.parameters is memory.inner.parameters
        if refused and inner.stopped is None:
            return _state(replace(memory, inner=inner))
        return self._reestimated(objective, inner, memory)

    def _reestimated(
        self, objective: Objective, inner: State[DampedMemory], memory: EvidenceMemory
    ) -> State[EvidenceMemory]:
        """The state with noise and penalties set anew at the parameters just reached."""
        old = memory.belief
        try:
            new = reestimate(self.groups, inner, old, objective.numbers, self.most_precision)
        except LinAlgError:
            why = inner.stopped or Termination(Reason.SINGULAR)
            return _state(replace(memory, inner=replace(inner, stopped=why)))
        changes = (*memory.changes, abs(new.log_evidence - old.log_evidence))[
            -self.n_iter_no_change :
        ]
        calm = len(changes) == self.n_iter_no_change and sum(changes) < self.tolerance
        # Under new penalties the old minimum is none: go on until the evidence is calm.
        stopped = Termination(Reason.EVIDENCE_CALM) if calm else None
        moved = self.inner.with_penalty(
            inner, old.penalties[self.groups], new.penalties[self.groups]
        )
        better = new.log_evidence > memory.best_belief.log_evidence
        return _state(
            EvidenceMemory(
                inner=replace(moved, stopped=stopped),
                belief=new,
                best=inner if better else memory.best,
                best_belief=new if better else memory.best_belief,
                changes=changes,
            )
        )

    def _penalized(self, objective: Objective, belief: Belief) -> Objective:
        return replace(objective, penalty=belief.penalties[self.groups])


def _state(memory: EvidenceMemory) -> State[EvidenceMemory]:
    belief = memory.belief
    notes = {
        **memory.inner.notes,
        "effective_parameters": float(belief.effective.sum()),
        "noise": belief.noise,
        "log_evidence": belief.log_evidence,
    }
    inner = memory.inner
    return State(
        inner.parameters,
        inner.loss,
        inner.gradient_norm,
        inner.iteration,
        inner.stopped,
        notes,
        memory=memory,
    )


def belief_of(state: State[EvidenceMemory]) -> Belief:
    """Noise, penalties and evidence at a state of :class:`Evidence`."""
    return state.memory.belief


def highest_evidence(state: State[EvidenceMemory]) -> State[EvidenceMemory]:
    """The state with the parameters that had the highest evidence on the way to ``state``."""
    memory = state.memory
    found = _state(replace(memory, inner=memory.best, belief=memory.best_belief))
    return replace(found, iteration=state.iteration, stopped=state.stopped)


def covariance_of(state: State[EvidenceMemory]) -> Floats:
    """σ² C⁻¹ (p, p): the covariance of the parameters at a state of :class:`Evidence`.

    Where rows without noise leave penalties so small that C is singular in float64, the least
    diagonal that can be told from rounding is added.
    """
    curvature = state.memory.inner.memory.curvature
    least = len(curvature) * np.finfo(float).eps * float(np.diag(curvature).max(initial=1e-300))
    for added in (0.0, least, 1e2 * least, 1e4 * least):
        with suppress(LinAlgError):
            return belief_of(state).noise * Cholesky.of(curvature, added).inverse()
    raise LinAlgError("the curvature is not that of a squared error")


def reestimate(
    groups: npt.NDArray[np.intp],
    state: State[DampedMemory],
    old: Belief,
    count: float,
    most: float = 1e6,
) -> Belief:
    """Noise and penalties, α_g at ``most``, after one round of the formulas of this module.

    Raises
    ------
    LinAlgError
        If the curvature is not positive definite in float64.
    """
    squares = np.bincount(groups, state.parameters**2)
    sizes = np.bincount(groups)
    sse = max(2.0 * state.loss - float(old.penalties @ squares), 0.0)
    root = Cholesky.of(state.memory.curvature)
    effective = np.clip(
        sizes - old.penalties * np.bincount(groups, root.inverse_diagonal()), 1e-6, sizes
    )
    noise = max(sse / max(count - float(effective.sum()), 0.5 * count), _LEAST_NOISE)
    precision = np.clip(effective / np.maximum(squares, 1e-300), _LEAST_PRECISION, most)
    log_evidence = (
        -state.loss / old.noise
        - 0.5 * root.log_determinant
        + 0.5 * float(sizes @ np.log(old.penalties))
        - 0.5 * count * log(2.0 * pi * old.noise)
    )
    return Belief(noise, noise * precision, effective, log_evidence)

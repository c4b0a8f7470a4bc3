"""Errors in x: rows whose columns were measured with a standard deviation too.

    min over θ and δ of  Σ_i [ w_i (f(x_i + δ_i; θ) - t_i)² + Σ_c δ_ic² / s_ic ]

with w = g/σ² and s = σ_x²/g, g being what all weights are multiplied by.

Orthogonal distance regression (Boggs, Byrd & Schnabel 1987, "A stable and efficient algorithm for
nonlinear orthogonal distance regression", eq. 1.5). The corrections δ of a row meet those of no
other: at any θ each row's are solved for by themselves, and what is left is a function of θ alone.
With v = √w ∂f/∂x and ω² = 1 + Σ_c v_c² s_c, a Gauss-Newton step in δ ends at

    δ_c = -v_c s_c (√w e - v·δ) / ω²,

and at its end the row counts with √w e ω, its derivative by θ being √w ∂f/∂θ / ω: the Schur
complement of the extended problem, which is all that descent, standard errors and profiles need.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from halfsquare.data.rows import Chunk
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.solvers.qr_objective import FormulaObjective, stacked, triangle_of_block

Indices = npt.NDArray[np.intp]
_STEPS = 200
_SETTLED = 1e-26  # of a row's loss: a smaller square of the step is the last
_HALVINGS = 12
# Near its least a loss says no more of a step than this: what is smaller counts as no rise.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class InexactObjective(FormulaObjective):
    """½ the least Σ w e² + Σ δ²/s at some parameters.

    The design of its rows has, behind the columns of the formula, s for each of ``columns``; in the
    unit of that column squared.

    Attributes
    ----------
    columns : tuple of int
        Positions of the formula's columns that have errors.
    """

    columns: tuple[int, ...] = field(kw_only=True)

    def triangle(self, parameters: Floats, which: tuple[int, ...]) -> Floats:
        def work(index: int) -> Floats:
            settled = self._settled(parameters, self.rows.chunk(index))
            block = np.empty((len(which) + 1, len(settled.errors)))
            with np.errstate(all="ignore"):
                self.formula.write_slopes(parameters, settled.design, which, list(block))
                block[:-1] *= settled.root / settled.omega
                block[-1] = settled.errors * settled.omega
            block[:, settled.root == 0.0] = 0.0
            return triangle_of_block(block)

        size = len(which) + 1
        with one_blas_thread():
            return self.execution.reduce(
                work, stacked, self.rows.chunk_count, np.zeros((size, size))
            )

    def half_sse(self, parameters: Floats) -> float:
        def work(index: int) -> float:
            settled = self._settled(parameters, self.rows.chunk(index))
            with np.errstate(all="ignore"):
                return 0.5 * float(np.sum(settled.losses))

        return self.execution.reduce(work, lambda a, b: a + b, self.rows.chunk_count, 0.0)

    def corrections(self, parameters: Floats, index: int) -> Floats:
        """δ (m, c) of the rows of a chunk."""
        return self._settled(parameters, self.rows.chunk(index)).delta

    def _settled(self, parameters: Floats, chunk: Chunk) -> _Settled:
        return _Settling.of(self.formula, self.columns, parameters, chunk).settled()


@dataclass(frozen=True)
class _Settled:
    """Rows at the best δ (m, c): √w, √w e, ω and w e² + Σ δ²/s (m,) each, and x + δ (m, d)."""

    design: Floats
    delta: Floats
    root: Floats
    errors: Floats
    omega: Floats
    losses: Floats


@dataclass(frozen=True)
class _Settling:
    """The descents of all rows of a chunk in their own δ, at some parameters."""

    formula: Formula
    columns: tuple[int, ...]
    parameters: Floats
    design: Floats
    variance: Floats  # s (m, c)
    target: Floats
    root: Floats

    @classmethod
    def of(
        cls, formula: Formula, columns: tuple[int, ...], parameters: Floats, chunk: Chunk
    ) -> _Settling:
        d = len(formula.columns)
        count = len(chunk.target)
        root = np.ones(count) if chunk.weight is None else np.sqrt(chunk.weight)
        design, variance = chunk.design[:, :d], chunk.design[:, d:]
        return cls(formula, columns, parameters, design, variance, chunk.target[:, 0], root)

    def settled(self) -> _Settled:
        with np.errstate(all="ignore"):
            delta = np.zeros_like(self.variance)
            design, errors, slopes = self._at(delta)
            losses = self._losses(errors, delta)
            going = np.flatnonzero(self.root > 0)
            for _ in range(_STEPS):
                if not len(going):
                    break
                step = self._step(errors[going], slopes[going], delta[going], going)
                moved, after = self._moved(delta, step, losses, going)
                squares = self._squares(moved, going)
                delta[going] += moved
                losses[going] = after
                design, errors, slopes = self._at(delta)
                going = going[squares > _SETTLED * np.maximum(losses[going], 1e-300)]
            omega = np.sqrt(1.0 + np.sum(slopes**2 * self.variance, axis=1))
            return _Settled(design, delta, self.root, errors, omega, losses)

    def _step(self, errors: Floats, v: Floats, delta: Floats, at: Indices) -> Floats:
        """The Gauss-Newton step (m, c) of δ."""
        s = self.variance[at]
        omega2 = 1.0 + np.sum(v**2 * s, axis=1)
        left = (errors - np.sum(v * delta, axis=1)) / omega2
        step = -v * s * left[:, None] - delta
        return np.asarray(np.where(np.isfinite(step), step, 0.0))

    def _moved(
        self, delta: Floats, step: Floats, losses: Floats, at: Indices
    ) -> tuple[Floats, Floats]:
        """The step, halved where the row's loss does not fall, and the losses after it."""
        length = np.ones(len(at))
        trial = delta.copy()
        after = losses[at].copy()
        for _ in range(_HALVINGS):
            trial[at] = delta[at] + length[:, None] * step
            _, errors, _ = self._at(trial)
            reached = self._losses(errors, trial)[at]
            worse = ~(reached <= losses[at] * (1.0 + _ROUNDING))
            after = np.where(worse, losses[at], reached)
            if not worse.any():
                break
            length = np.where(worse, 0.5 * length, length)
        return np.where(worse[:, None], 0.0, length[:, None] * step), after

    def _squares(self, values: Floats, at: Indices) -> Floats:
        """Σ values²/s (m,) of the rows ``at``; a column without error has no part in it."""
        s = self.variance[at]
        share = np.where(s > 0, values**2 / np.where(s > 0, s, 1.0), 0.0)
        return np.asarray(share.sum(axis=1))

    def _losses(self, errors: Floats, delta: Floats) -> Floats:
        found = errors**2 + self._squares(delta, np.arange(len(delta)))
        return np.where(self.root > 0, found, 0.0)

    def _at(self, delta: Floats) -> tuple[Floats, Floats, Floats]:
        """x + δ (m, d), √w e (m,) and √w ∂f/∂x (m, c)."""
        design = self.design.copy()
        design[:, list(self.columns)] += delta
        block = np.empty((len(self.columns) + 1, len(design)))
        names = tuple(self.formula.columns[j] for j in self.columns)
        self.formula.write_column_slopes(self.parameters, design, names, list(block))
        errors = self.root * (block[-1] - self.target)
        slopes = (block[:-1] * self.root).T
        counts = self.root > 0
        return design, np.where(counts, errors, 0.0), np.where(counts[:, None], slopes, 0.0)

"""A formula at many points at once: which are worth a descent, and short descents of those.

A nonlinear parameter is one more column of the formula, so that one pass of NumPy serves all
points. The linear parameters are solved for at each (variable projection, as in
:mod:`halfsquare.solvers.variable_projection`); the last digits do not matter here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from halfsquare.data.rows import ArrayRows
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.program import Program

_AT_ONCE = 1 << 18  # rows times points whose formula is computed at once
# Added to sums of squares of unit columns, and to unit columns: no matrix is singular.
_RIDGE, _ROOT_RIDGE = 1e-12, 1e-8
_LEVEL = 1e-9  # a step that promises a smaller relative fall is the last
_STEEP = 1e20  # damping beyond which no step lowers the loss


@dataclass(frozen=True)
class Settled:
    """Points (m, p) with their best linear parameters.

    Attributes
    ----------
    losses : (m,)
        ½SSE, infinite where the formula is not finite.
    basis : (m, n + q, q)
        Orthonormal columns that span what the linear parameters can do; of a small ridge too.
    errors : (m, n)
        √w (o - t).
    """

    points: Floats
    losses: Floats
    basis: Floats
    errors: Floats

    def __getitem__(self, at: npt.NDArray[np.bool_]) -> Settled:
        return Settled(self.points[at], self.losses[at], self.basis[at], self.errors[at])


@dataclass(frozen=True)
class ManyPoints:
    """A formula over rows in memory, its parameters within bounds (p,) each.

    Attributes
    ----------
    linear : tuple of int
        Positions of the parameters that are solved for.
    """

    formula: Formula
    rows: ArrayRows
    linear: tuple[int, ...]
    lower: Floats
    upper: Floats

    @cached_property
    def nonlinear(self) -> list[int]:
        """Positions of all other parameters."""
        return [j for j in range(len(self.formula.names)) if j not in self.linear]

    @cached_property
    def _root(self) -> Floats | None:
        return None if self.rows.weight is None else np.sqrt(self.rows.weight)

    @cached_property
    def _held(self) -> Floats:
        return np.array([value for _, value in self.formula.fixed])

    def losses(self, points: Floats) -> Floats:
        """½SSE (m,) at each of ``points`` (m, p) with the best linear parameters, good for a
        ranking; infinite where the formula is not finite.
        """
        n, q = len(self.rows.target), len(self.linear)
        found = np.empty(len(points))
        step = max(1, _AT_ONCE // n)
        for first in range(0, len(points), step):
            table = self._table(points[first : first + step])
            grams = table @ table.transpose(0, 2, 1)
            sizes = np.sqrt(np.maximum(np.einsum("mii->mi", grams), 1e-300))
            grams /= sizes[:, :, None] * sizes[:, None, :]
            sound = np.isfinite(grams).all(axis=(1, 2))
            left = np.full(len(grams), np.inf)
            a, b = grams[sound, :q, :q] + _RIDGE * np.eye(q), grams[sound, :q, q:]
            x = np.linalg.solve(a, b)
            share = 1.0 - np.einsum("mij,mij->m", x, 2.0 * b - grams[sound, :q, :q] @ x)
            left[sound] = np.maximum(share, 0.0) * sizes[sound, q] ** 2
            found[first : first + step] = 0.5 * left
        return found

    def descended(self, points: Floats, iterations: int) -> tuple[Floats, Floats]:
        """The points (m, p) after so many steps of Levenberg and Marquardt each, and ½SSE (m,)
        there.
        """
        step = max(1, 4 * _AT_ONCE // (len(self.rows.target) * len(self.formula.names)))
        ends, losses = points.copy(), np.full(len(points), np.inf)
        for first in range(0, len(points), step):
            some = slice(first, first + step)
            ends[some], losses[some] = self._descended(points[some], iterations)
        return ends, losses

    def _descended(self, points: Floats, iterations: int) -> tuple[Floats, Floats]:
        now = self._settle(np.clip(points, self.lower, self.upper))
        ends, losses = now.points.copy(), now.losses.copy()
        going = np.flatnonzero(np.isfinite(losses))
        if not self.nonlinear or not len(going):
            return ends, losses
        now = now[np.isfinite(losses)]
        damping, growth = np.full(len(going), 1e-3), np.full(len(going), 2.0)
        gram, slope = self._curvature(now)
        scale = np.einsum("mii->mi", gram).copy()
        for _ in range(iterations):
            if not len(going):
                break
            trial, predicted = self._trial(now, gram, slope, damping[:, None] * scale)
            after = self._settle(trial)
            fall = now.losses - after.losses
            better = (fall > 0) & (predicted > 0)
            with np.errstate(all="ignore"):
                gain = np.where(better, fall / predicted, 0.0)
            shrink = np.maximum(1.0 / 3.0, 1.0 - (2.0 * np.minimum(gain, 2.0) - 1.0) ** 3)
            damping *= np.where(better, shrink, growth)
            growth = np.where(better, 2.0, 2.0 * growth)
            kept = better[:, None]
            now = Settled(
                np.where(kept, after.points, now.points),
                np.where(better, after.losses, now.losses),
                np.where(kept[:, :, None], after.basis, now.basis),
                np.where(kept, after.errors, now.errors),
            )
            ends[going], losses[going] = now.points, now.losses
            on = (predicted > _LEVEL * now.losses) & (damping < _STEEP)
            going, now, damping, growth, scale = (
                going[on],
                now[on],
                damping[on],
                growth[on],
                scale[on],
            )
            gram, slope = self._curvature(now)
            scale = np.maximum(scale, np.einsum("mii->mi", gram))
        return ends, losses

    def _trial(
        self, now: Settled, gram: Floats, slope: Floats, ridge: Floats
    ) -> tuple[Floats, Floats]:
        """The points after a damped step (m, p), and what it promises the loss to fall (m,)."""
        damped = gram.copy()
        np.einsum("mii->mi", damped)[...] += np.maximum(ridge, 1e-300)
        sizes = np.sqrt(np.einsum("mii->mi", damped))
        unit = damped / (sizes[:, :, None] * sizes[:, None, :])
        delta = -np.linalg.solve(unit, (slope / sizes)[:, :, None])[:, :, 0] / sizes
        trial = now.points.copy()
        trial[:, self.nonlinear] += np.where(np.isfinite(delta), delta, 0.0)
        predicted = 0.5 * np.einsum("mi,mi->m", delta, ridge * delta - slope)
        return np.clip(trial, self.lower, self.upper), predicted

    def _curvature(self, now: Settled) -> tuple[Floats, Floats]:
        """BᵀB (m, s, s) and Bᵀe (m, s), B the part of ∂o/∂α orthogonal to what is linear."""
        n, which = len(self.rows.target), self.nonlinear
        program = self.formula.slopes_at_points(tuple(which))
        every = tuple(range(len(self.formula.names)))
        slopes = self._run(program, now.points, every, self._held).transpose(0, 2, 1)
        if self._root is not None:
            slopes = slopes * self._root[:, None]
        sound = np.asarray(np.isfinite(slopes).all(axis=(1, 2)))
        slopes = np.where(sound[:, None, None], slopes, 0.0)
        basis = now.basis[:, :n]
        within = basis.transpose(0, 2, 1) @ slopes
        # (I - QQᵀ) B with Q of the ridge too: BᵀB less what Q takes of it.
        left = slopes - basis @ within
        return left.transpose(0, 2, 1) @ left, np.einsum("mns,mn->ms", left, now.errors)

    def _settle(self, points: Floats) -> Settled:
        n, q = len(self.rows.target), len(self.linear)
        table = self._table(points).transpose(0, 2, 1)
        sound = np.asarray(np.isfinite(table).all(axis=(1, 2)))
        table = np.where(sound[:, None, None], table, 0.0)
        errors = table[:, :, q].copy()
        basis = np.zeros((len(points), n + q, q))
        points = points.copy()
        if q and len(points):
            norms = np.linalg.norm(table[:, :, :q], axis=1)
            norms = np.where(norms > 0, norms, 1.0)[:, None, :]
            basis[:, :n] = table[:, :, :q] / norms
            basis[:, n:] = _ROOT_RIDGE * np.eye(q)
            basis, r = np.linalg.qr(basis)
            within = np.einsum("mnq,mn->mq", basis[:, :n], errors)
            points[:, self.linear] = -np.linalg.solve(r, within[:, :, None])[:, :, 0] / norms[:, 0]
            errors -= np.einsum("mnq,mq->mn", basis[:, :n], within)
        losses = 0.5 * np.einsum("mn,mn->m", errors, errors)
        whole = sound & np.isfinite(losses) & np.isfinite(points).all(axis=1)
        return Settled(points, np.where(whole, losses, np.inf), basis, errors)

    def _table(self, points: Floats) -> Floats:
        """√w times what each linear parameter multiplies, and o - t with these 0: (m, q+1, n)."""
        q = len(self.linear)
        none = np.concatenate([np.zeros(q), self._held])
        program = self.formula.at_points(self.linear)
        table = self._run(program, points, tuple(self.nonlinear), none).copy()
        table[:, q] -= self.rows.target[:, 0]
        return table if self._root is None else table * self._root

    def _run(
        self, program: Program, points: Floats, columns: tuple[int, ...], parameters: Floats
    ) -> Floats:
        """The program's results (m, r, n), ``columns`` of the points behind those of the rows."""
        m, n, d = len(points), len(self.rows.target), self.rows.design.shape[1]
        values = np.empty((d + len(columns), m * n))
        values[:d] = np.tile(self.rows.design.T, m)
        values[d:] = np.repeat(points[:, list(columns)].T, n, axis=1)
        block = np.empty((len(program.results), m * n))
        program.run(parameters, values.T, list(block))
        return block.reshape(len(block), m, n).transpose(1, 0, 2)

"""What descent sees of a fit: half the penalized SSE at some parameters, its gradient and
curvature.

    F(θ) = ½ Σ w (o(θ) - t)² + ½ Σ_j penalty_j θ_j²

Model and rows meet here. Solvers see sums over all rows, or over a batch of rows that they draw,
and know nothing of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from halfsquare.data.rows import Chunk, Rows
from halfsquare.loss import Floats, error
from halfsquare.models.base import Model
from halfsquare.normal_sums import NormalSums
from halfsquare.parallel.base import Execution

# The Jacobian of a chunk is formed a block at a time: about this many numbers, so that it stays
# near the cache.
_BLOCK_NUMBERS = 1 << 20


@dataclass(frozen=True)
class BatchSums:
    """Sums over a batch of rows, all about one point.

    Attributes
    ----------
    weight, half_sse : float
        Σw and ½ Σ w |o-t|².
    loss_squares : float
        Σ w (½ |o-t|²)²: the spread of the rows' losses.
    gradient : (p,)
        Of ½SSE.
    gradient_squares : float
        Σ w |row gradient|²: the spread of the rows' gradients.
    """

    weight: float
    half_sse: float
    loss_squares: float
    gradient: Floats
    gradient_squares: float

    def merge(self, other: BatchSums) -> BatchSums:
        """The sums over both."""
        return BatchSums(
            self.weight + other.weight,
            self.half_sse + other.half_sse,
            self.loss_squares + other.loss_squares,
            self.gradient + other.gradient,
            self.gradient_squares + other.gradient_squares,
        )


@dataclass(frozen=True)
class Objective:
    """½ penalized SSE of ``model`` on ``rows``; every value is a merged sum over chunks.

    Attributes
    ----------
    penalty : (p,) float64 or None
        Added to the diagonal of the Gauss-Newton matrix; None for none.
    """

    model: Model
    rows: Rows
    execution: Execution
    penalty: Floats | None = None

    @cached_property
    def weight(self) -> float:
        """Σw over all rows."""
        if not self.rows.weighted:
            return float(self.rows.row_count)

        def of(i: int) -> float:
            chunk = self.rows.chunk(i)
            return float(len(chunk.target) if chunk.weight is None else chunk.weight.sum())

        return self.execution.reduce(of, lambda a, b: a + b, self.rows.chunk_count, 0.0)

    @property
    def numbers(self) -> float:
        """k Σw: the numbers in the target."""
        return self.weight * self.model.outputs_count

    def half_sse(self, parameters: Floats) -> float:
        """½ Σ w (o-t)², without the penalty; infinite or NaN where the model overflows."""

        def of(i: int) -> float:
            chunk = self.rows.chunk(i)
            with np.errstate(all="ignore"):
                e = error(chunk.target, self.model.outputs(parameters, chunk.design))
                squares = np.einsum("ij,ij->i", e, e)
                return 0.5 * float(
                    squares.sum() if chunk.weight is None else chunk.weight @ squares
                )

        return self.execution.reduce(of, lambda a, b: a + b, self.rows.chunk_count, 0.0)

    def normal_sums(self, parameters: Floats) -> NormalSums:
        """The Gram matrix of [J | o-t]: JᵀWJ, the gradient JᵀW(o-t) of ½SSE, and SSE, in one
        pass.
        """
        p = len(parameters)
        zero = NormalSums.zero(p, 1)
        return self.execution.reduce(
            lambda i: self._chunk_sums(parameters, i), NormalSums.merge, self.rows.chunk_count, zero
        )

    def loss_and_gradient(self, parameters: Floats) -> tuple[float, Floats]:
        """F and its gradient (p,)."""
        _, jte, ete = self.normal_sums(parameters).finish()
        pull = 0.0 if self.penalty is None else self.penalty * parameters
        return 0.5 * float(ete[0, 0]) + self.penalty_value(parameters), jte[:, 0] + pull

    def curvature_times(self, parameters: Floats, direction: Floats) -> Floats:
        """(JᵀWJ + P) v for a direction v (p,)."""
        jtj, _, _ = self.normal_sums(parameters).finish()
        return jtj @ direction + (0.0 if self.penalty is None else self.penalty * direction)

    def batch(self, parameters: Floats, rows: Chunk) -> BatchSums:
        """The sums over a batch of rows, without the penalty; in the precision of the rows."""
        e = error(rows.target, self.model.outputs(parameters, rows.design))
        losses = 0.5 * np.einsum("nk,nk->n", e, e)
        w = np.ones(len(e)) if rows.weight is None else rows.weight
        gradient, squares = self.model.pull(parameters, rows.design, e, w)
        return BatchSums(
            float(w.sum()),
            float(w @ losses),
            float(w @ losses**2),
            np.asarray(gradient, dtype=np.float64),
            float(w @ squares),
        )

    def batch_curvature(self, parameters: Floats, direction: Floats, rows: Chunk) -> float:
        """vᵀJᵀWJv over a batch of rows for a direction v (p,)."""
        moved = self.model.directional(parameters, rows.design, direction[:, None])[..., 0]
        squares = np.einsum("ik,ik->i", moved, moved)
        return float(squares.sum() if rows.weight is None else rows.weight @ squares)

    def row_losses(self, parameters: Floats) -> Floats:
        """½ w |o - t|² of each row (n,), in order."""
        losses = []
        for index in range(self.rows.chunk_count):
            chunk = self.rows.chunk(index)
            e = error(chunk.target, self.model.outputs(parameters, chunk.design))
            half = 0.5 * np.einsum("nk,nk->n", e, e)
            losses.append(half if chunk.weight is None else chunk.weight * half)
        return np.concatenate(losses)

    def penalty_value(self, parameters: Floats) -> float:
        """½ Σ penalty θ²."""
        return (
            0.0 if self.penalty is None else 0.5 * float(self.penalty @ (parameters * parameters))
        )

    def _chunk_sums(self, parameters: Floats, index: int) -> NormalSums:
        chunk = self.rows.chunk(index)
        p, k = len(parameters), chunk.target.shape[1]
        sums = NormalSums.zero(p, 1)
        step = max(1, _BLOCK_NUMBERS // ((p + 1) * k))
        with np.errstate(all="ignore"):
            for start in range(0, len(chunk.design), step):
                at = slice(start, start + step)
                m = len(chunk.design[at])
                block = np.empty((p + 1, k, m))
                o = self.model.write_jacobian(parameters, chunk.design[at], block[:p])
                block[p] = error(chunk.target[at], o).T
                weight, rows = float(m), m
                if chunk.weight is not None:
                    w = chunk.weight[at]
                    block *= np.sqrt(w)
                    weight, rows = float(w.sum()), int(np.count_nonzero(w))
                sums = sums.add_block(block.reshape(p + 1, k * m), rows, weight)
        return sums


@dataclass(frozen=True)
class Quadratic(Objective):
    """The objective of a linear model: the sums of one pass give it at any parameters.

    Attributes
    ----------
    sums : NormalSums
        Of [1 | Z | T], as :func:`halfsquare.solvers.least_squares.linear_sums` makes them.
    """

    sums: NormalSums = field(kw_only=True)

    @cached_property
    def _parts(self) -> tuple[Floats, Floats, float]:
        whole, _, _ = self.sums.finish()
        split = len(whole) - self.model.outputs_count
        return whole[:split, :split], whole[:split, split:], float(np.trace(whole[split:, split:]))

    def loss_and_gradient(self, parameters: Floats) -> tuple[float, Floats]:
        aa, at, tt = self._parts
        b = parameters.reshape(at.shape)
        moved = aa @ b
        sse = tt - 2.0 * float(np.sum(b * at)) + float(np.sum(b * moved))
        pull = 0.0 if self.penalty is None else self.penalty * parameters
        return 0.5 * max(sse, 0.0) + self.penalty_value(parameters), (moved - at).reshape(-1) + pull

    def curvature_times(self, parameters: Floats, direction: Floats) -> Floats:
        aa, at, _ = self._parts
        moved = (aa @ direction.reshape(at.shape)).reshape(-1)
        return moved + (0.0 if self.penalty is None else self.penalty * direction)

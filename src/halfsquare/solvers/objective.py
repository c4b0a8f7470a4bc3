"""What descent sees of a fit: half the penalized SSE at some parameters, its gradient and
curvature.

    F(θ) = ½ Σ w (o(θ) - t)² + ½ Σ_j penalty_j θ_j²

Model and rows meet here; descent methods see sums alone and know nothing of either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from halfsquare.data.rows import Rows
from halfsquare.loss import Floats, error
from halfsquare.models.base import Model
from halfsquare.parallel.base import Execution
from halfsquare.sums import NormalSums

# The Jacobian of a chunk is formed a block at a time: about this many numbers, so that it stays
# near the cache.
_BLOCK_NUMBERS = 1 << 20


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

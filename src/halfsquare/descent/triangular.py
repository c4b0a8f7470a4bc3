"""The R factor of [J | o-t]: all that least squares needs of the rows, without squaring the condition number.

With [J | e] = Q R, the columns of R stand for those of J and e: JᵀJ = R₁ᵀR₁ and |e + Jδ| = |r + R₁δ|.
R factors merge as sums do: that of two sets of rows is that of their R factors, one upon the other
(Demmel, Grigori, Hoemmen & Langou 2012, "Communication-optimal parallel and sequential QR", section 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky

from halfsquare.loss import Floats
from halfsquare.models.formula import Formula
from halfsquare.models.formula_program import BLOCK_ROWS, Bound
from halfsquare.objective import Objective

# A Cholesky pivot of the correlation matrix of [J | e] below this: fewer than ten digits are left.
_SAFE_PIVOT = 1e-3


@dataclass(frozen=True)
class FormulaObjective(Objective):
    """½SSE of a formula on rows whose target is the formula's left side.

    Attributes
    ----------
    exact : bool
        Form R by Householder's QR always. Otherwise by Cholesky from the Gram matrix, which takes a
        third of the time for many rows, where that keeps ten digits, and by QR where it does not.
    """

    exact: bool = True

    @property
    def formula(self) -> Formula:
        """The model."""
        assert isinstance(self.model, Formula)
        return self.model

    def triangle(self, parameters: Floats, which: tuple[int, ...]) -> Floats:
        """R (q+1, q+1), upper triangular, of √w [∂o/∂θ for θ in ``which`` | o-t].

        Not finite where the formula or a derivative is not.
        """
        if not self.exact:
            quick = _from_gram(self._gram(parameters, which))
            if quick is not None:
                return quick
        bound = self.formula.bind(parameters, which)
        zero = np.zeros((len(which) + 1, len(which) + 1))
        return self.execution.reduce(lambda i: self._chunk_triangle(bound, i), _stack, self.rows.chunk_count, zero)

    def _gram(self, parameters: Floats, which: tuple[int, ...]) -> Floats:
        bound = self.formula.bind(parameters, which)

        def of(index: int) -> Floats:
            total: Floats = np.zeros((len(which) + 1, len(which) + 1))
            with np.errstate(all="ignore"):
                for block in self._blocks(bound, index):
                    _add_gram(total, block)
            return total

        zero = np.zeros((len(which) + 1, len(which) + 1))
        return self.execution.reduce(of, np.add, self.rows.chunk_count, zero)

    def _chunk_triangle(self, bound: Bound, index: int) -> Floats:
        size = len(bound.results)
        total: Floats = np.zeros((size, size))
        for block in self._blocks(bound, index):
            if not np.isfinite(block).all():
                return np.full_like(total, np.nan)
            total = _stack(total, block.T)
        return total

    def _blocks(self, bound: Bound, index: int) -> Iterator[Floats]:
        """√w [J | o-t]ᵀ of a chunk, a few thousand rows at a time; each block takes the place of the last."""
        chunk = self.rows.chunk(index)
        n = len(chunk.target)
        spare, whole = bound.spare(n), np.empty((len(bound.results), min(n, BLOCK_ROWS)))
        for start in range(0, n, BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            design, target = chunk.design[rows], chunk.target[rows, 0]
            block = whole[:, : len(target)]
            bound.write(design, list(block), spare)
            block[-1] -= target
            if chunk.weight is not None:
                w = chunk.weight[rows]
                # A row of weight 0 is no row, even where the formula is not finite there.
                block *= np.sqrt(w)
                block[:, w == 0] = 0.0
            yield block


def _add_gram(total: Floats, block: Floats) -> None:
    """Add block blockᵀ (c, c) to ``total``, which stays symmetric."""
    if len(block) > 12:
        total += block @ block.T
        return
    # For a few long rows BLAS takes half as long by matrix times vector as by its symmetric product.
    for i in range(len(block)):
        products = block[: i + 1] @ block[i]
        total[i, : i + 1] += products
        total[:i, i] += products[:i]


def _stack(above: Floats, below: Floats) -> Floats:
    """The R factor of both, one upon the other; NaN stays NaN."""
    if np.isnan(above).any() or np.isnan(below).any():
        return np.full_like(above, np.nan)
    return np.asarray(np.linalg.qr(np.vstack([above, below]), mode="r"))


def _from_gram(gram: Floats) -> Floats | None:
    """Cholesky's factor of a Gram matrix; None where that loses too many digits. Not finite stays so."""
    scale = np.sqrt(np.diag(gram))
    if not np.isfinite(gram).all():
        return np.full_like(gram, np.nan)
    if not (scale > 0).all():
        return None
    try:
        r = cholesky(gram / scale / scale[:, None], check_finite=False)
    except LinAlgError:
        return None
    return r * scale if np.diag(r).min() > _SAFE_PIVOT else None

"""The R factor of [J | o-t]: all that least squares needs of the rows, without squaring the
condition number.

With [J | e] = Q R, the columns of R stand for those of J and e: JᵀJ = R₁ᵀR₁ and |e + Jδ| = |r +
R₁δ|. R factors merge as sums do: that of two sets of rows is that of their R factors, one upon the
other (Demmel, Grigori, Hoemmen & Langou 2012, "Communication-optimal parallel and sequential QR",
section 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky

from halfsquare.data.rows import Chunk
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula
from halfsquare.models.formula.program import BLOCK_ROWS, Bound
from halfsquare.parallel.threads import Local, one_blas_thread
from halfsquare.solvers.objective import Objective

_QR_ROWS = 4096
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
        bound = self.formula.bind(parameters, which)
        if not self.exact:
            quick = _from_gram(self._reduced(bound, _gram_of, np.add))
            if quick is not None:
                return quick
        return self._reduced(bound, triangle_of_block, stacked)

    def _reduced(
        self,
        bound: Bound,
        of: Callable[[Floats], Floats],
        merge: Callable[[Floats, Floats], Floats],
    ) -> Floats:
        """``of`` every block √w [J | o-t]ᵀ (q+1, m), merged in order."""
        size, rows = len(bound.results), min(BLOCK_ROWS, self.rows.row_count)
        # Fresh memory costs as much as the arithmetic: each thread takes buffers up where another
        # left them.
        left: list[tuple[Floats, Floats]] = []

        def work(index: int) -> Floats:
            chunk = self.rows.chunk(index)
            total: Floats = np.zeros((size, size))
            try:
                spare, block = left.pop()
            except IndexError:
                spare, block = bound.spare(rows), np.empty((size, rows))
            with np.errstate(all="ignore"):
                for start in range(0, len(chunk.target), BLOCK_ROWS):
                    part = block[:, : len(chunk.target) - start]
                    _fill(bound, chunk, start, part, spare)
                    total = merge(total, of(part))
            left.append((spare, block))
            return total

        if self.rows.chunk_count == 1 and isinstance(self.execution, Local):
            with one_blas_thread():  # one chunk is one node of the tree: nothing to hand out
                return work(0)
        return self.execution.reduce(work, merge, self.rows.chunk_count, np.zeros((size, size)))


def _fill(bound: Bound, chunk: Chunk, start: int, block: Floats, spare: Floats) -> None:
    """Write √w [J | o-t]ᵀ of the rows from ``start`` on to ``block``."""
    rows = slice(start, start + block.shape[1])
    bound.write(chunk.design[rows], list(block), spare)
    block[-1] -= chunk.target[rows, 0]
    if chunk.weight is not None:
        w = chunk.weight[rows]
        # A row of weight 0 is no row, even where the formula is not finite there.
        block *= np.sqrt(w)
        block[:, w == 0] = 0.0


def triangle_of_block(block: Floats) -> Floats:
    """The R factor of blockᵀ, a few thousand rows at a time: they stay in the cache while LAPACK
    passes over them.
    """
    total: Floats = np.zeros((len(block), len(block)))
    for start in range(0, block.shape[1], _QR_ROWS):
        part = block[:, start : start + _QR_ROWS]
        if not np.isfinite(part).all():
            return np.full_like(total, np.nan)
        # The first block has nothing above it but zeros.
        long = not start and part.shape[1] >= len(block)
        total = np.asarray(np.linalg.qr(part.T, mode="r")) if long else stacked(total, part.T)
    return total


def _gram_of(block: Floats) -> Floats:
    """block blockᵀ (c, c)."""
    if len(block) > 12:
        return np.asarray(block @ block.T)
    # For a few long rows BLAS takes half as long by matrix times vector as by its symmetric
    # product.
    gram = np.empty((len(block), len(block)))
    for i in range(len(block)):
        gram[i, : i + 1] = gram[: i + 1, i] = block[: i + 1] @ block[i]
    return gram


def stacked(above: Floats, below: Floats) -> Floats:
    """The R factor of both, one upon the other; NaN stays NaN."""
    if np.isnan(above).any() or np.isnan(below).any():
        return np.full_like(above, np.nan)
    return np.asarray(np.linalg.qr(np.vstack([above, below]), mode="r"))


def _from_gram(gram: Floats) -> Floats | None:
    """Cholesky's factor of a Gram matrix; None where that loses too many digits. Not finite stays
    so.
    """
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

"""The sums of least squares: the Gram matrix of design or Jacobian, and targets or errors. They
merge, and are read once, at the end, as those of :mod:`halfsquare.sums`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.arrays import Floats
from halfsquare.errors import ShapeError


@dataclass(frozen=True)
class NormalSums:
    """The sums of least squares: the Gram matrix of [A | B], weighted, with rows and Σw.

    Linear: A is the design matrix with its leading column of ones, B the targets. Gauss-Newton:
    A is the Jacobian of the outputs, B the error o - t; then ``ab`` is the gradient of ½SSE and
    ``bb`` the SSE. With k outputs the Jacobian's rows are stacked, row-major.

    Attributes
    ----------
    rows : int
        Rows of positive weight.
    weight : float
        Σw.
    gram : (p+q, p+q) float64, Fortran order, of which the **upper triangle** counts
        Σ w [a|b]ᵀ[a|b].
    left : int
        p, the columns of A.
    """

    rows: int
    weight: float
    gram: Floats
    left: int

    @classmethod
    def zero(cls, left: int, right: int) -> NormalSums:
        return cls(0, 0.0, np.zeros((left + right, left + right), order="F"), left)

    def add_block(self, block: Floats, rows: int, weight: float) -> NormalSums:
        """Add Σ over the columns of ``block`` (p+q, m): [A | B] transposed, already times √w.

        The Gram matrix is added to **in place** (one BLAS call): use the returned sums.
        """
        # NumPy multiplies a matrix by its own transpose with one symmetric product (dsyrk) and,
        # unlike SciPy's binding of it, lets other threads run meanwhile.
        product = block @ block.T
        np.add(self.gram, product.T, out=self.gram)
        return NormalSums(self.rows + rows, self.weight + weight, self.gram, self.left)

    def merge(self, other: NormalSums) -> NormalSums:
        """The sums over the rows of both."""
        if self.gram.shape != other.gram.shape or self.left != other.left:
            raise ShapeError(
                f"sums over {self.gram.shape} and {other.gram.shape} columns do not add"
            )
        return NormalSums(
            self.rows + other.rows, self.weight + other.weight, self.gram + other.gram, self.left
        )

    def __reduce__(self) -> Any:
        upper = self.gram[
            upper_triangle(len(self.gram))
        ]  # what counts is half of what would travel
        return _of_upper, (self.rows, self.weight, upper, len(self.gram), self.left)

    def finish(self) -> tuple[Floats, Floats, Floats]:
        """AᵀWA (p, p), AᵀWB (p, q) and BᵀWB (q, q), whole and symmetric."""
        whole = np.where(upper_triangle(len(self.gram)), self.gram, self.gram.T)
        p = self.left
        return whole[:p, :p], whole[:p, p:], whole[p:, p:]


def _of_upper(rows: int, weight: float, upper: Floats, size: int, left: int) -> NormalSums:
    gram = np.zeros((size, size), order="F")
    gram[upper_triangle(size)] = upper
    return NormalSums(rows, weight, gram, left)


@lru_cache(maxsize=8)
def upper_triangle(size: int) -> npt.NDArray[np.bool_]:
    """Where a matrix (size, size) has its upper triangle and diagonal; made once for each size."""
    mask = np.ascontiguousarray(np.tri(size, dtype=np.bool_).T)
    mask.flags.writeable = False
    return mask

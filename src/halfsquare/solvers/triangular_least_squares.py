"""Least squares from the merged R factor of [A | t]: one stable pass, and everything after it
small.

With [A | t] = Q R the coefficients solve R₁₁ b = r₁, the SSE is r², and every submodel's SSE
follows from R alone (Golub & Van Loan 2013, 5.3.3; merging as Demmel et al. 2012, section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.linalg import solve_triangular

from halfsquare.data.rows import Rows
from halfsquare.loss import Floats
from halfsquare.models.base import Model
from halfsquare.parallel.base import Execution

# What the columns before it leave of a column, relative to its length: below this it is rounding.
ALIASED = 1e-10


@dataclass(frozen=True)
class Triangle:
    """R of [A | t].

    Attributes
    ----------
    r : (p+1, p+1)
    weight : float
        Σw.
    rows : int
    """

    r: Floats
    weight: float
    rows: int

    def of_columns(self, columns: Sequence[int]) -> Triangle:
        """R with these columns of A alone, the target last."""
        taken = self.r[:, np.array([*columns, len(self.r) - 1], dtype=np.intp)]
        return Triangle(r_factor(taken), self.weight, self.rows)

    def dependent(self, lengths: Floats | None = None) -> list[int]:
        """The columns of A that those before them determine.

        ``lengths`` (p,) are those that a column's rest is held against; its own if left out.
        """
        basis = np.zeros((len(self.r), 0))
        found = []
        for j in range(len(self.r) - 1):
            column = self.r[:, j]
            left = column - basis @ (basis.T @ column)
            left -= basis @ (basis.T @ left)  # twice is enough (Giraud et al. 2005)
            length = float(np.linalg.norm(left))
            whole = float(np.linalg.norm(column)) if lengths is None else float(lengths[j])
            if length <= ALIASED * whole or not length:
                found.append(j)
            else:
                basis = np.column_stack([basis, left / length])
        return found

    @property
    def coefficients(self) -> Floats:
        """(p,)."""
        return cast(Floats, solve_triangular(self.r[:-1, :-1], self.r[:-1, -1]))

    @property
    def inverse(self) -> Floats:
        """(AᵀWA)⁻¹ (p, p)."""
        half = solve_triangular(self.r[:-1, :-1], np.eye(len(self.r) - 1))
        return cast(Floats, half @ half.T)

    @property
    def reciprocal_condition(self) -> float:
        """Of AᵀWA with columns of unit length."""
        r = self.r[:-1, :-1]
        values = np.linalg.svd(r / np.linalg.norm(r, axis=0), compute_uv=False)
        return float((values[-1] / values[0]) ** 2) if len(values) else 1.0

    @property
    def sse(self) -> float:
        """Σ w (o-t)²."""
        return float(self.r[-1, -1] ** 2)


def r_factor(matrix: Floats) -> Floats:
    """R (q, q) of the QR decomposition of a matrix (m, q); zero rows where m < q."""
    q = matrix.shape[1]
    r = cast(Floats, np.linalg.qr(matrix, mode="r")) if len(matrix) else matrix
    return r if len(r) == q else np.vstack([r, np.zeros((q - len(r), q))])


def triangle_of(
    rows: Rows, model: Model, execution: Execution, *, intercept: bool, shift: float = 0.0
) -> Triangle:
    """R of [1 | Z | t - shift], without the 1 where there is no intercept, over all rows.

    The target is transformed as the model says.
    """

    def of(index: int) -> tuple[Floats, float, int]:
        chunk = rows.chunk(index)
        target = model.transform_target(chunk.target) - shift
        parts = [np.ones((len(target), 1)), chunk.design, target]
        block = np.hstack(parts if intercept else parts[1:])
        if chunk.weight is None:
            return r_factor(block), float(len(block)), len(block)
        weighted = block * np.sqrt(chunk.weight)[:, None]
        return r_factor(weighted), float(chunk.weight.sum()), int(np.count_nonzero(chunk.weight))

    def merge(
        a: tuple[Floats, float, int], b: tuple[Floats, float, int]
    ) -> tuple[Floats, float, int]:
        return r_factor(np.vstack([a[0], b[0]])), a[1] + b[1], a[2] + b[2]

    width = rows.chunk(0).design.shape[1] + 1 + intercept
    zero: tuple[Floats, float, int] = (np.zeros((width, width)), 0.0, 0)
    return Triangle(*execution.reduce(of, merge, rows.chunk_count, zero))

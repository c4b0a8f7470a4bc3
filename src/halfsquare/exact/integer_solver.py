"""Symmetric systems solved in whole numbers: as many digits as the data's conditioning asks for.

Numbers are integers in units of 2^-BITS. With 384 bits a system whose condition number is 10^40 is
still solved to more digits than a float64 has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BITS = 384
Wholes = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Factors:
    """P A Pᵀ = L D Lᵀ with the greatest remaining pivots first; what others determine comes last
    and is left out.

    Attributes
    ----------
    kept, left : tuple of int
        Columns of A with a pivot, in order, and those that the kept ones determine.
    lower : (r, r)
        L, units 2^-BITS; its diagonal is 1 and is not written.
    pivots : (r,)
        D, units 2^-BITS.
    """

    kept: tuple[int, ...]
    left: tuple[int, ...]
    lower: Wholes
    pivots: Wholes

    @classmethod
    def of(cls, matrix: Wholes, one_in: int) -> Factors:
        """Factor A (d, d), units 2^-BITS; a pivot below 1/``one_in`` of its diagonal counts as 0.

        Golub & Van Loan, *Matrix Computations* (2013), 4.2.8: outer products with symmetric
        pivoting.

        Examples
        --------
        >>> one = 1 << BITS
        >>> a = one * np.array([[4, 2, 6], [2, 5, 7], [6, 7, 13]], dtype=object)
        >>> factors = Factors.of(a, 10**20)  # the third row is the sum of the others
        >>> len(factors.kept), len(factors.left)
        (2, 1)
        """
        work, diagonal = matrix.copy(), [int(v) for v in np.diag(matrix)]
        order, size = list(range(len(matrix))), len(matrix)
        rank = 0
        while rank < size:
            # Pivots relative to their own diagonal: 1 - R² of the column given those before it.
            ratio = [
                (int(work[i, i]) << 64) // diagonal[order[i]] if diagonal[order[i]] else 0
                for i in range(rank, size)
            ]
            at = rank + int(np.argmax(np.array(ratio, dtype=object)))
            if int(work[at, at]) * one_in <= diagonal[order[at]]:
                break
            order[rank], order[at] = order[at], order[rank]
            work[[rank, at]] = work[[at, rank]]
            work[:, [rank, at]] = work[:, [at, rank]]
            column = work[rank + 1 :, rank].copy()
            work[rank + 1 :, rank] = factors = (column << BITS) // work[rank, rank]
            work[rank + 1 :, rank + 1 :] -= np.multiply.outer(factors, column) >> BITS
            rank += 1
        return cls(
            tuple(order[:rank]),
            tuple(order[rank:]),
            work[:rank, :rank],
            np.diag(work)[:rank].copy(),
        )

    def solve(self, right: Wholes) -> Wholes:
        """The solution (r, m), units 2^-BITS, of the kept equations for ``right`` (r, m), in their
        order.
        """
        x = right.copy()
        for i in range(1, len(x)):
            x[i] -= (self.lower[i, :i] @ x[:i]) >> BITS
        for i in range(len(x)):
            x[i] = (x[i] << BITS) // self.pivots[i]
        for i in range(len(x) - 2, -1, -1):
            x[i] -= (self.lower[i + 1 :, i] @ x[i + 1 :]) >> BITS
        return x

    def inverse(self) -> Wholes:
        """The inverse (r, r) of the kept rows and columns, units 2^-BITS, in their order."""
        identity = np.zeros((len(self.kept), len(self.kept)), dtype=object)
        identity[np.diag_indices(len(self.kept))] = 1 << BITS
        return self.solve(identity)

"""The standardized normal equations of a linear least-squares problem, from one pass of sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halfsquare.data.rows import Chunk, Rows
from halfsquare.errors import FitError
from halfsquare.loss import Floats
from halfsquare.moments import varies
from halfsquare.normal_sums import NormalSums
from halfsquare.parallel.base import Execution

_MARGIN = 64.0  # so many roundings of a value are no difference


@dataclass(frozen=True)
class System:
    """The standardized normal equations of [1 | Z | T], made from sums.

    Z may have any shift and scale; C and c are those of columns with mean 0 and variance 1.

    Attributes
    ----------
    weight : float
        Σw.
    means, scales : (d,)
        Of Z; a column that does not vary has scale 1 and zeros in C.
    correlation : (d, d)
        C.
    products : (d, k)
        c, in the targets' unit.
    target_means : (k,)
    target_squares : (k,)
        Σ w (t - mean)².
    resolution : float
        A column that others give to this error, in standard deviations, is determined by them: what
        is left is the rounding of the values themselves. See :func:`resolution`.
    """

    rows: int
    weight: float
    means: Floats
    scales: Floats
    correlation: Floats
    products: Floats
    target_means: Floats
    target_squares: Floats
    resolution: float = 0.0

    @classmethod
    def of(cls, sums: NormalSums, outputs: int, offsets: Floats | None = None) -> System:
        """From the sums of blocks [1 | Z | T]ᵀ with ``outputs`` targets; ``offsets`` (d,) as
        :attr:`halfsquare.data.rows.Rows.offsets`.

        Raises
        ------
        FitError
            If there is no row of positive weight.
        """
        if not sums.weight > 0:
            raise FitError("there are no rows of positive weight to fit")
        gram, _, _ = sums.finish()
        d = len(gram) - 1 - outputs
        mean = gram[0, 1:] / sums.weight
        central = gram[1:, 1:] - sums.weight * np.outer(mean, mean)
        squares = np.maximum(np.diag(central), 0.0)
        # What is left of the squares after the mean is taken off may be rounding alone.
        noise = 8 * np.finfo(float).eps * np.diag(gram)[1:]
        given = mean[:d] if offsets is None else mean[:d] + offsets
        varied = (squares[:d] > noise[:d]) & varies(squares[:d] / sums.weight, given)
        scales = np.where(varied, np.sqrt(squares[:d] / sums.weight), 1.0)
        correlation = central[:d, :d] / sums.weight / np.outer(scales, scales)
        correlation[~varied], correlation[:, ~varied] = 0.0, 0.0
        np.fill_diagonal(correlation, np.where(varied, 1.0, 0.0))
        products = np.where(varied[:, None], central[:d, d:] / sums.weight / scales[:, None], 0.0)
        return cls(
            sums.rows,
            sums.weight,
            mean[:d],
            scales,
            correlation,
            products,
            mean[d:],
            squares[d:],
            resolution(given[varied], scales[varied]),
        )


def resolution(means: Floats, scales: Floats) -> float:
    """To what error, in its standard deviation, a column can be told from what others make of it.

    Values are rounded to ε of their size, which is √(mean² + variance): relative to the standard
    deviation that is much where the mean is far from 0. The largest of all columns counts, with a
    margin for the arithmetic; exact and rounded sums judge by this one number.
    """
    far = float(np.abs(means / scales).max(initial=0.0))
    return _MARGIN * float(np.finfo(float).eps) * float(np.hypot(1.0, far))


def linear_sums(rows: Rows, execution: Execution) -> NormalSums:
    """The sums of [1 | Z | T] over all rows: known already, or one BLAS-3 product a chunk."""
    known = rows.sums
    if known is not None:
        return known

    def of(index: int) -> NormalSums:
        chunk = rows.chunk(index)
        block, count, weight = block_of(chunk), len(chunk.target), float(len(chunk.target))
        if chunk.weight is not None:
            block = block * np.sqrt(chunk.weight)
            count, weight = int(np.count_nonzero(chunk.weight)), float(chunk.weight.sum())
        return NormalSums.zero(len(block), 0).add_block(block, count, weight)

    return execution.reduce(of, NormalSums.merge, rows.chunk_count, NormalSums.zero(0, 0))


def block_of(chunk: Chunk) -> Floats:
    """[1 | Z | T]ᵀ of a chunk, (1+d+k, m)."""
    if chunk.block is not None:
        return chunk.block
    return np.vstack([np.ones(len(chunk.target)), chunk.design.T, chunk.target.T])

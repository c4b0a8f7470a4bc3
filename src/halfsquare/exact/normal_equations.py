"""The normal equations of linear least squares from exact sums: in whole numbers, centred without
rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

from halfsquare.errors import FitError
from halfsquare.exact.gram import ExactGram, nearest
from halfsquare.exact.integer_solver import Wholes
from halfsquare.loss import Floats
from halfsquare.solvers.normal_system import System, resolution


@dataclass(frozen=True)
class ExactSystem:
    """The normal equations of [1 | Z | T] in whole numbers.

    Attributes
    ----------
    rows, outputs : int
    numbers : (1+d+k, 1+d+k)
        The sums are numbers · 2^exponent.
    exponent : int
    centred : (d+k, d+k)
        W Σw z zᵀ - Σwz Σwzᵀ in units of 4^exponent, W = Σw: its solution is that of least squares
        with an intercept.
    """

    rows: int
    outputs: int
    numbers: Wholes
    exponent: int
    centred: Wholes

    @classmethod
    def of(cls, rows: int, numbers: Wholes, exponent: int, outputs: int) -> ExactSystem:
        """From the sums of [1 | Z | T] with ``outputs`` targets.

        Raises
        ------
        FitError
            If there is no row of positive weight.
        """
        if not numbers[0, 0] > 0:
            raise FitError("there are no rows of positive weight to fit")
        sums = numbers[0, 1:]
        centred = numbers[0, 0] * numbers[1:, 1:] - np.multiply.outer(sums, sums)
        # A column whose values differ by their rounding alone does not vary, as in
        # halfsquare.moments.varies: variance <= ε² mean², both times W².
        for j in range(len(sums) - outputs):
            if int(centred[j, j]) << 104 <= int(sums[j]) ** 2:
                centred[j, :] = centred[:, j] = 0
        return cls(rows, outputs, numbers, exponent, centred)

    @classmethod
    def of_gram(cls, gram: ExactGram, outputs: int) -> ExactSystem:
        """From exact sums; see :meth:`of`."""
        return cls.of(gram.rows, *gram.integers(), outputs)

    @property
    def size(self) -> int:
        """d."""
        return len(self.centred) - self.outputs

    @property
    def weight(self) -> float:
        """Σw."""
        return nearest(int(self.numbers[0, 0]), self.exponent)

    @property
    def target_squares(self) -> Floats:
        """Σ w (t - mean)² of each target (k,)."""
        squares = np.diag(self.centred)[self.size :]
        return np.array([ratio(int(c), int(self.numbers[0, 0]), self.exponent) for c in squares])

    def rounded(self) -> System:
        """The same in float64, each number rounded a few times at most.

        Raises
        ------
        FitError
            If a mean or a spread is beyond float64.
        """
        d, count = self.size, self.numbers[0, 0]
        try:
            mean = np.array([int(n) / count for n in self.numbers[0, 1:]])
            scale = np.array([_root_ratio(int(c), count) for c in np.diag(self.centred)])
            squares = self.target_squares
        except OverflowError:
            raise FitError(
                "the sums are beyond float64: state the columns in a larger unit"
            ) from None
        scaled, _ = in_range(self.centred)
        roots = np.sqrt(np.diag(scaled))
        unit = np.where(roots > 0, roots, 1.0)
        correlation = scaled / unit / unit[:, None]
        varied = scale[:d] > 0
        np.fill_diagonal(correlation, roots > 0)
        return System(
            self.rows,
            self.weight,
            mean[:d],
            np.where(varied, scale[:d], 1.0),
            correlation[:d, :d],
            correlation[:d, d:] * scale[d:],
            mean[d:],
            squares,
            resolution(mean[:d][varied], scale[:d][varied]),
        )

    def sse(self, coefficients: Floats) -> Floats:
        """Σ w (o-t)² of each output (k,) for coefficients (1+d, k), intercepts first: exact but for
        one rounding.
        """
        return np.array([self._product(c, c) for c in self._errors(coefficients)])

    def error_total(self, coefficients: Floats) -> Floats:
        """Σ w (o-t) of each output (k,)."""
        ones = [1, *[0] * (len(self.numbers) - 1)], 0
        return np.array([self._product(c, ones) for c in self._errors(coefficients)])

    def _errors(self, coefficients: Floats) -> list[tuple[list[int], int]]:
        """o - t as whole multiples of the columns, and their unit's exponent; one for each
        output.
        """
        k = self.outputs
        found = []
        for j, column in enumerate(coefficients.T):
            ratios = [
                value.as_integer_ratio()
                for value in [*column.tolist(), *(-1.0 * (i == j) for i in range(k))]
            ]
            bits = max(bottom.bit_length() - 1 for _, bottom in ratios)
            found.append(
                ([top << (bits - bottom.bit_length() + 1) for top, bottom in ratios], -bits)
            )
        return found

    def _product(self, a: tuple[list[int], int], b: tuple[list[int], int]) -> float:
        left, right = np.array(a[0], dtype=object), np.array(b[0], dtype=object)
        return nearest(int(left @ self.numbers @ right), self.exponent + a[1] + b[1])


def in_range(curvature: Wholes) -> tuple[Floats, list[int]]:
    """A symmetric matrix with row and column j divided by 2^shift_j, so that its diagonal lies in
    [½, 2) or is 0.
    """
    shifts = half_bits(curvature)
    scaled = [
        [nearest(int(c), -(shifts[i] + shifts[j])) for j, c in enumerate(row)]
        for i, row in enumerate(curvature)
    ]
    return np.array(scaled, dtype=np.float64).reshape(curvature.shape), shifts


def half_bits(curvature: Wholes) -> list[int]:
    """For each diagonal entry half its length in bits: a power of two near its root."""
    return [int(c).bit_length() // 2 for c in np.diag(curvature)]


def ratio(top: int, bottom: int, exponent: int) -> float:
    """top / bottom · 2^exponent, correctly rounded."""
    return (top << exponent) / bottom if exponent >= 0 else top / (bottom << -exponent)


def _root_ratio(square: int, bottom: int) -> float:
    """√square / bottom, to rounding."""
    more = max(0, 128 - square.bit_length())
    return isqrt(square << 2 * more) / (bottom << more)

"""What adds: sums over rows that merge exactly and are averaged once, at the end.

SSE adds; MSE divides once. ``ErrorSums`` holds what is said about errors,
:class:`~halfsquare.normal_sums.NormalSums` what least squares needs. Both have ``zero``, ``merge``
and ``finish``, never a mean of means: uneven batches, threads, workers and machines give the same
answer up to rounding. Conventions: see :mod:`halfsquare.loss`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.arrays import as_matching, require_finite
from halfsquare.errors import DataError, NotFiniteError, ShapeError
from halfsquare.loss import Floats, error, sse_factor
from halfsquare.moments import Moments

# |R²| below is rounding.
_R2_ROUNDING = 1e-12


def r_squared(sse: float, sst: float) -> float:
    """1 - SSE/SST, where that is of the size of rounding 0; NaN without variation.

    Examples
    --------
    >>> r_squared(1.0, 4.0), r_squared(4.000000000000001, 4.0)
    (0.75, 0.0)
    """
    if not sst > 0:
        return nan
    found = 1.0 - sse / sst
    return 0.0 if abs(found) < _R2_ROUNDING else found


@dataclass(frozen=True)
class MeanSums:
    """What a weighted mean of one number a row and its standard error need; merged exactly.

    Whole weights count: a row of weight w is w rows, and the variance of the mean is
    Σ w (q - mean)² / (W (W - 1)). Others say how much a row matters: its variance is then
    Σ w² (q - mean)² / W², times n / (n - 1) (Cochran 1977, *Sampling Techniques*, eq. 6.9).

    Examples
    --------
    >>> MeanSums.of(np.array([1.0, 2.0, 3.0]), None).standard_error == (1 / 3) ** 0.5
    True
    """

    rows: int
    whole: bool
    once: Moments  # by w
    twice: Moments  # by w²

    @classmethod
    def zero(cls) -> MeanSums:
        return cls(0, True, Moments.zero(1), Moments.zero(1))

    @classmethod
    def of(cls, values: Floats, weight: Floats | None) -> MeanSums:
        """Of the values (n,) with row weights (n,)."""
        column = values[:, None]
        if weight is None:
            moments = Moments.of(column)
            return cls(len(values), True, moments, moments)
        whole = bool((weight == np.floor(weight)).all())
        rows = int(np.count_nonzero(weight))
        return cls(rows, whole, Moments.of(column, weight), Moments.of(column, weight * weight))

    def merge(self, other: MeanSums) -> MeanSums:
        """Over the rows of both."""
        return MeanSums(
            self.rows + other.rows,
            self.whole and other.whole,
            self.once.merge(other.once),
            self.twice.merge(other.twice),
        )

    @property
    def mean(self) -> float:
        return float(self.once.mean[0])

    @property
    def effective_rows(self) -> float:
        """How many rows of one weight say as much: Σw of counts, else (Σw)² / Σw² (Kish 1965,
        *Survey Sampling*, section 11.7).
        """
        weight, twice = self.once.weight, self.twice.weight
        return weight if self.whole else (weight / sqrt(twice)) ** 2 if twice > 0 else 0.0

    @property
    def standard_error(self) -> float:
        """Of the mean; NaN with one row."""
        weight, variance = self.once.weight, float(self.once.variance[0])
        if self.whole:
            return sqrt(variance / (weight - 1.0)) if weight > 1 else nan
        if self.rows < 2:
            return nan
        off = float(self.twice.mean[0]) - self.mean
        square = float(self.twice.variance[0]) + off * off
        return sqrt(square * self.rows / (self.rows - 1.0)) * (sqrt(self.twice.weight) / weight)


@dataclass(frozen=True)
class ErrorSummary:
    """What the errors of a model on some rows come to; every mean is divided here and only here.

    Attributes
    ----------
    rows : int
        Rows of positive weight.
    weight : float
        Σw; equal to ``rows`` where no weights are given. ``too_high``, ``too_low`` and the standard
        error count a row of weight w as w rows.
    sse, half_sse, mse, rmse : float
        See :mod:`halfsquare.loss`; rmse is √mse, in the unit of the target.
    mse_se : float
        Standard error of ``mse`` as an estimate of the loss of a typical row: the standard
        deviation of the rows' losses over √Σw, or of weights that are no whole numbers as
        :class:`MeanSums` says. NaN with one row.
    r2 : float
        1 - SSE/SST, SST about the mean target of these rows. NaN where the target does not vary.
    too_high, too_low : float
        How many outputs lie above, and below, their target.
    mean_error : float
        Σ w (o-t) / (k Σw): the bias, in the unit of the target.
    """

    rows: int
    weight: float
    sse: float
    half_sse: float
    mse: float
    mse_se: float
    rmse: float
    r2: float
    too_high: float
    too_low: float
    mean_error: float

    def as_dict(self) -> dict[str, Any]:
        """The summary under its JSON names; whole counts as integers, NaN as None."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("weight", "too_high", "too_low"):
            values[name] = int(values[name]) if float(values[name]).is_integer() else values[name]
        return {name: None if value != value else value for name, value in values.items()}


@dataclass(frozen=True)
class ErrorSums:
    """Sums over the errors of some rows, for k outputs; immutable, merged exactly.

    Examples
    --------
    >>> sums = ErrorSums.zero().add([1.0, 2.0, 3.0], [1.5, 2.0, 2.0])
    >>> more = ErrorSums.zero().add([5.0], [4.0])
    >>> summary = sums.merge(more).finish()
    >>> summary.rows, summary.sse, summary.mse, summary.too_high, summary.too_low
    (4, 2.25, 0.5625, 1.0, 2.0)
    """

    rows: int
    outputs: int
    weight: float
    error: Floats  # (k,) Σ w (o-t)
    squares: Floats  # (k,) Σ w (o-t)²
    row_loss: MeanSums  # of q = Σ_j (o-t)_j² / k, a row's own MSE
    target: Moments  # of t, for SST
    too_high: float
    too_low: float

    @classmethod
    def zero(cls, outputs: int = 1) -> ErrorSums:
        """No rows yet, of ``outputs`` outputs."""
        none = np.zeros(outputs)
        return cls(0, outputs, 0.0, none, none, MeanSums.zero(), Moments.zero(outputs), 0.0, 0.0)

    def add(
        self, target: npt.ArrayLike, output: npt.ArrayLike, weight: npt.ArrayLike | None = None
    ) -> ErrorSums:
        """These sums with the rows of ``target``, ``output`` ((n,) or (n, k)) and ``weight`` (n,)
        added.

        Raises
        ------
        ShapeError, NotFiniteError, DataError
            As :meth:`halfsquare.SquaredError.value`.
        """
        t, o, w = as_matching(target, output, weight)
        shape: tuple[int, ...] = o.shape if o.ndim == 2 else (o.size, 1)
        t, o = (
            np.asarray(t, dtype=np.float64).reshape(shape),
            np.asarray(o, dtype=np.float64).reshape(shape),
        )
        if o.size and o.shape[1] != self.outputs:
            raise ShapeError(f"these rows have {o.shape[1]} outputs; the sums hold {self.outputs}")
        if not o.size:
            return self
        with np.errstate(over="ignore", invalid="ignore"):
            e = error(t, o)
            squares = e * e
            row_loss = squares[:, 0] if self.outputs == 1 else squares.mean(axis=1)
            total = row_loss.sum()
        if not np.isfinite(total):
            require_finite("target", t)
            require_finite("output", o)
            raise NotFiniteError(
                "the squared error overflows float64; state target and output in a larger unit"
            )
        high, low = e > 0, e < 0
        part = ErrorSums(
            rows=len(e) if w is None else int(np.count_nonzero(w)),
            outputs=self.outputs,
            weight=float(len(e) if w is None else w.sum()),
            error=np.add.reduce(e, axis=0) if w is None else w @ e,
            squares=np.add.reduce(squares, axis=0) if w is None else w @ squares,
            row_loss=MeanSums.of(row_loss, w),
            target=Moments.of(t, w),
            too_high=float(np.count_nonzero(high) if w is None else w @ high.sum(axis=1)),
            too_low=float(np.count_nonzero(low) if w is None else w @ low.sum(axis=1)),
        )
        return self.merge(part)

    def merge(self, other: ErrorSums) -> ErrorSums:
        """The sums over the rows of both."""
        if self.outputs != other.outputs:
            raise ShapeError(
                f"sums over {self.outputs} and over {other.outputs} outputs do not add"
            )
        return ErrorSums(
            self.rows + other.rows,
            self.outputs,
            self.weight + other.weight,
            self.error + other.error,
            self.squares + other.squares,
            self.row_loss.merge(other.row_loss),
            self.target.merge(other.target),
            self.too_high + other.too_high,
            self.too_low + other.too_low,
        )

    def finish(self) -> ErrorSummary:
        """Divide, once.

        Raises
        ------
        DataError
            If there is no row of positive weight: a mean over nothing is no number.
        """
        if not self.weight > 0:
            raise DataError("no rows of positive weight: there is no error to state")
        sse, sst = float(self.squares.sum()), float(self.target.m2.sum())
        mse = sse_factor("mse", self.outputs, self.weight) * sse
        return ErrorSummary(
            rows=self.rows,
            weight=self.weight,
            sse=sse,
            half_sse=sse_factor("half_sse", self.outputs, self.weight) * sse,
            mse=mse,
            mse_se=self.row_loss.standard_error,
            rmse=sqrt(mse),
            r2=r_squared(sse, sst) if self.target.varies.any() else nan,
            too_high=self.too_high,
            too_low=self.too_low,
            mean_error=float(self.error.sum()) / (self.outputs * self.weight),
        )

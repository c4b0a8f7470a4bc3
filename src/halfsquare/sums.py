"""What adds: sums over rows that merge exactly and are averaged once, at the end.

SSE adds; MSE divides once. ``ErrorSums`` holds what is said about errors, ``NormalSums`` what
least squares needs (the Gram matrix of design or Jacobian, and targets or errors). Both have
``zero``, ``add``, ``merge`` and ``finish``, never a mean of means: uneven batches, threads,
workers and machines give the same answer up to rounding. Conventions: see :mod:`halfsquare.loss`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import nan, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.errors import DataError, NotFiniteError, ShapeError
from halfsquare.loss import Floats, as_matching, error, require_finite, sse_factor

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


def weighted_mean(values: Floats, weight: Floats) -> Floats:
    """Σ w x / Σw of the columns of ``values`` (n, k), weights (n,) with a sum > 0.

    The mean of what a first mean leaves is added to it: so equal values have exactly that mean.

    Examples
    --------
    >>> weighted_mean(np.full((7, 1), 0.1), np.ones(7)).tolist()
    [0.1]
    """
    share = weight / weight.sum()  # no product of a weight and a value overflows
    mean = share @ values
    return np.asarray(mean + share @ (values - mean))


def varies(variance: Floats, mean: Floats) -> npt.NDArray[np.bool_]:
    """Which columns vary by more than the rounding of their values: the one rule for all doors.

    Values that differ by a unit in the last place do not vary.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.sqrt(variance) > np.finfo(float).eps * np.abs(mean))


@dataclass(frozen=True)
class Moments:
    """Weight, mean and variance Σ w (x - mean)² / Σw of k columns, merged without cancellation.

    Chan, Golub & LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample
    variances", eq. 2.1, divided by W = Wa + Wb: V = Va Wa/W + Vb Wb/W + δ² (Wa/W) (Wb/W) with
    δ = mean_b - mean_a. No weight multiplies a square: the product may be beyond float64 where both
    are not.
    """

    weight: float
    mean: Floats
    variance: Floats

    @classmethod
    def zero(cls, columns: int) -> Moments:
        return cls(0.0, np.zeros(columns), np.zeros(columns))

    @classmethod
    def of(cls, values: Floats, weight: Floats | None = None) -> Moments:
        """Moments of the columns of ``values`` (n, k) with row weights (n,)."""
        if weight is not None and not weight.all():
            values, weight = values[weight > 0], weight[weight > 0]
        total = float(len(values)) if weight is None else float(weight.sum())
        if not total > 0:
            return cls.zero(values.shape[1])
        if weight is None:
            sums = np.add.reduce(values, axis=0)
            if np.isfinite(sums).all():
                mean = sums / total
                centred = values - mean
                left = np.add.reduce(centred, axis=0) / total  # what rounding left in the mean
                centred -= left
                return cls(total, mean + left, np.einsum("ij,ij->j", centred, centred) / total)
            mean = weighted_mean(values, np.ones(len(values)))
            return cls(total, mean, ((values - mean) ** 2).sum(axis=0) / total)
        mean = weighted_mean(values, weight)
        return cls(total, mean, (weight / total) @ (values - mean) ** 2)

    @property
    def m2(self) -> Floats:
        """Σ w (x - mean)² (k,)."""
        return np.asarray(self.variance * self.weight)

    @property
    def varies(self) -> npt.NDArray[np.bool_]:
        """Which columns (k,) vary by more than the rounding of their values."""
        return varies(self.variance, self.mean)

    @property
    def scale(self) -> Floats:
        """The standard deviations (k,), 1 where a column does not vary: what columns are divided
        by, behind every door.
        """
        return np.where(self.varies, np.sqrt(self.variance), 1.0)

    def merge(self, other: Moments) -> Moments:
        total = self.weight + other.weight
        if not self.weight or not other.weight:
            return other if not self.weight else self
        delta = other.mean - self.mean
        own, share = self.weight / total, other.weight / total
        variance = own * self.variance + share * other.variance + delta**2 * (own * share)
        return Moments(total, self.mean + delta * share, variance)


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
    def of_clusters(self) -> MeanSums:
        """With each row as a cluster: what it counts was drawn as a whole."""
        return replace(self, whole=False)

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

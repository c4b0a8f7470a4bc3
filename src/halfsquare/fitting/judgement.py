"""What the errors on rows left out say about an ensemble.

With e₁, e₂ the errors of two members that have not seen the row and share nothing but the data:

    mean square of one member           ½ (e₁² + e₂²)
    variance between members            V = ½ (e₁ - e₂)²
    mean square of an endless ensemble  e₁ e₂             (the product: the average keeps it)
    mean square of M members            e₁ e₂ + V / M       (Krogh & Vedelsby 1995, eq. 5)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.data.rows import ArrayRows
from halfsquare.fitting.folds import LeftOut
from halfsquare.loss import Floats, error
from halfsquare.models.base import Model
from halfsquare.results.predictive import outputs_and_variance


@dataclass(frozen=True)
class HeldOutErrors:
    """The errors (m, k) of one member on the rows it left out, their parameter variance (m, k), and
    which rows.
    """

    rows: npt.NDArray[np.intp]
    error: Floats
    variance: Floats
    weight: Floats

    @classmethod
    def of(
        cls,
        model: Model,
        parameters: Floats,
        covariance: Floats | None,
        out: ArrayRows,
        left_out: LeftOut,
    ) -> HeldOutErrors:
        """On the rows ``out`` that are ``left_out``."""
        if left_out.judged is not None and left_out.total is not None:
            mine = left_out.judged[left_out.mask]
            weight = left_out.total[left_out.judged]
            out = ArrayRows(out.design[mine], out.target[mine], weight)
        outputs, variance = outputs_and_variance(model, parameters, covariance, out.design)
        weight = np.ones(len(outputs)) if out.weight is None else out.weight
        rows = np.flatnonzero(left_out.told_of)
        return cls(rows, error(out.target, outputs), variance, weight)


@dataclass(frozen=True)
class Judgement:
    """Means over the rows that two members left out; each (k,), but for ``rows``.

    Attributes
    ----------
    rows : int
        Rows judged.
    single, ensemble : (k,)
        Mean square error of one member, and of the endless ensemble.
    between : (k,)
        V, the variance between members.
    parameters : (k,)
        The variance that the uncertainty of a member's parameters gives its outputs.
    products : (rows, k)
        e₁ e₂ of each row, times its weight over the mean weight.
    which : (rows,)
        The rows judged.
    pairs : (2, rows, k)
        e₁ and e₂ of each.
    row_count : int
        n, of the rows judged and not.
    """

    rows: int
    single: Floats
    ensemble: Floats
    between: Floats
    parameters: Floats
    products: Floats
    which: npt.NDArray[np.intp]
    pairs: Floats
    row_count: int

    def held_out(self, members: int) -> Floats:
        """What the squared error of each row (n,) is for the mean of that many members, none of
        which saw it.
        """
        first, second = self.pairs
        losses: Floats = np.full(self.row_count, np.nan)
        losses[self.which] = (first * second + 0.5 * (first - second) ** 2 / members).mean(axis=1)
        return losses

    @property
    def by_row(self) -> Floats:
        """e₁ and e₂ (2, n, k) of every row; NaN where it was not judged."""
        errors: Floats = np.full((2, self.row_count, self.pairs.shape[2]), np.nan)
        errors[:, self.which] = self.pairs
        return errors

    @classmethod
    def of(cls, errors: Sequence[HeldOutErrors], row_count: int) -> Judgement | None:
        """None where no row was left out by two of the members."""
        if not errors:
            return None
        k = errors[0].error.shape[1]
        rows = np.unique(np.concatenate([one.rows for one in errors]))
        m = len(rows)
        seen = np.zeros(m, dtype=np.intp)
        pair, variance, weight = np.zeros((2, m, k)), np.zeros((m, k)), np.zeros(m)
        for one in errors:
            at = np.searchsorted(rows, one.rows)
            # Members that choose for themselves what to leave out may leave out the same row; two
            # of them are enough.
            wanted = seen[at] < 2
            at = at[wanted]
            pair[seen[at], at] = one.error[wanted]
            variance[at] += 0.5 * one.variance[wanted]
            weight[at] = one.weight[wanted]
            seen[at] += 1
        both = seen == 2
        total = float(weight[both].sum())
        if not total > 0:
            return None
        w, (first, second) = weight[both] / total, pair[:, both]
        return cls(
            rows=int(both.sum()),
            single=w @ (0.5 * (first**2 + second**2)),
            ensemble=w @ (first * second),
            between=w @ (0.5 * (first - second) ** 2),
            parameters=w @ variance[both],
            products=(w * both.sum())[:, None] * first * second,
            which=rows[both],
            pairs=pair[:, both],
            row_count=row_count,
        )

"""How wrong a model is on rows that it has not seen, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.recut import numbers_in_source
from halfsquare.data.spec import DataSpec
from halfsquare.data.splits import Split, Units
from halfsquare.fitting.options import FitOptions
from halfsquare.fitting.splits import split_of
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution
from halfsquare.results.error_sums import Errors, errors_of_parts
from halfsquare.results.evaluate import loss_moments
from halfsquare.results.fitted import FittedModel
from halfsquare.results.mean_error import LossMoments, by_cluster, in_time
from halfsquare.results.record import Measurement
from halfsquare.sums import ErrorSummary, ErrorSums, MeanSums

MOST_LOOKED_AT = 200_000  # rows of the fit whose errors are looked through
_ONE_PIECE = "one group of rows: no standard error can be told"


@dataclass(frozen=True)
class RowErrors:
    """The errors o - t of some rows, in the unit of the target.

    Attributes
    ----------
    error : (n, k)
    weight : (n,) or None
    numbers : (n,) int
        Of the rows among those of the source.
    units : Units or None
        Which of them belong together.
    whole : bool
        Whether rows that count more than once were set apart as a whole.
    """

    error: Floats
    weight: Floats | None
    numbers: npt.NDArray[np.intp]
    units: Units | None
    whole: bool = False

    @classmethod
    def of(cls, errors: Errors, rows: EncodedRows, seed: int) -> RowErrors:
        """Those that were kept of a pass over ``rows``; ``seed``: by which some were set apart."""
        return cls(
            errors.error,
            errors.weight,
            numbers_in_source(rows.scanned, seed)[rows.positions],
            rows.units,
            rows.scanned.rows_whole,
        )

    @property
    def losses(self) -> Floats:
        """The MSE (n,) of each row."""
        losses: Floats = (self.error**2).mean(axis=1)
        return losses


@dataclass(frozen=True)
class Sure:
    """The standard error of an MSE, its 95 % limits, and what they take rows for."""

    standard_error: float | None
    low: float
    high: float
    method: str


def measured(
    fitted: FittedModel,
    rows: EncodedRows,
    execution: Execution,
    spec: DataSpec,
    test: Any,
    options: FitOptions,
) -> tuple[Measurement, list[RowErrors]]:
    """The errors of the honest fit: on its rows, and on those set apart or given; of few rows each
    error as well.
    """
    held_out, looked_at = rows.of("test"), rows.row_count <= MOST_LOOKED_AT
    # Where rows tell of each other, each error is needed to say how sure their mean is.
    together = rows.units is not None or rows.scanned.rows_whole
    apart = test is None and (together or held_out.row_count <= MOST_LOOKED_AT)
    keep = (looked_at and test is None and bool(held_out.row_count), apart)
    on_train, on_test = errors_of_parts(fitted, rows, execution, keep=keep)
    train = on_train.sums.finish()
    if test is not None:
        again = replace(spec, data=test, progress=None)
        sums, missing, moments = loss_moments(fitted, again)
        sure = _independent(moments)
        return _with(Measurement(train), sums.finish(), sure, "rows given", missing), []
    if not held_out.row_count:
        return Measurement(train), []
    split = split_of(options)
    errors = [RowErrors.of(on_test, held_out, options.seed)] if apart else []
    weighed = on_test.sums.row_loss if held_out.weighted else None
    how = how_sure(errors[0], split) if errors else _independent(on_test.moments, weighed)
    if looked_at:
        errors.append(RowErrors.of(on_train, rows, options.seed))
    found = _with(Measurement(train), on_test.sums.finish(), how, "rows set apart")
    return replace(found, split=str(split)), errors


def of_folds(
    train: ErrorSummary, sums: Sequence[ErrorSums], errors: Sequence[RowErrors], split: Split
) -> Measurement:
    """What the folds of a cross-validation come to together."""
    merged = sums[0]
    for more in sums[1:]:
        merged = merged.merge(more)
    weights = [e.weight for e in errors if e.weight is not None]
    units = [e.units for e in errors if e.units is not None]
    every = RowErrors(
        np.concatenate([e.error for e in errors]),
        np.concatenate(weights) if weights else None,
        np.concatenate([e.numbers for e in errors]),
        Units(np.concatenate([u.of_row for u in units]), units[0].in_order) if units else None,
    )
    source = f"{len(sums)} folds"
    found = _with(Measurement(train), merged.finish(), how_sure(every, split), source)
    return replace(found, split=str(split))


def how_sure(errors: RowErrors, split: Split) -> Sure:
    """Of the MSE on these rows: by groups where whole groups are set apart or rows are equal, in
    time where they stand in an order.
    """
    losses, w, units = errors.losses, errors.weight, errors.units
    if units is not None and units.in_order:
        order = np.argsort(units.of_row, kind="stable")
        found = in_time(losses[order], None if w is None else w[order])
    elif units is not None and len(np.unique(units.of_row)) < len(losses):
        if len(np.unique(units.of_row)) < 2:
            return Sure(np.nan, np.nan, np.nan, _ONE_PIECE)
        name = split.column or "equal rows"
        found = by_cluster(losses, w, units.of_row, name)
    elif errors.whole:
        found = by_cluster(losses, w, np.arange(len(losses)), "equal rows")
    else:
        sums = None if w is None else MeanSums.of(losses, w)
        return _independent(LossMoments.of(losses, w), sums)
    low, high = found.interval()
    return Sure(found.standard_error, max(low, 0.0), high, found.method)


def _independent(moments: LossMoments, sums: MeanSums | None = None) -> Sure:
    return Sure(None, *moments.interval(sums=sums), "independent rows")


def _with(
    found: Measurement, summary: ErrorSummary, sure: Sure, source: str, missing: int | None = None
) -> Measurement:
    if sure.standard_error is not None:
        summary = replace(summary, mse_se=sure.standard_error)
    limits = (sure.low, sure.high) if np.isfinite([sure.low, sure.high]).all() else None
    return replace(
        found,
        test=summary,
        test_source=source,
        test_missing_target=missing,
        test_mse_limits=limits,
        test_mse_method=sure.method,
    )

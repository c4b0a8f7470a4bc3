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
from halfsquare.loss import Floats, error
from halfsquare.parallel.base import Execution
from halfsquare.results.error_sums import error_sums_of_parts
from halfsquare.results.evaluate import loss_moments
from halfsquare.results.fitted import FittedModel
from halfsquare.results.mean_error import LossMoments, by_cluster, in_time
from halfsquare.results.record import Measurement
from halfsquare.sums import ErrorSummary, ErrorSums, MeanSums

_MANY_ROWS = 1_000_000  # whose losses are not kept: the mean of so many is normal
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
    def of(
        cls, fitted: FittedModel, rows: EncodedRows, execution: Execution, seed: int
    ) -> RowErrors:
        """Of a model on encoded rows; ``seed``: by which some were set apart."""
        k = len(fitted.encoder.targets)

        def one(index: int) -> tuple[Floats, Floats | None]:
            if not rows.chunk_size(index):
                return np.empty((0, k)), np.empty(0) if rows.weighted else None
            chunk = rows.chunk(index)
            return error(
                rows.targets(index, chunk), fitted.outputs_of(chunk.design)[0]
            ), chunk.weight

        found = list(execution.map(one, rows.chunk_count))
        weights = [w for _, w in found if w is not None]
        return cls(
            np.concatenate([np.empty((0, k)), *(e for e, _ in found)]),
            np.concatenate(weights) if weights else None,
            numbers_in_source(rows.scanned, seed)[rows.places],
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
    on_train, on_test = error_sums_of_parts(fitted, rows, execution)
    train = on_train.finish()
    if test is not None:
        again = replace(spec, data=test, progress=None)
        sums, missing, moments = loss_moments(fitted, again)
        sure = _independent(moments)
        return _with(Measurement(train), sums.finish(), sure, "rows given", missing), []
    held_out = rows.of("test")
    if not held_out.row_count:
        return Measurement(train), []
    summary = on_test.finish()
    split = split_of(options)
    how: Sure | None = None
    errors: list[RowErrors] = []
    if rows.units is not None or held_out.row_count <= _MANY_ROWS:
        errors = [RowErrors.of(fitted, held_out, execution, options.seed)]
        how = how_sure(errors[0], split)
    if rows.row_count <= MOST_LOOKED_AT:
        errors.append(RowErrors.of(fitted, rows, execution, options.seed))
    found = _with(Measurement(train), summary, how, "rows set apart")
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
        return Sure(None, *LossMoments.of(losses, w).interval(sums=sums), "independent rows")
    low, high = found.interval()
    return Sure(found.standard_error, max(low, 0.0), high, found.method)


def _independent(moments: LossMoments) -> Sure:
    return Sure(None, *moments.interval(), "independent rows")


def _with(
    found: Measurement,
    summary: ErrorSummary,
    sure: Sure | None,
    source: str,
    missing: int | None = None,
) -> Measurement:
    if sure is None:
        return replace(found, test=summary, test_source=source)
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

"""The errors on rows that are already encoded: what they come to, and themselves where wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.rows import Chunk
from halfsquare.loss import Floats, error
from halfsquare.parallel.base import Execution
from halfsquare.results.ensemble import Ensemble
from halfsquare.results.mean_error import LossMoments
from halfsquare.results.row_losses import loss_of_errors
from halfsquare.sums import ErrorSums

_NO_LOSSES = LossMoments()


@dataclass(frozen=True)
class Errors:
    """Of some rows, in the target's unit; merged in their order.

    Attributes
    ----------
    sums : ErrorSums
    moments : LossMoments
        Of the rows' losses, where they were asked for.
    each : tuple of (error (m, k), weight (m,) or None)
        Of each chunk that has rows, where the errors are kept.
    """

    sums: ErrorSums
    moments: LossMoments = _NO_LOSSES
    each: tuple[tuple[Floats, Floats | None], ...] = ()

    def merge(self, other: Errors) -> Errors:
        """Of the rows of both."""
        return Errors(
            self.sums.merge(other.sums),
            self.moments.merge(other.moments),
            (*self.each, *other.each),
        )

    @property
    def error(self) -> Floats:
        """The errors (n, k) that were kept."""
        return np.concatenate([np.empty((0, self.sums.outputs)), *(e for e, _ in self.each)])

    @property
    def weight(self) -> Floats | None:
        """The weights (n,) of these rows; None where each counts as one."""
        weights = [w for _, w in self.each if w is not None]
        return np.concatenate(weights) if weights else None


def errors_of_rows(
    fitted: Ensemble, rows: EncodedRows, execution: Execution, *, keep: bool = False
) -> Errors:
    """Those on encoded rows; the single ones, too, where they are to be kept."""
    told = _outputs_alone(fitted)

    def of(index: int) -> Errors:
        if not rows.chunk_size(index):
            return _none(told)
        return _of_chunk(told, rows, index, rows.chunk(index), keep=keep)

    return execution.reduce(of, Errors.merge, rows.chunk_count, _none(told))


def errors_of_parts(
    fitted: Ensemble,
    rows: EncodedRows,
    execution: Execution,
    *,
    keep: tuple[bool, bool] = (False, False),
) -> tuple[Errors, Errors]:
    """Those on the rows to train on, and with the moments of their losses those on the rows set
    apart; in one pass over both. ``keep``: of which of them the single ones are kept.
    """
    told, train, test = _outputs_alone(fitted), rows.of("train"), rows.of("test")

    def of(index: int) -> tuple[Errors, Errors]:
        own, out = rows.parts(index)
        return (
            _of_chunk(told, train, index, own, keep=keep[0], moments=False),
            _of_chunk(told, test, index, out, keep=keep[1]),
        )

    def merged(a: tuple[Errors, Errors], b: tuple[Errors, Errors]) -> tuple[Errors, Errors]:
        return a[0].merge(b[0]), a[1].merge(b[1])

    return execution.reduce(of, merged, rows.chunk_count, (_none(told), _none(told)))


def _none(fitted: Ensemble) -> Errors:
    return Errors(ErrorSums.zero(len(fitted.encoder.targets)))


def _outputs_alone(fitted: Ensemble) -> Ensemble:
    """Without what is known of the uncertainty of outputs, which is large to send to workers."""
    return replace(fitted, members=tuple(replace(m, covariance=None) for m in fitted.members))


def _of_chunk(
    fitted: Ensemble,
    rows: EncodedRows,
    index: int,
    chunk: Chunk,
    *,
    keep: bool,
    moments: bool = True,
) -> Errors:
    nothing = _none(fitted)
    if not len(chunk.target):
        return nothing
    target, outputs = rows.targets(index, chunk), fitted.outputs_of(chunk.design)[0]
    sums = nothing.sums.add(target, outputs, chunk.weight)
    if not (keep or moments):
        return Errors(sums)
    e = error(target, outputs)
    losses = LossMoments.of(loss_of_errors(e), chunk.weight) if moments else _NO_LOSSES
    return Errors(sums, losses, ((e, chunk.weight),) if keep else ())

"""The sums over the errors on rows that are already encoded."""

from __future__ import annotations

from dataclasses import replace

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.rows import Chunk
from halfsquare.parallel.base import Execution
from halfsquare.results.fitted import FittedModel
from halfsquare.sums import ErrorSums


def error_sums_of_rows(fitted: FittedModel, rows: EncodedRows, execution: Execution) -> ErrorSums:
    """The sums over the errors on rows that are already encoded, in the target's unit."""
    k, told = len(fitted.encoder.targets), _outputs_alone(fitted)

    def of(index: int) -> ErrorSums:
        if not rows.chunk_size(index):
            return ErrorSums.zero(k)
        return _of_chunk(told, rows, index, rows.chunk(index))

    return execution.reduce(of, ErrorSums.merge, rows.chunk_count, ErrorSums.zero(k))


def error_sums_of_parts(
    fitted: FittedModel, rows: EncodedRows, execution: Execution
) -> tuple[ErrorSums, ErrorSums]:
    """Those on the rows to train on, and on those set apart; in one pass over both."""
    k, told = len(fitted.encoder.targets), _outputs_alone(fitted)
    train, test = rows.of("train"), rows.of("test")

    def of(index: int) -> tuple[ErrorSums, ErrorSums]:
        own, out = rows.parts(index)
        return _of_chunk(told, train, index, own), _of_chunk(told, test, index, out)

    def merged(
        a: tuple[ErrorSums, ErrorSums], b: tuple[ErrorSums, ErrorSums]
    ) -> tuple[ErrorSums, ErrorSums]:
        return a[0].merge(b[0]), a[1].merge(b[1])

    none = ErrorSums.zero(k), ErrorSums.zero(k)
    return execution.reduce(of, merged, rows.chunk_count, none)


def _outputs_alone(fitted: FittedModel) -> FittedModel:
    """Without what is known of the uncertainty of outputs, which is large to send to workers."""
    return replace(fitted, members=tuple(replace(m, covariance=None) for m in fitted.members))


def _of_chunk(fitted: FittedModel, rows: EncodedRows, index: int, chunk: Chunk) -> ErrorSums:
    nothing = ErrorSums.zero(len(fitted.encoder.targets))
    if not len(chunk.target):
        return nothing
    target = rows.targets(index, chunk)
    return nothing.add(target, fitted.outputs_of(chunk.design)[0], chunk.weight)

"""How wrong is a model on some rows, how sure is that, and is another one better?

The MSE estimates the loss of a typical row; its standard error says how well. Two models on the
same rows are compared by the paired difference of their squared errors: what rows share cancels.
On different rows they are compared unpaired, by MSE: SSE grows with the number of rows and cannot
be compared across sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import hypot, isfinite
from typing import Any, Literal

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.data.reading import ReadBatch, open_for, read_encoded
from halfsquare.data.rows import Chunk
from halfsquare.data.source import Source
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError, OptionError
from halfsquare.loss import Floats, error
from halfsquare.parallel.base import Execution
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.fitted import FittedModel
from halfsquare.results.mean_error import LossMoments, MeanError, by_cluster
from halfsquare.results.mean_error import in_time as by_time
from halfsquare.sums import ErrorSummary, ErrorSums, MeanSums

Verdict = Literal["A is better", "B is better", "cannot tell"]


@dataclass(frozen=True)
class Evaluation:
    """Errors of a model on a source.

    Attributes
    ----------
    summary : ErrorSummary
    missing_target : int
        Rows left out because their target is missing.
    mse_low, mse_high : float
        95 % confidence limits of the MSE; see :mod:`halfsquare.results.mean_error`. NaN where there
        are too few rows.
    mse_method : str
        What the standard error and the limits take rows for.
    """

    summary: ErrorSummary
    missing_target: int
    mse_low: float = np.nan
    mse_high: float = np.nan
    mse_method: str = "independent rows"

    def as_dict(self) -> dict[str, Any]:
        """The summary's JSON values, the limits and ``missing_target``."""
        limits = {"mse_low": self.mse_low, "mse_high": self.mse_high}
        return {
            **self.summary.as_dict(),
            "missing_target": self.missing_target,
            **{name: None if not isfinite(v) else v for name, v in limits.items()},
            "mse_method": self.mse_method,
        }


@dataclass(frozen=True)
class Comparison:
    """The difference of two MSE, A minus B, in the squared unit of the target.

    Attributes
    ----------
    difference, standard_error : float
        Negative: A errs less.
    z : float
        The difference in standard errors.
    p : float
        Two-sided probability of a difference as large if there were none (normal approximation;
        of clusters and time Student's t).
    verdict : str
        ``"A is better"``, ``"B is better"``, or ``"cannot tell"`` where p > 0.05.
    paired : bool
    rows_a, rows_b : int
    mse_a, mse_b : float
    method : str
        What the standard error takes rows for.
    fitted_to : tuple of str
        Which of ``"A"`` and ``"B"`` was fitted to a source of this name: on rows of the fit the
        larger model looks better than it is, and p says nothing of new rows.
    """

    difference: float
    standard_error: float
    z: float
    p: float
    verdict: Verdict
    paired: bool
    rows_a: int
    rows_b: int
    mse_a: float
    mse_b: float
    method: str = "independent rows"
    fitted_to: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values; a number that is not finite as None."""
        return {
            k: None if isinstance(v, float) and not isfinite(v) else v
            for k, v in asdict(self).items()
        }


def evaluate(
    fitted: FittedModel, data: Any, *, cluster_by: str | None = None, in_time: bool = False
) -> Evaluation:
    """Errors of ``fitted`` on every row of ``data`` (or of a DataSpec) that has a target.

    Parameters
    ----------
    cluster_by : str, optional
        A column: rows of the same value may depend on each other, and the standard error of the MSE
        allows for it.
    in_time : bool
        Whether the rows stand in the order of time: the standard error allows for what neighbours
        share (Newey & West).

    Raises
    ------
    DataError
        If a column is missing or mistyped, or no row has a target.
    """
    sums, missing, moments = loss_moments(fitted, data)
    if not sums.rows:
        raise DataError(
            f"no row has both a value of {', '.join(map(repr, fitted.encoder.targets))} and "
            "a positive weight"
        )
    if cluster_by is None and not in_time:
        return Evaluation(sums.finish(), missing, *moments.interval())
    losses, weight, clusters = _losses([fitted], data, cluster_by)
    found = _mean_error(losses[0], weight, clusters, cluster_by)
    summary = replace(sums.finish(), mse_se=found.standard_error)
    low, high = found.interval()
    return Evaluation(summary, missing, max(low, 0.0), high, found.method)


def _mean_error(
    losses: Floats, weight: Floats | None, clusters: Any, cluster_by: str | None
) -> MeanError:
    if cluster_by is None:
        return by_time(losses, weight)
    return by_cluster(losses, weight, clusters, cluster_by)


def _losses(
    models: Sequence[FittedModel], data: Any, cluster_by: str | None
) -> tuple[list[Floats], Floats | None, Any]:
    """The MSE of each row (n,) by each model, its weight, and its value of ``cluster_by``.

    Raises
    ------
    OptionError
        If the rows can be read once only, or there is no such column.
    """
    spec = replace(DataSpec.of(data), progress=None)
    if spec.once:
        raise OptionError(
            "rows of a pipe can be read once, and this needs several passes: write them to a file"
        )
    kept, weights, losses = [], [], []
    for model in models:
        own = []
        source = open_for(model.encoder, spec)
        for batch in read_encoded(source, model.encoder, with_target=True, weight=spec.weights):
            assert batch.target is not None
            keep = ~np.isnan(batch.target).any(axis=1)
            output = model.outputs_of(batch.design[keep])[0]
            own.append(_row_loss(batch.target[keep], output))
            if model is models[0]:
                kept.append(keep)
                weights += [] if batch.weight is None else [batch.weight[keep]]
        losses.append(np.concatenate(own))
    weight = np.concatenate(weights) if weights else None
    if cluster_by is None:
        return losses, weight, None
    return losses, weight, _values_of(models[0], spec, cluster_by)[np.concatenate(kept)]


def _values_of(fitted: FittedModel, spec: DataSpec, name: str) -> Any:
    """A column of the source, whatever it holds, as whole numbers that tell its values apart."""
    import pyarrow as pa

    source = open_for(fitted.encoder, spec)
    column = next((c for c in source.columns if c.name == name), None)
    if column is None:
        raise OptionError(f"{source.name} has no column {name!r} to tell clusters apart by")
    parts = [batch.column(0) for batch in source.scan([replace(column, kind="text")], 16384)]
    codes = pa.chunked_array(parts).combine_chunks().dictionary_encode("encode").indices
    return codes.to_numpy(zero_copy_only=False)


def error_sums(fitted: FittedModel, data: Any) -> tuple[ErrorSums, int]:
    """The sums over the errors on a source, and how many rows lack a target."""
    return loss_moments(fitted, data)[:2]


def loss_moments(fitted: FittedModel, data: Any) -> tuple[ErrorSums, int, LossMoments]:
    """The sums over the errors on a source, how many rows lack a target, and the moments of the
    rows' losses.
    """
    spec = DataSpec.of(data)
    source = open_for(fitted.encoder, spec)
    sums, missing, moments = ErrorSums.zero(len(fitted.encoder.targets)), 0, LossMoments()
    with one_blas_thread():  # once for all batches
        for batch in weighed_rows(source, fitted, spec):
            assert batch.target is not None
            target, weight = batch.target, batch.weight
            outputs, _ = fitted.outputs_of(batch.design)
            gone = np.isnan(target).any(axis=1)
            if gone.any():
                missing += int(gone.sum())
                target, outputs = target[~gone], outputs[~gone]
                weight = None if weight is None else weight[~gone]
            sums = sums.add(target, outputs, weight)
            moments = moments.merge(LossMoments.of(_row_loss(target, outputs), weight))
            spec.told(batch.first_row + len(batch.target))
    return sums, missing, moments


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


def compare(
    a: FittedModel,
    b: FittedModel,
    data: Any,
    *,
    cluster_by: str | None = None,
    in_time: bool = False,
) -> Comparison:
    """Which of two models errs less on the same rows: the paired difference of their squared
    errors. For ``cluster_by`` and ``in_time`` see :func:`evaluate`.

    Raises
    ------
    OptionError
        If the models predict different targets.
    DataError
        As :func:`evaluate`.
    """
    require_same_target(a, b)
    k = len(a.encoder.targets)
    # One pass for both where the source can be read twice side by side: batches come in the same
    # order.
    spec = DataSpec.of(data)
    source_a, source_b = open_for(a.encoder, spec), open_for(b.encoder, spec)
    difference, sums_a, sums_b = MeanSums.zero(), ErrorSums.zero(k), ErrorSums.zero(k)
    pairs = zip(weighed_rows(source_a, a, spec), weighed_rows(source_b, b, spec), strict=True)
    rows = 0
    for one, other in pairs:
        assert one.target is not None
        rows += len(one.target)
        keep = ~np.isnan(one.target).any(axis=1)
        w = None if one.weight is None else one.weight[keep]
        target = one.target[keep]
        o_a, o_b = a.outputs_of(one.design[keep])[0], b.outputs_of(other.design[keep])[0]
        sums_a, sums_b = sums_a.add(target, o_a, w), sums_b.add(target, o_b, w)
        worse = _row_loss(target, o_a) - _row_loss(target, o_b)
        difference = difference.merge(MeanSums.of(worse, w))
    if not sums_a.weight > 0:
        raise DataError(
            "no row has both a target and a positive weight: there is nothing to compare"
        )
    means = sums_a.finish(), sums_b.finish()
    seen = tuple(
        name for name, model in (("A", a), ("B", b)) if _of_the_fit(model, source_a.name, rows)
    )
    if cluster_by is not None or in_time:
        (of_a, of_b), weight, clusters = _losses([a, b], spec, cluster_by)
        found = _mean_error(of_a - of_b, weight, clusters, cluster_by)
        judged = _judged(found.mean, found.standard_error, True, *means, found.degrees_of_freedom)
        return replace(judged, method=found.method, fitted_to=seen)
    judged = _judged(difference.mean, difference.standard_error, True, *means)
    return replace(judged, fitted_to=seen)


def weighed_rows(source: Source, fitted: FittedModel, spec: DataSpec) -> Iterator[ReadBatch]:
    """The rows of a source with targets, and the weights that a record of them asks for."""
    column, weighting = spec.weight_column, spec.weighting
    return read_encoded(
        source, fitted.encoder, with_target=True, weight=column, weighting=weighting
    )


def _of_the_fit(model: FittedModel, name: str, rows: int) -> bool:
    """Whether rows of that source are those of the fit, as far as its name tells; queries and
    frames share one, so that the number of rows has to agree as well.
    """
    data = model.record.data
    if data is None or data.name != name:
        return False
    return not name.startswith("the ") or data.rows_read == rows


def compare_unpaired(a: ErrorSummary, b: ErrorSummary, *, by: str = "mse") -> Comparison:
    """Compare two evaluations on different rows, by MSE and the standard errors of both.

    Raises
    ------
    OptionError
        If ``by`` is a sum: it grows with the number of rows, so that it cannot be compared across
        sizes.
    """
    if by in ("sse", "half_sse") and a.weight != b.weight:
        raise OptionError(
            f"SSE grows with the number of rows: {a.sse:g} over {a.weight:g} rows and "
            f"{b.sse:g} over {b.weight:g} "
            "cannot be compared. Compare the MSE, which estimates the loss of a typical row"
        )
    return _judged(a.mse - b.mse, hypot(a.mse_se, b.mse_se), False, a, b)


def require_same_target(a: FittedModel, b: FittedModel) -> None:
    """Refuse to compare models of different targets."""
    if a.encoder.targets != b.encoder.targets:
        raise OptionError(
            f"model A predicts {', '.join(a.encoder.targets)} and model B "
            f"{', '.join(b.encoder.targets)}; "
            "only models of the same target can be compared"
        )


def _row_loss(target: Floats, output: Floats) -> Floats:
    e = error(target, output)
    squares = e * e
    losses: Floats = squares[:, 0] if squares.shape[1] == 1 else squares.mean(axis=1)
    return losses


def _judged(
    difference: float,
    standard_error: float,
    paired: bool,
    a: ErrorSummary,
    b: ErrorSummary,
    freedom: float = 1e9,
) -> Comparison:
    from scipy.special import ndtr, stdtr

    if standard_error > 0:
        z = difference / standard_error
    else:  # no spread at all: equal to the last bit, or different by a constant, or one row
        z = (
            0.0
            if difference == 0 or standard_error != standard_error
            else float(np.copysign(np.inf, difference))
        )
    p = float(2.0 * (ndtr(-abs(z)) if freedom >= 1e9 else stdtr(freedom, -abs(z))))
    verdict: Verdict = (
        "cannot tell" if p > 0.05 else ("A is better" if difference < 0 else "B is better")
    )
    return Comparison(
        difference, standard_error, z, p, verdict, paired, a.rows, b.rows, a.mse, b.mse
    )

"""How wrong is a model on some rows, and how sure is that?

The MSE estimates the loss of a typical row; its standard error says how well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from halfsquare.data.reading import open_for
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.ensemble import Ensemble
from halfsquare.results.mean_error import LossMoments
from halfsquare.results.row_losses import losses_of, mean_error, row_loss
from halfsquare.results.weighed_rows import weighed_rows
from halfsquare.sums import ErrorSummary, ErrorSums


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


def evaluate(
    fitted: Ensemble, data: Any, *, cluster_by: str | None = None, in_time: bool = False
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
        return Evaluation(sums.finish(), missing, *moments.interval(sums=sums.row_loss))
    losses, weight, clusters = losses_of([fitted], data, cluster_by)
    found = mean_error(losses[0], weight, clusters, cluster_by)
    summary = replace(sums.finish(), mse_se=found.standard_error)
    low, high = found.interval()
    return Evaluation(summary, missing, max(low, 0.0), high, found.method)


def error_sums(fitted: Ensemble, data: Any) -> tuple[ErrorSums, int]:
    """The sums over the errors on a source, and how many rows lack a target."""
    return loss_moments(fitted, data)[:2]


def loss_moments(fitted: Ensemble, data: Any) -> tuple[ErrorSums, int, LossMoments]:
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
            moments = moments.merge(LossMoments.of(row_loss(target, outputs), weight))
            spec.told(batch.first_row + len(batch.target))
    return sums, missing, moments

"""Two models on different rows, compared by MSE: SSE grows with the number of rows and cannot be
compared across sizes.
"""

from __future__ import annotations

from dataclasses import replace
from math import hypot
from typing import Any

import numpy as np

from halfsquare.data.reading import open_for
from halfsquare.data.spec import DataSpec
from halfsquare.errors import OptionError
from halfsquare.results.comparison import (
    Comparison,
    as_many,
    judgement_of,
    of_the_fit,
    require_same_target,
    rows_of,
)
from halfsquare.results.ensemble import Ensemble
from halfsquare.results.evaluate import Evaluation, evaluate
from halfsquare.results.weighed_rows import weighed_rows
from halfsquare.results.without_row import knows_leverage, outputs_without_row
from halfsquare.sums import ErrorSummary, ErrorSums


def compare_unpaired(
    a: Ensemble,
    b: Ensemble,
    data_a: Any,
    data_b: Any,
    *,
    by: str = "mse",
    cluster_by: str | None = None,
    in_time: bool = False,
) -> Comparison:
    """Compare two models on different rows, by MSE and the standard errors of both; a model on rows
    of its own fit is judged as by :func:`halfsquare.results.compare.compare`.

    Raises
    ------
    OptionError
        If the models predict different targets, or ``by`` is a sum and the numbers of rows differ:
        it grows with them, so that it cannot be compared across sizes.
    DataError
        As :func:`evaluate`.
    """
    require_same_target(a, b)
    sources = {"A": (a, data_a), "B": (b, data_b)}
    how: dict[str, Any] = {"cluster_by": cluster_by, "in_time": in_time}
    found = {name: evaluate(model, data, **how) for name, (model, data) in sources.items()}
    seen = tuple(name for name, pair in sources.items() if _fitted_to(*pair, found[name]))
    alike = cluster_by is None and not in_time
    left_out = tuple(n for n in seen if alike and _all_rows_known(sources[n][0], found[n]))
    summaries = {name: one.summary for name, one in found.items()}
    if set(left_out) != set(seen):  # Only where those that have seen their rows are judged alike.
        left_out = ()
    for name in left_out:
        summaries[name] = _without_row(*sources[name])
    judged = _unpaired(summaries["A"], summaries["B"], by)
    method = found["A"].mse_method
    return replace(judged, method=method, fitted_to=seen, left_out=left_out)


def _unpaired(a: ErrorSummary, b: ErrorSummary, by: str) -> Comparison:
    if by in ("sse", "half_sse") and a.weight != b.weight:
        raise OptionError(
            f"SSE grows with the number of rows: {a.sse:g} over {a.weight:g} rows and "
            f"{b.sse:g} over {b.weight:g} "
            "cannot be compared. Compare the MSE, which estimates the loss of a typical row"
        )
    return judgement_of(a.mse - b.mse, hypot(a.mse_se, b.mse_se), False, a, b)


def _fitted_to(model: Ensemble, data: Any, found: Evaluation) -> bool:
    spec = DataSpec.of(data)
    if spec.once:  # A pipe has been read, and has no name to know it by.
        return False
    name = open_for(model.encoder, spec).name
    rows = found.summary.rows + found.missing_target
    return of_the_fit(model, name) and as_many(model, name, rows)


def _all_rows_known(model: Ensemble, found: Evaluation) -> bool:
    rows = found.summary.rows + found.missing_target
    return knows_leverage(model) and rows_of(model) == rows


def _without_row(model: Ensemble, data: Any) -> ErrorSummary:
    """Of rows of its fit, each judged by the fit without it."""
    spec = replace(DataSpec.of(data), progress=None)
    sums = ErrorSums.zero(len(model.encoder.targets))
    for batch in weighed_rows(open_for(model.encoder, spec), model, spec):
        assert batch.target is not None
        keep = ~np.isnan(batch.target).any(axis=1)
        target, weight = batch.target[keep], None if batch.weight is None else batch.weight[keep]
        sums = sums.add(target, outputs_without_row(model, batch.design[keep], target), weight)
    return sums.finish()

"""Is one model better than another?

Two models on the same rows are compared by the paired difference of their squared errors: what
rows share cancels. On different rows they are compared unpaired, by MSE: SSE grows with the number
of rows and cannot be compared across sizes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import hypot, isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np

from halfsquare.data.reading import open_for
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError, OptionError
from halfsquare.loss import Floats
from halfsquare.results.ensemble import Ensemble
from halfsquare.results.evaluate import Evaluation, evaluate
from halfsquare.results.row_losses import losses_of, mean_error, row_loss
from halfsquare.results.weighed_rows import weighed_rows
from halfsquare.results.without_row import knows_leverage, outputs_without_row
from halfsquare.sums import ErrorSummary, ErrorSums, MeanSums

Verdict = Literal["A is better", "B is better", "cannot tell"]


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
        larger model looks better than it is, and p says nothing of new rows …
    left_out : tuple of str
        … but of those whose errors are of fits without the row itself, see
        :mod:`halfsquare.results.without_row`.
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
    left_out: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values; a number that is not finite as None."""
        return {
            k: None if isinstance(v, float) and not isfinite(v) else v
            for k, v in asdict(self).items()
        }


def compare(
    a: Ensemble,
    b: Ensemble,
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
    by_name = {name: m for name, m in (("A", a), ("B", b)) if _of_the_fit(m, source_a.name)}
    alike = cluster_by is None and not in_time
    left_out = tuple(name for name, model in by_name.items() if alike and knows_leverage(model))
    plain, without = _Pair.zero(k), _Pair.zero(k)
    pairs = zip(weighed_rows(source_a, a, spec), weighed_rows(source_b, b, spec), strict=True)
    rows = 0
    for one, other in pairs:
        assert one.target is not None
        rows += len(one.target)
        keep = ~np.isnan(one.target).any(axis=1)
        w = None if one.weight is None else one.weight[keep]
        target, design_a, design_b = one.target[keep], one.design[keep], other.design[keep]
        outputs = a.outputs_of(design_a)[0], b.outputs_of(design_b)[0]
        plain = plain.add(target, *outputs, w)
        if left_out:
            o_a = outputs_without_row(a, design_a, target) if "A" in left_out else outputs[0]
            o_b = outputs_without_row(b, design_b, target) if "B" in left_out else outputs[1]
            without = without.add(target, o_a, o_b, w)
    if not plain.a.weight > 0:
        raise DataError(
            "no row has both a target and a positive weight: there is nothing to compare"
        )
    seen = tuple(name for name, model in by_name.items() if _as_many(model, source_a.name, rows))
    if not alike:
        means = plain.a.finish(), plain.b.finish()
        (of_a, of_b), weight, clusters = losses_of([a, b], spec, cluster_by)
        found = mean_error(of_a - of_b, weight, clusters, cluster_by)
        judged = _judged(found.mean, found.standard_error, True, *means, found.degrees_of_freedom)
        return replace(judged, method=found.method, fitted_to=seen)
    left_out = tuple(name for name in left_out if name in seen and _rows_of(by_name[name]) == rows)
    # Only where both are judged as strictly, or the other one has not seen the rows.
    taken = without if left_out and set(seen) == set(left_out) else plain
    difference = taken.difference
    means = taken.a.finish(), taken.b.finish()
    judged = _judged(difference.mean, difference.standard_error, True, *means)
    return replace(judged, fitted_to=seen, left_out=left_out if taken is without else ())


@dataclass(frozen=True)
class _Pair:
    """Sums over the same rows of two models' errors, and of the difference of their losses."""

    difference: MeanSums
    a: ErrorSums
    b: ErrorSums

    @classmethod
    def zero(cls, targets: int) -> _Pair:
        return cls(MeanSums.zero(), ErrorSums.zero(targets), ErrorSums.zero(targets))

    def add(self, target: Floats, o_a: Floats, o_b: Floats, weight: Floats | None) -> _Pair:
        worse = row_loss(target, o_a) - row_loss(target, o_b)
        return _Pair(
            self.difference.merge(MeanSums.of(worse, weight)),
            self.a.add(target, o_a, weight),
            self.b.add(target, o_b, weight),
        )


def _of_the_fit(model: Ensemble, name: str) -> bool:
    """Whether a source of that name is the one of the fit, as far as a name tells."""
    if model.record.data is None:
        return False
    known = model.record.data.name
    try:
        return known == name or Path(known).samefile(name)
    except (OSError, ValueError):  # no files, as a query or an address
        return False


def _rows_of(model: Ensemble) -> int | None:
    return None if model.record.data is None else model.record.data.rows_read


def _as_many(model: Ensemble, name: str, rows: int) -> bool:
    """Queries and frames share a name, so that the number of rows has to agree as well."""
    return not name.startswith("the ") or _rows_of(model) == rows


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
    of its own fit is judged as by :func:`compare`.

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
    return _judged(a.mse - b.mse, hypot(a.mse_se, b.mse_se), False, a, b)


def _fitted_to(model: Ensemble, data: Any, found: Evaluation) -> bool:
    spec = DataSpec.of(data)
    if spec.once:  # A pipe has been read, and has no name to know it by.
        return False
    name = open_for(model.encoder, spec).name
    rows = found.summary.rows + found.missing_target
    return _of_the_fit(model, name) and _as_many(model, name, rows)


def _all_rows_known(model: Ensemble, found: Evaluation) -> bool:
    rows = found.summary.rows + found.missing_target
    return knows_leverage(model) and _rows_of(model) == rows


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


def require_same_target(a: Ensemble, b: Ensemble) -> None:
    """Refuse to compare models of different targets."""
    if a.encoder.targets != b.encoder.targets:
        raise OptionError(
            f"model A predicts {', '.join(a.encoder.targets)} and model B "
            f"{', '.join(b.encoder.targets)}; "
            "only models of the same target can be compared"
        )


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

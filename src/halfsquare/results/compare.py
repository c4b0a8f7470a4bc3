"""Is one model better than another?

Two models on the same rows are compared by the paired difference of their squared errors: what
rows share cancels. For different rows see :mod:`halfsquare.results.compare_unpaired`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halfsquare.data.reading import open_for
from halfsquare.data.spec import DataSpec
from halfsquare.errors import DataError
from halfsquare.loss import Floats
from halfsquare.results.comparison import (
    Comparison,
    as_many,
    judgement_of,
    of_the_fit,
    require_same_target,
    rows_of,
)
from halfsquare.results.ensemble import Ensemble
from halfsquare.results.row_losses import losses_of, mean_error, row_loss
from halfsquare.results.weighed_rows import weighed_rows
from halfsquare.results.without_row import knows_leverage, outputs_without_row
from halfsquare.sums import ErrorSums, MeanSums


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
    by_name = {name: m for name, m in (("A", a), ("B", b)) if of_the_fit(m, source_a.name)}
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
    seen = tuple(name for name, model in by_name.items() if as_many(model, source_a.name, rows))
    if not alike:
        means = plain.a.finish(), plain.b.finish()
        (of_a, of_b), weight, clusters = losses_of([a, b], spec, cluster_by)
        found = mean_error(of_a - of_b, weight, clusters, cluster_by)
        judged = judgement_of(
            found.mean, found.standard_error, True, *means, found.degrees_of_freedom
        )
        return replace(judged, method=found.method, fitted_to=seen)
    left_out = tuple(name for name in left_out if name in seen and rows_of(by_name[name]) == rows)
    # Only where both are judged as strictly, or the other one has not seen the rows.
    taken = without if left_out and set(seen) == set(left_out) else plain
    difference = taken.difference
    means = taken.a.finish(), taken.b.finish()
    judged = judgement_of(difference.mean, difference.standard_error, True, *means)
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

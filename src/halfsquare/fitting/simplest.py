"""The simplest single model that is not significantly worse: linear first, then networks of
growing size.

Every candidate is judged on the same rows by errors of models that had not seen them, so that two
candidates are compared by the paired difference of their squared errors. A network replaces a
simpler model only if it is better by more than ``_Z`` standard errors of that difference; where a
small network is no better than the linear model, larger ones are not tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from halfsquare.data.encoded_rows import EncodedRows
from halfsquare.errors import FitError
from halfsquare.fitting.blend import weights_of
from halfsquare.fitting.family import Family
from halfsquare.fitting.left_out_linear import left_out_linear
from halfsquare.fitting.linear import LinearFamily
from halfsquare.fitting.network import NetworkFamily
from halfsquare.loss import Floats
from halfsquare.results.fitted import FittedModel
from halfsquare.results.record import Candidate
from halfsquare.solvers.run import Run
from halfsquare.sums import MeanSums

# Better by chance alone once in forty times.
_Z = 1.96
_FEWEST_ROWS = 50
# Second-order descent costs about rows · parameters² · members · steps; with this the largest takes
# half a minute.
_MOST_PRODUCTS = 2e10


@dataclass(frozen=True)
class Size:
    """Hidden units, members and method of an ensemble; None: the trainer's own choice."""

    hidden: tuple[int, ...] | None
    members: int | None
    method: str | None


SIZES = {
    "small network": Size((6,), 4, "levenberg-marquardt"),
    "medium network": Size((16,), 4, "levenberg-marquardt"),
    "network": Size(None, None, None),
}


def simplest(family: Family, rows: EncodedRows, run: Run) -> FittedModel:
    """Linear, then networks, as long as they are significantly better."""
    linear = LinearFamily.of_choice(family.options, rows)
    best = linear.train(rows, run)
    why = _why_no_network(rows)
    weight = weights_of(rows, run.execution)
    losses: Floats | None = None
    if not why:
        losses = np.square(left_out_linear(rows, linear.options.l2, run)).mean(axis=1)
        if float(np.nanmean(losses)) < 1e-12:
            why = "the linear model is exact"
    tried, chosen = [_tried("linear", losses, None, rows, weight)], "linear"
    for name, size in SIZES.items():
        late = "the time limit has passed" if run.late else ""
        why = why or _too_slow(rows, size) or late
        if why:
            tried.append(Candidate(name, note=f"not tried: {why}"))
            break
        try:
            network, found = _network(family, rows, name, run)
        except FitError as problem:
            tried.append(Candidate(name, note=f"failed: {problem}"))
            break
        tried.append(_tried(name, found, losses, rows, weight))
        if not _better(tried[-1]):
            break
        best, losses, chosen = network, found, name
    return _chosen(best, tried, chosen)


def simplest_again(family: Family, fitted: FittedModel, rows: EncodedRows, run: Run) -> FittedModel:
    """The chosen family trained on more rows; nothing is chosen again."""
    before = fitted.record.training
    chosen = str(before.chosen)
    if chosen == "linear":
        found = LinearFamily.of_choice(family.options, rows).train(rows, run)
    else:
        found = _network(family, rows, chosen, run)[0]
    return _chosen(found, before.candidates, chosen)


def _chosen(fitted: FittedModel, candidates: Sequence[Candidate], chosen: str) -> FittedModel:
    """The model, with what was tried beside it."""
    return fitted.with_training(candidates=tuple(candidates), chosen=chosen)


def _network(
    family: Family, rows: EncodedRows, name: str, run: Run
) -> tuple[FittedModel, Floats | None]:
    size, network = SIZES[name], NetworkFamily(replace(family.options, l2=0))
    trained = network.trained(rows, run.at(name), size.hidden, size.members, size.method)
    fitted = network.of_members(rows, trained)
    errors = trained[0].left_out
    if errors is None:
        return fitted, None
    first, second = errors
    losses = first * second + 0.5 * (first - second) ** 2 / len(trained)
    return fitted, losses.mean(axis=1)


def _why_no_network(rows: EncodedRows) -> str:
    if not rows.encoder.names:
        return "there are no columns to learn from"
    if rows.row_count < _FEWEST_ROWS:
        return (
            f"{rows.row_count} rows are too few to judge it by; at least {_FEWEST_ROWS} are needed"
        )
    return _too_slow(rows, SIZES["small network"])


def _tried(
    model: str,
    losses: Floats | None,
    before: Floats | None,
    rows: EncodedRows,
    weight: Floats | None,
) -> Candidate:
    unit = float(rows.encoder.target_scales[0]) ** 2 if len(rows.encoder.targets) == 1 else 1.0
    if losses is None:
        return Candidate(
            model, note="" if before is None else "no rows were left out to judge it by"
        )
    mse, mse_se = (v * unit for v in _mean(losses, weight))
    if before is None:
        return Candidate(model, mse, mse_se)
    difference, difference_se = (v * unit for v in _mean(losses - before, weight))
    return Candidate(model, mse, mse_se, difference, difference_se)


def _too_slow(rows: EncodedRows, size: Size) -> str:
    """A limit on the work, not on the clock: the choice does not depend on the machine."""
    n, d, k = rows.row_count, len(rows.encoder.names), len(rows.encoder.targets)
    layers = (d, *(size.hidden or (16, 16)), k)
    parameters = sum((a + 1) * b for a, b in pairwise(layers))
    if float(n) * k * parameters**2 * (size.members or 10) <= _MOST_PRODUCTS:
        return ""
    return (
        f"{n:,} rows with {parameters:,} parameters take minutes or more; --model network "
        "tries it all the same"
    )


def _better(tried: Candidate) -> bool:
    """Whether it is better than what stood before by more than the data can mistake."""
    if tried.note or tried.difference is None or tried.difference_se is None:
        return False
    return tried.difference < -_Z * tried.difference_se


def _mean(losses: Floats, weight: Floats | None) -> tuple[float, float]:
    """Weighted mean and its standard error over the rows that were judged."""
    known = ~np.isnan(losses)
    sums = MeanSums.of(losses[known], None if weight is None else weight[known])
    return sums.mean, sums.standard_error

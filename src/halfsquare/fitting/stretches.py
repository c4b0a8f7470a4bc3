"""Learns how wrong a model is where there are no rows, from stretches of rows left out; see
:mod:`halfsquare.results.stretches`.

The middle third of the values of each column that matters is left out of some rows, a small model
of the same family is trained on the others, and its squared errors in the stretch, less what it
expects of them, are set against the distances. Where they are not significantly larger than
expected nothing is added: what is a line stays one, with its exact intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from halfsquare.data.encoder import Encoder
from halfsquare.data.features import Instant, Number
from halfsquare.data.rows import ArrayRows, Rows, spread_chunks
from halfsquare.loss import Floats, error
from halfsquare.models.linear import Linear
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.fitted import FittedModel
from halfsquare.results.predictive import predictive
from halfsquare.results.stretches import Stretches
from halfsquare.results.trained import Trained

StandIn = Callable[[FittedModel, ArrayRows], Sequence[Trained[Any]]]

_FEWEST_ROWS = 50
_EDGES_FROM, _TRAINED_ON, _CHUNKS = 4096, 1024, 8  # rows, rows, chunks
_COLUMNS = 6  # that are tried: those that matter most
_LEAST = 0.03  # standard deviations: a shorter stretch is what lies between any two values
_MOST = 64  # stretches of a column that are kept: the longest
_FEWEST_OUT, _FEWEST_KEPT = 10, 30
_MOST_ERROR = 2.0  # standard deviations of the target: more is a column that ran away
# A stretch is one draw, and the median of the square of a normal draw is this share of its mean.
_MEDIAN = 0.455
_BETTER = 2.33  # standard errors: by chance once in a hundred


def with_stretches(fitted: FittedModel, rows: Rows, stand_in: StandIn) -> FittedModel:
    """The model with what stretches left out of its rows say of its intervals where there are none.

    Rates that its record brings, from fewer of the same rows, stand; ``stand_in`` trains a small
    model of its family on some rows.
    """
    training, encoder = fitted.record.training, fitted.encoder
    noise = fitted.noise
    transformed = fitted.members[0].model.target_function != "identity"
    if (
        transformed
        or rows.row_count < _FEWEST_ROWS
        or not (np.isfinite(noise).all() and noise.any())
    ):
        return fitted
    numbers = _numbers(encoder)
    if not numbers:
        return fitted
    with one_blas_thread():
        some = _some(rows, _EDGES_FROM)
        rates = {one.column: np.array(one.rates) for one in training.stretches}
        if not rates and len(some.design) >= _FEWEST_ROWS:
            rates = _rates(fitted, _thinned(some, _TRAINED_ON), numbers, stand_in)
    found = tuple(_where(some, c, rate) for c, rate in rates.items() if rate.any())
    return fitted.with_training(stretches=found)


def _numbers(encoder: Encoder) -> dict[int, str]:
    """The design columns that are numbers themselves, each with the column it comes from."""
    found: dict[int, str] = {}
    for feature, (column, start, stop) in zip(encoder.features, encoder.groups, strict=True):
        if isinstance(feature, Number | Instant):
            last = stop - 1 if feature.indicator else stop
            found |= dict.fromkeys(range(start, last), column)
    return found


def _some(rows: Rows, most: int) -> ArrayRows:
    """So many rows of positive weight at most, from chunks that lie evenly over the table."""
    chosen = spread_chunks(rows.chunk_count, _CHUNKS)
    every = max(1, -(-sum(map(rows.chunk_size, chosen)) // most))
    designs, targets, weights = [], [], []
    for index in chosen:
        chunk = rows.chunk(index)
        w = np.ones(len(chunk.target)) if chunk.weight is None else chunk.weight
        at = np.flatnonzero(w > 0)[::every]
        designs.append(chunk.design[at])
        targets.append(chunk.target[at])
        weights.append(w[at])
    weight = np.concatenate(weights) if rows.weighted else None
    return ArrayRows(np.concatenate(designs), np.concatenate(targets), weight)


def _thinned(rows: ArrayRows, most: int) -> ArrayRows:
    every = max(1, -(-rows.row_count // most))
    return _part(rows, np.arange(0, rows.row_count, every))


def _part(rows: ArrayRows, at: Any) -> ArrayRows:
    weight = None if rows.weight is None else rows.weight[at]
    return ArrayRows(rows.design[at], rows.target[at], weight)


def _rates(
    fitted: FittedModel, rows: ArrayRows, numbers: dict[int, str], stand_in: StandIn
) -> dict[int, Floats]:
    """r_c (k,) of each number: of those that matter most by a stretch left out, of the others the
    least of these.
    """
    tried: dict[int, Floats] = {}
    for column in _by_relevance(fitted, numbers)[:_COLUMNS]:
        rate = _rate(fitted, rows, column, stand_in)
        if rate is not None:
            tried[column] = rate
    if not tried:
        return {}
    least = np.min([*tried.values()], axis=0)
    return {column: tried.get(column, least) for column in numbers}


def _by_relevance(fitted: FittedModel, numbers: dict[int, str]) -> list[int]:
    relevance = fitted.record.training.relevance
    if relevance is None:
        slopes = np.zeros(len(fitted.encoder.names))
        for member in fitted.members:
            if isinstance(member.model, Linear):
                slopes += np.abs(member.model.matrix(member.parameters)[1:]).sum(axis=1)
        worth = {column: float(slopes[column]) for column in numbers}
    else:
        worth = {column: relevance.get(name, 0.0) for column, name in numbers.items()}
    return sorted(numbers, key=lambda column: (-worth[column], column))


def _rate(fitted: FittedModel, rows: ArrayRows, column: int, stand_in: StandIn) -> Floats | None:
    """r_c (k,) from the middle third of a column; None where it has too few values."""
    values = rows.design[:, column]
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    out = (values > low) & (values <= high)
    if out.sum() < _FEWEST_OUT or (~out).sum() < _FEWEST_KEPT:
        return None
    kept = _part(rows, ~out)
    apart = _where(kept, column, np.zeros(1)).distance(values[out])
    if apart.mean() < _LEAST * values.std():
        return None
    members = stand_in(fitted, kept)
    if not members:
        return None
    output, variance = predictive(members, rows.design[out])
    expected = np.fmax(variance, fitted.noise)
    most = _MOST_ERROR * rows.target.std(axis=0)
    square = np.minimum(np.abs(error(rows.target[out], output)), most) ** 2
    # Of a constant target there is no noise to expect, and no error to set against it.
    ratio = np.divide(square, expected, out=np.zeros_like(square), where=expected > 0)
    doubt = ratio.std(axis=0) / np.sqrt(len(ratio))
    sure = ratio.mean(axis=0) - 1.0 > _BETTER * doubt
    rate = np.maximum(np.mean(square - expected, axis=0), 0.0) / (apart.mean() * _MEDIAN)
    return np.where(sure, rate, 0.0)


def _where(rows: ArrayRows, column: int, rates: Floats) -> Stretches:
    """The stretches of a column without values."""
    values = rows.design[:, column]
    distinct = np.unique(values)
    gaps = np.diff(distinct)
    at = np.flatnonzero(gaps > _LEAST * values.std())
    at = np.sort(at[np.argsort(-gaps[at], kind="stable")][:_MOST])
    return Stretches(
        column,
        float(distinct[0]),
        float(distinct[-1]),
        tuple(distinct[at].tolist()),
        tuple(distinct[at + 1].tolist()),
        tuple(rates.tolist()),
    )

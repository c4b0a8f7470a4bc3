"""Learns a calibration of the intervals from errors on rows left out; see
:mod:`halfsquare.results.intervals`.

For one least-squares fit the error without the row itself is exact without another fit,
e / (1 - h) with h the leverage; for a formula it is so to first order. The members of an ensemble
bring the errors of the rows they left out. Nothing is learnt from rows set apart for the test.

A noise that depends on the row is taken only where it predicts the size of errors it has not seen
better than one noise for all (five folds), and a test says that this is no chance; scores off
Student's shape only where a test of normality says so. What is homoscedastic and normal keeps its
exact t intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.data.rows import Rows
from halfsquare.data.splits import Units, folds_of
from halfsquare.fitting.normality import chance_of_normal
from halfsquare.loss import Floats, error
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.fitted import FittedModel
from halfsquare.results.intervals import OUTPUT, Calibration, Ramps
from halfsquare.results.smearing import Smearing

FEWEST_ROWS = 50
_FEWEST_SCORES = 100  # below, the quantiles near the ends would be those of two or three rows
MOST_ROWS, _MOST_CHUNKS = 8000, 8
_MOST_LEVERAGE = 0.99
_FOLDS, _COLUMNS, _STEPS = 5, 8, 8
_PRIORS = (0.1, 1.0)  # variances of a ramp's rise that are tried
_WORTH_A_LOOK, _SURE = 0.1, 0.005  # chances
# How many standard errors better on other folds: by chance once in a hundred; and where a test has
# settled the question.
_BETTER, _BETTER_IF_SURE = 2.33, 0.5
_MOST_SQUARE = 10.0  # of a score, while η is fitted: an outlier is no sign of noise
_NORMAL, _NORMAL_OTHERS = 1e-3, 1e-2
_SCORES = 400
_HARD_ENOUGH = 1e-20  # a smaller noise, in units of the target's variance, is rounding


@dataclass(frozen=True)
class LeftOut:
    """Errors o - t (m, k) on rows left out, with what the model says of them there.

    ``others`` (m, k) is the variance by parameters and spread, all in standardized units; ``unit``
    (m,) says which rows belong together.
    """

    design: Floats
    output: Floats
    error: Floats
    others: Floats
    weight: Floats
    unit: npt.NDArray[np.intp]


def calibrated(fitted: FittedModel, rows: Rows, left_out: Floats | None) -> FittedModel:
    """The model with a calibration of its intervals, where its errors on rows left out ask for one.

    Parameters
    ----------
    rows : Rows
        Those it was trained on.
    left_out : (2, n, k) or None
        Errors of two members that had not seen the row, NaN where there are none; None for one
        model by itself.
    """
    if fitted.members[0].model.target_function != "identity":
        return fitted
    if left_out is None and (len(fitted.members) > 1 or fitted.members[0].covariance is None):
        return fitted
    noise = fitted.noise
    if not np.isfinite(noise).all() or np.any(noise < _HARD_ENOUGH) or rows.row_count < FEWEST_ROWS:
        return fitted
    with one_blas_thread():
        found = _gathered(fitted, rows, left_out)
        if len(found.error) < FEWEST_ROWS:
            return fitted
        exact = left_out is None
        units = None if rows.units is None else Units(found.unit, rows.units.in_order)
        each = [_one(found, j, float(noise[j]), units, exact=exact) for j in range(len(noise))]
    if all(one is None for one in each):
        return fitted
    training = replace(fitted.record.training, calibration=tuple(each))
    return replace(fitted, record=replace(fitted.record, training=training))


def with_smearing(fitted: FittedModel, rows: Rows, left_out: Floats | None) -> FittedModel:
    """The model of a transformed target with the scores that its means are taken over: those of
    rows left out, where there are any.
    """
    known = left_out is not None or fitted.members[0].covariance is not None
    known &= bool(np.isfinite(fitted.noise).all() and np.all(fitted.noise >= _HARD_ENOUGH))
    smearing = Smearing.normal()
    if known:
        with one_blas_thread():
            found = _gathered(fitted, rows, left_out)
            s = fitted.noise_of(found.design, found.output)
        if len(found.error):
            smearing = Smearing.of(-(found.error / s)[:, 0], found.weight)
    training = replace(fitted.record.training, smearing=smearing)
    return replace(fitted, record=replace(fitted.record, training=training))


def _gathered(fitted: FittedModel, rows: Rows, left_out: Floats | None) -> LeftOut:
    """Of many rows some thousands, evenly from chunks that lie evenly over the table."""
    count = rows.chunk_count
    sizes = [rows.chunk_size(i) for i in range(count)]
    starts = np.cumsum([0, *sizes])
    chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_CHUNKS)).round().astype(np.intp))
    every = max(1, -(-sum(sizes[i] for i in chosen) // MOST_ROWS))
    parts = []
    units = rows.units
    for i in chosen.tolist():
        if sizes[i]:
            at = slice(starts[i], starts[i + 1], every)
            unit = None if units is None else units.of_row[at]
            own = None if left_out is None else left_out[:, starts[i] : starts[i + 1]][:, ::every]
            parts.append(_of_chunk(fitted, rows, i, every, own, unit))
    return LeftOut(
        *(np.concatenate([getattr(p, f) for p in parts]) for f in LeftOut.__dataclass_fields__)
    )


def _of_chunk(
    fitted: FittedModel,
    rows: Rows,
    index: int,
    every: int,
    left_out: Floats | None,
    unit: npt.NDArray[np.intp] | None,
) -> LeftOut:
    chunk = rows.chunk(index)
    design = chunk.design[::every].copy()
    target = fitted.members[0].model.transform_target(chunk.target[::every])
    weight = np.ones(len(target)) if chunk.weight is None else chunk.weight[::every]
    output, variance = fitted.predictive(design)
    others = np.maximum(variance - fitted.noise, 0.0)
    e: Floats
    if left_out is None:
        share = others / fitted.noise  # what the row is to its own output, had it weight 1
        leverage = weight[:, None] * share
        known = (leverage < _MOST_LEVERAGE).all(axis=1)
        keep = 1.0 - np.minimum(leverage, _MOST_LEVERAGE)
        e, others = error(target, output) / keep, others / keep
    else:
        e = _of_ensemble(left_out, len(fitted.members))
        known = ~np.isnan(e).any(axis=1)
    known &= weight > 0
    unit = np.zeros(len(e), dtype=np.intp) if unit is None else unit
    return LeftOut(
        design[known], output[known], e[known], others[known], weight[known], unit[known]
    )


def _of_ensemble(pairs: Floats, members: int) -> Floats:
    """Errors (m, k) of the mean of that many members, from those of two: shrunk to their size."""
    first, second = pairs
    mean = 0.5 * (first + second)
    between = 0.5 * np.nanmean((first - second) ** 2, axis=0)
    pair = np.nanmean(mean**2, axis=0)
    wanted = np.maximum(pair - 0.5 * between + between / members, 0.25 * pair)
    shrunk: Floats = mean * np.sqrt(wanted / np.where(pair > 0, pair, 1.0))
    return shrunk


def _one(
    found: LeftOut, j: int, noise: float, units: Units | None, *, exact: bool
) -> Calibration | None:
    """The calibration of one target; None where Student's t on one noise is not contradicted.

    ``exact``: the errors are those of a model whose intervals are exact if the noise is normal and
    the same everywhere.
    """
    rows = _Scored(found.design, found.output[:, j], found.error[:, j], found.others[:, j], noise)
    eta, scale = _scale(rows, units)
    scores = -rows.error / np.sqrt(noise * np.exp(eta) + rows.others)
    w = found.weight
    factor = float(np.sqrt(w @ scores**2 / w.sum()))
    plain = exact and not scale
    if not 0.0 < factor < np.inf:
        return None
    skewed = len(scores) >= _FEWEST_SCORES and (
        chance_of_normal(scores) < (_NORMAL if plain else _NORMAL_OTHERS)
    )
    if plain and not skewed:
        return None
    at, values = _quantiles(scores / factor, w) if skewed else (np.empty(0), np.empty(0))
    intercept, ramps = scale or (0.0, ())
    return Calibration(
        len(scores), factor, intercept, tuple(ramps), tuple(at.tolist()), tuple(values.tolist())
    )


def _quantiles(scores: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Where the scores stand among one more: probabilities i / (n + 1) and scores, thinned."""
    order = np.argsort(scores, kind="stable")
    w = weight[order]
    at = (np.cumsum(w) - 0.5 * w + 0.5) / (w.sum() + 1.0)
    values = scores[order]
    if len(values) <= _SCORES:
        return at, values
    # Evenly in normal quantiles: as close at the ends as in the middle.
    from scipy.special import ndtr, ndtri

    wanted = ndtr(np.linspace(ndtri(at[0]), ndtri(at[-1]), _SCORES))
    return wanted, np.interp(wanted, at, values)


@dataclass(frozen=True)
class _Scored:
    """Rows of one target while the scale is looked for."""

    design: Floats
    output: Floats
    error: Floats
    others: Floats
    noise: float

    def part(self, chosen: Any) -> _Scored:
        return _Scored(
            self.design[chosen],
            self.output[chosen],
            self.error[chosen],
            self.others[chosen],
            self.noise,
        )

    def values(self, column: int) -> Floats:
        return self.output if column == OUTPUT else self.design[:, column]


Scale = tuple[float, list[Ramps]]


def _scale(rows: _Scored, units: Units | None) -> tuple[Floats, Scale | None]:
    """η (m,) of each row from the other folds, and the scale of all rows; zeros and None where one
    noise for all does as well.
    """
    n = len(rows.error)
    chance = _chance(rows)
    if chance > _WORTH_A_LOOK:
        return np.zeros(n), None
    least = _BETTER if chance > _SURE else _BETTER_IF_SURE
    fold = folds_of(n, _FOLDS, np.random.default_rng(0), units)
    constant = _losses(rows, np.zeros(n))
    best: tuple[float, Floats, float] | None = None
    for prior in _PRIORS:
        eta = np.empty(n)
        for f in np.unique(fold).tolist():
            intercept, ramps = _fitted(rows.part(fold != f), prior)
            own = rows.part(fold == f)
            eta[fold == f] = intercept + sum(r(own.design, own.output) for r in ramps)
        gain = constant - _losses(rows, eta)
        z = float(gain.mean() / max(gain.std() / np.sqrt(n), 1e-300))
        if z > least and (best is None or gain.mean() > best[0]):
            best = float(gain.mean()), eta, prior
    if best is None:
        return np.zeros(n), None
    return best[1], _fitted(rows, best[2])


def _chance(rows: _Scored) -> float:
    """By what chance alone the size of the errors would go as well with some ramp of some column:
    a look that costs little. Bonferroni's bound.
    """
    from scipy.special import ndtr

    size = np.abs(rows.error) / np.sqrt(rows.noise + rows.others)
    size = (size - size.mean()) / max(float(size.std()), 1e-300)
    found, tests = 0.0, 0
    for column in (OUTPUT, *range(rows.design.shape[1])):
        values = rows.values(column)
        knots = _knots(values)
        if len(knots) > 1:
            ramps = _ramps(values, knots)
            ramps = ramps - ramps.mean(axis=0)
            norm = np.sqrt((ramps**2).sum(axis=0))
            found = max(found, float(np.max(np.abs(size @ ramps) / np.maximum(norm, 1e-9))))
            tests += ramps.shape[1]
    return min(1.0, 2.0 * tests * float(ndtr(-found))) if tests else 1.0


def _losses(rows: _Scored, eta: Floats) -> Floats:
    """-log likelihood of each error under Laplace's distribution, its width the best for all:
    an outlier counts by its size, not by its square.
    """
    s = np.sqrt(rows.noise * np.exp(eta) + rows.others)
    s = s * np.mean(np.abs(rows.error) / s)
    losses: Floats = np.log(s) + np.abs(rows.error) / s
    return losses


def _fitted(rows: _Scored, prior: float) -> Scale:
    """The scale of greatest penalized likelihood of normal errors, by Fisher scoring."""
    columns = _chosen(rows)
    knots = {c: _knots(rows.values(c)) for c in columns}
    basis = np.column_stack(
        [np.ones(len(rows.error)), *(_ramps(rows.values(c), knots[c]) for c in columns)]
    )
    penalty = np.full(basis.shape[1], 1.0 / prior)
    penalty[0] = 1e-6
    gamma, square = np.zeros(basis.shape[1]), rows.error**2
    for _ in range(_STEPS):
        own = rows.noise * np.exp(np.clip(basis @ gamma, -30.0, 30.0))
        mu = own + rows.others
        share = own / mu
        pull = np.minimum(square / mu, _MOST_SQUARE) - 1.0
        gradient = 0.5 * basis.T @ (share * pull) - penalty * gamma
        information = 0.5 * (basis * share[:, None] ** 2).T @ basis + np.diag(penalty)
        step = np.linalg.solve(information, gradient)
        gamma = gamma + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
    found, start = [], 1
    for column in columns:
        stop = start + len(knots[column]) - 1
        found.append(
            Ramps(column, tuple(knots[column].tolist()), tuple(gamma[start:stop].tolist()))
        )
        start = stop
    return float(gamma[0]), found


def _chosen(rows: _Scored) -> list[int]:
    """The output, and the columns that go most with the size of the errors, or whose distance from
    the middle does.
    """
    size = np.log(rows.error**2 + 1e-6 * np.mean(rows.error**2))
    size = size - size.mean()
    found = []
    for column in range(rows.design.shape[1]):
        values = rows.design[:, column]
        spread = np.column_stack([values, np.abs(values - np.median(values))])
        spread = spread - spread.mean(axis=0)
        norm = np.sqrt((spread**2).sum(axis=0))
        found.append(float(np.max(np.abs(size @ spread) / np.where(norm > 1e-9, norm, np.inf))))
    order = sorted(range(len(found)), key=lambda c: (-found[c], c))[: _COLUMNS - 1]
    columns = [OUTPUT, *sorted(c for c in order if found[c] > 0)]
    return [c for c in columns if len(_knots(rows.values(c))) > 1]


def _knots(values: Floats) -> Floats:
    """At quantiles: the more rows, the more of them; of two values, these."""
    n = len(values)
    inside = 1 if n < 200 else 2 if n < 1000 else 4
    at = np.linspace(0.02, 0.98, inside + 2)
    knots = np.unique(np.quantile(values, at))
    if len(knots) < 2:
        knots = np.unique([values.min(), values.max()])
    return knots


def _ramps(values: Floats, knots: Floats) -> Floats:
    """Each ramp (n, r) rises from 0 to 1 between its two knots."""
    rising: Floats = np.clip((values[:, None] - knots[:-1]) / np.diff(knots), 0.0, 1.0)
    return rising

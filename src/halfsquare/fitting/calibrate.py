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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from halfsquare.data.rows import Rows, spread_chunks
from halfsquare.data.splits import Units
from halfsquare.fitting.by_level import levels_asked, told_by_level, within_levels
from halfsquare.fitting.noise_scale import Scored, scale_of
from halfsquare.fitting.normality import chance_of_normal
from halfsquare.loss import Floats, error
from halfsquare.parallel.threads import one_blas_thread
from halfsquare.results.fitted import FittedModel
from halfsquare.results.intervals import ByLevel, Calibration, quantiles_of_scores
from halfsquare.results.smearing import Smearing
from halfsquare.sums import MeanSums

FEWEST_ROWS = 50
_FEWEST_SCORES = 100  # below, the quantiles near the ends would be those of two or three rows
MOST_ROWS, _MOST_CHUNKS = 8000, 8
_MOST_LEVERAGE = 0.99
_NORMAL, _NORMAL_OTHERS = 1e-3, 1e-2
_HARD_ENOUGH = 1e-20  # a smaller noise, in units of the target's variance, is rounding


@dataclass(frozen=True)
class LeftOut:
    """Errors o - t (m, k) on rows left out, with what the model says of them there.

    ``others`` (m, k) is the variance by parameters and spread, all in standardized units; ``unit``
    (m,) says which rows belong together. A row of weight w stands w times.
    """

    design: Floats
    output: Floats
    error: Floats
    others: Floats
    unit: npt.NDArray[np.intp]


def calibrated(
    fitted: FittedModel, rows: Rows, left_out: Floats | None, by: str | None = None
) -> FittedModel:
    """The model with a calibration of its intervals, where its errors on rows left out ask for one.

    Parameters
    ----------
    rows : Rows
        Those it was trained on.
    left_out : (2, n, k) or None
        Errors of two members that had not seen the row, NaN where there are none; None for one
        model by itself.
    by : str, optional
        A category: calibrated within each of its levels, where that has rows enough.

    Raises
    ------
    OptionError
        If nothing can be calibrated by that column.
    """
    asked = None if by is None else levels_asked(fitted.encoder, by)
    if fitted.members[0].model.target_function != "identity":
        return fitted
    if left_out is None and (len(fitted.members) > 1 or fitted.members[0].covariance is None):
        return fitted
    noise = fitted.noise
    few = rows.row_count < FEWEST_ROWS and not rows.weighted
    if not np.isfinite(noise).all() or np.any(noise < _HARD_ENOUGH) or few:
        return fitted
    with one_blas_thread():
        found = _gathered(fitted, rows, left_out)
        if len(found.error) < FEWEST_ROWS:
            return fitted
        exact = left_out is None
        units = None
        if rows.units is not None or rows.weighted:  # a row that is drawn twice is one
            units = Units(found.unit, rows.units is not None and rows.units.in_order)
        each = [
            _one(found, j, float(noise[j]), units, asked, exact=exact) for j in range(len(noise))
        ]
    if all(one is None for one in each):
        return fitted
    said = fitted.record.training.warnings
    if each[0] is not None and each[0].by is not None:
        said = (*said, told_by_level(each[0].by))
    return fitted.with_training(calibration=tuple(each), warnings=said)


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
            smearing = Smearing.of(-(found.error / s)[:, 0], np.ones(len(s)))
    return fitted.with_training(smearing=smearing)


def _gathered(fitted: FittedModel, rows: Rows, left_out: Floats | None) -> LeftOut:
    """Of many rows some thousands, evenly from chunks that lie evenly over the table."""
    count = rows.chunk_count
    sizes = [rows.chunk_size(i) for i in range(count)]
    starts = np.cumsum([0, *sizes])
    chosen = spread_chunks(count, _MOST_CHUNKS)
    weights = [rows.chunk(i).weight if rows.weighted else None for i in chosen]
    drawn = _drawn(weights, [sizes[i] for i in chosen])
    parts = []
    units = rows.units
    for i, at in zip(chosen, drawn, strict=True):
        if len(at):
            place = np.asarray(starts[i] + at, dtype=np.intp)
            unit = place if units is None else units.of_row[place]
            own = None if left_out is None else left_out[:, place]
            parts.append(_of_chunk(fitted, rows, i, at, own, unit))
    if not parts:
        none, nowhere = np.empty((0, len(fitted.noise))), np.empty(0, dtype=np.intp)
        return LeftOut(np.empty((0, len(fitted.encoder.names))), none, none, none, nowhere)
    return LeftOut(
        *(np.concatenate([getattr(p, f) for p in parts]) for f in LeftOut.__dataclass_fields__)
    )


def _drawn(weights: Sequence[Floats | None], sizes: Sequence[int]) -> list[npt.NDArray[np.intp]]:
    """Which rows of each chunk are looked at: by steps of equal weight, so that a row is drawn as
    often as it stands in the table, or of very many as its share; at most ``MOST_ROWS`` of all.
    """
    if any(w is None for w in weights):
        every = max(1, -(-sum(sizes) // MOST_ROWS))
        return [np.arange(0, size, every) for size in sizes]
    w = np.concatenate([w for w in weights if w is not None])
    sums = MeanSums.of(w, w)
    below = np.cumsum(w)
    step = below[-1] / max(min(int(sums.effective_rows + 0.5), MOST_ROWS), 1)
    at = np.searchsorted(below, (np.arange(round(below[-1] / step)) + 0.5) * step)
    ends = np.searchsorted(at, np.cumsum([0, *sizes]))
    firsts = np.cumsum([0, *sizes])
    return [at[ends[i] : ends[i + 1]] - firsts[i] for i in range(len(sizes))]


def _of_chunk(
    fitted: FittedModel,
    rows: Rows,
    index: int,
    at: npt.NDArray[np.intp],
    left_out: Floats | None,
    unit: npt.NDArray[np.intp],
) -> LeftOut:
    chunk = rows.chunk(index)
    design = chunk.design[at]
    target = fitted.members[0].model.transform_target(chunk.target[at])
    output, variance = fitted.predictive(design)
    others = np.maximum(variance - fitted.noise, 0.0)
    e: Floats
    if left_out is None:
        leverage = others / fitted.noise  # what one of the rows that it stands for is to its output
        known = (leverage < _MOST_LEVERAGE).all(axis=1)
        keep = 1.0 - np.minimum(leverage, _MOST_LEVERAGE)
        e, others = error(target, output) / keep, others / keep
    else:
        e = _of_ensemble(left_out, len(fitted.members))
        known = ~np.isnan(e).any(axis=1)
    return LeftOut(design[known], output[known], e[known], others[known], unit[known])


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
    found: LeftOut,
    j: int,
    noise: float,
    units: Units | None,
    asked: ByLevel | None,
    *,
    exact: bool,
) -> Calibration | None:
    """The calibration of one target; None where Student's t on one noise is not contradicted and
    no levels are asked for.

    ``exact``: the errors are those of a model whose intervals are exact if the noise is normal and
    the same everywhere.
    """
    rows = Scored(found.design, found.output[:, j], found.error[:, j], found.others[:, j], noise)
    eta, scale = scale_of(rows, units)
    scores = -rows.error / np.sqrt(noise * np.exp(eta) + rows.others)
    factor = float(np.sqrt(np.mean(scores**2)))
    plain = exact and not scale
    if not 0.0 < factor < np.inf:
        return None
    skewed = len(scores) >= _FEWEST_SCORES and (
        chance_of_normal(scores) < (_NORMAL if plain else _NORMAL_OTHERS)
    )
    by = None if asked is None else within_levels(asked, found.design, scores)
    if plain and not skewed:
        if by is None:
            return None
        factor = 1.0  # all rows keep their exact intervals
    at, values = quantiles_of_scores(scores / factor) if skewed else (np.empty(0), np.empty(0))
    intercept, ramps = scale or (0.0, ())
    return Calibration(
        len(scores), factor, intercept, tuple(ramps), tuple(at.tolist()), tuple(values.tolist()), by
    )

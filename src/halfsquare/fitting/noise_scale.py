"""Learns how the noise goes with the output and the columns, from errors on rows left out.

A noise that depends on the row is taken only where it predicts the size of errors it has not seen
better than one noise for all (five folds), and a test says that this is no chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.data.splits import Units, folds_of
from halfsquare.loss import Floats
from halfsquare.results.intervals import OUTPUT, Ramps

_FOLDS, _COLUMNS, _STEPS = 5, 8, 8


_PRIORS = (0.1, 1.0)  # variances of a ramp's rise that are tried


_WORTH_A_LOOK, _SURE = 0.1, 0.005  # chances


# How many standard errors better on other folds: by chance once in a hundred; and where a test has
# settled the question.
_BETTER, _BETTER_IF_SURE = 2.33, 0.5


_MOST_SQUARE = 10.0  # of a score, while η is fitted: an outlier is no sign of noise


@dataclass(frozen=True)
class Scored:
    """Rows of one target while the scale is looked for."""

    design: Floats
    output: Floats
    error: Floats
    others: Floats
    noise: float

    def part(self, chosen: Any) -> Scored:
        return Scored(
            self.design[chosen],
            self.output[chosen],
            self.error[chosen],
            self.others[chosen],
            self.noise,
        )

    def values(self, column: int) -> Floats:
        return self.output if column == OUTPUT else self.design[:, column]


Scale = tuple[float, list[Ramps]]


def scale_of(rows: Scored, units: Units | None) -> tuple[Floats, Scale | None]:
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


def _chance(rows: Scored) -> float:
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


def _losses(rows: Scored, eta: Floats) -> Floats:
    """-log likelihood of each error under Laplace's distribution, its width the best for all:
    an outlier counts by its size, not by its square.
    """
    s = np.sqrt(rows.noise * np.exp(eta) + rows.others)
    s = s * np.mean(np.abs(rows.error) / s)
    losses: Floats = np.log(s) + np.abs(rows.error) / s
    return losses


def _fitted(rows: Scored, prior: float) -> Scale:
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


def _chosen(rows: Scored) -> list[int]:
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

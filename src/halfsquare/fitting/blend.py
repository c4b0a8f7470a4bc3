"""The blend: parts of different kinds, combined by least squares on rows that none of them saw.

Every part comes with two errors e₁, e₂ for each row judged, of members that had not seen it
(:mod:`halfsquare.fitting.folds`). With ē their mean, V = ½ (e₁ - e₂)² and M members, the squared
error of the combination with weights w is, in the mean over the randomness of the members,

    (Σ w ē)² - Σ w² V (½ - 1/M)

and its mean over the rows is wᵀ C w. The weights are ≥ 0, sum to 1 and make it least
(:mod:`halfsquare.solvers.combination`). A part whose weight is less than about two of its standard
errors is dropped, and the simplest part alone stands unless the combination is better than it by as
much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from halfsquare.data.rows import Rows
from halfsquare.fitting.judged import Judged, Part
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution
from halfsquare.results.predictive import outputs_and_variance
from halfsquare.results.record import Candidate
from halfsquare.results.trained import Trained
from halfsquare.solvers.combination import combination_weights

# What chance alone passes once in forty times.
_Z = 1.96


@dataclass(frozen=True)
class Blend:
    """The parts with their weights.

    Attributes
    ----------
    parts : list of Part
        All that were tried, the simplest first.
    weights : (q,)
    mse, mse_se : float
        Of the blend, on rows left out, in the squared unit of the design's target.
    by_output : (k,)
        The MSE of each output.
    each : list of (float, float)
        MSE of each part alone, with its standard error.
    judged : Judged or None
        The rows left out.
    """

    parts: list[Part]
    weights: Floats
    mse: float
    mse_se: float
    by_output: Floats
    each: list[tuple[float, float]]
    judged: Judged | None = None

    @property
    def used(self) -> list[tuple[Part, float]]:
        """The parts in use, with their weights."""
        return [(p, float(w)) for p, w in zip(self.parts, self.weights, strict=True) if w > 0]


def blended(
    parts: Sequence[Part],
    weight: Floats | None,
    *,
    simplest: bool = False,
    weights: Sequence[float] | None = None,
) -> Blend:
    """The blend of parts whose row weights are ``weight`` (n,).

    ``simplest``: where the first part is not in use, it stands alone unless the others are
    significantly better. ``weights`` that are given are kept. Where no row was left out by all
    parts, shares are equal.
    """
    parts = list(parts)
    judged = Judged.of(parts, weight)
    q, alone = len(parts), np.eye(len(parts))
    if judged is None:
        found = alone[0] if simplest else np.full(q, 1.0 / q)
        found = found if weights is None else np.asarray(weights)
        each = [(np.nan, np.nan)] * q
        return Blend(parts, found, np.nan, np.nan, np.full(parts[0].errors.shape[2], np.nan), each)
    found = _sure_weights(judged) if weights is None else np.asarray(weights)
    if weights is None and simplest and not found[0] > 0.0:
        gain, doubt = judged.mean(judged.losses(alone[0]) - judged.losses(found))
        found = found if gain > _Z * doubt else alone[0]
    mse, mse_se = judged.mean(judged.losses(found))
    by_output = judged.weight @ judged.squares(found)
    each = [judged.mean(judged.losses(one)) for one in alone]
    return Blend(parts, found, mse, mse_se, by_output, each, judged)


def _sure_weights(judged: Judged) -> Floats:
    """The best weights, without parts whose weight is not worth its standard error."""
    products = judged.products
    kept = np.arange(len(products))
    while True:
        weights = np.zeros(len(products))
        weights[kept] = combination_weights(products[np.ix_(kept, kept)])
        sure = judged.certainty(weights)
        used = np.flatnonzero(weights > 0)
        least = used[int(np.argmin(sure[used]))]
        if len(used) == 1 or sure[least] >= _Z:
            return weights
        kept = used[used != least]


def members_of(blend: Blend, some: Sample) -> list[Trained[Any]]:
    """The members of the parts in use, those of the heaviest part first, with shares and noise.

    The predictive variance is noise + parameters + spread of the members. Its mean is to be the MSE
    on rows left out, so the noise is what that has beyond the other two on rows like ``some``.
    """
    # The linear part last: what is told of the first member is told of the kind of the whole.
    used = sorted(blend.used, key=lambda pair: (pair[0].name == "linear", -pair[1]))
    members = [
        replace(one, share=w / len(p.members), left_out=p.errors)
        for p, w in used
        for one in p.members
    ]
    alone = len(used) == 1 and not any(np.isnan(m.noise).any() for m in members)
    if len(members) == 1 and alone:
        return [replace(members[0], left_out=None)]
    if alone or not np.isfinite(blend.mse):
        return members
    shares = np.array([m.share for m in members])
    found = [
        outputs_and_variance(m.model, m.parameters, m.covariance, some.design) for m in members
    ]
    outputs = np.array([o for o, _ in found])
    mean = np.einsum("s,smk->mk", shares, outputs)
    spread = np.einsum("s,m,smk->k", shares, some.share, (outputs - mean) ** 2, optimize=True)
    variances = np.array([v for _, v in found])
    parameters = np.einsum("s,m,smk->k", shares, some.share, variances, optimize=True)
    noise = np.maximum(blend.by_output - spread - parameters, 0.5 * blend.by_output)
    return [replace(m, noise=noise) for m in members]


def table(blend: Blend, unit: float) -> tuple[Candidate, ...]:
    """What was tried; MSE in the squared unit of the target."""
    return tuple(
        Candidate(
            part.name,
            mse * unit if np.isfinite(mse) else None,
            se * unit if np.isfinite(se) else None,
            weight=float(weight),
        )
        for part, weight, (mse, se) in zip(blend.parts, blend.weights, blend.each, strict=True)
    )


def weights_of(rows: Rows, execution: Execution) -> Floats | None:
    """The weights (n,) of all rows, in the order of the chunks; None if each counts as one."""
    if not rows.weighted:
        return None
    chunks = execution.map(lambda index: rows.chunk(index).weight, rows.chunk_count)
    return np.concatenate([np.empty(0), *(w for w in chunks if w is not None)])


@dataclass(frozen=True)
class Sample:
    """Some rows: their design (m, d), and their weights (m,) over their sum."""

    design: Floats
    share: Floats


def some_design(rows: Rows, most: int = 2048) -> Sample:
    """Some rows of positive weight, evenly spaced in the first chunk that has any."""
    for index in range(rows.chunk_count):
        if not rows.chunk_size(index):
            continue
        chunk = rows.chunk(index)
        w = np.ones(len(chunk.target)) if chunk.weight is None else chunk.weight
        at = np.flatnonzero(w > 0)
        at = at[:: -(-max(len(at), 1) // most)]
        if len(at):
            return Sample(chunk.design[at], w[at] / w[at].sum())
    return Sample(rows.chunk(0).design[:0], np.empty(0))

"""Covariances of linear coefficients that survive unequal variances, clusters and autocorrelation.

V = c (AᵀWA)⁻¹ M (AᵀWA)⁻¹, with the bread from the fit, the meat M from merged sums of scores, and a
small-sample correction c that is named:

    hc0          M = Σ w e² a aᵀ                                    c = 1
    hc1          the same                                           c = n/(n-p)
    hc2, hc3     e² over (1-h), (1-h)², h the leverage              c = 1
    cluster      M = Σ_g s_g s_gᵀ, s_g = Σ w e a over the cluster   c = G/(G-1) (n-1)/(n-p)
    two clusters M_1 + M_2 - M_12                                   the same, G the smaller number
    newey-west   Bartlett weights on L lags                         c = 1

(White 1980; MacKinnon & White 1985; Liang & Zeger 1986; Cameron, Gelbach & Miller 2011; Newey &
West 1987.) n is Σw: a row of weight w stands w times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from halfsquare.errors import FitError, OptionError
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution
from halfsquare.results.inference.errors import ErrorsOption
from halfsquare.results.inference.scores import (
    GroupSums,
    LaggedSums,
    ScoredRows,
    joint_key,
    leverages,
    outer_sum,
)

#: A leverage nearer to 1 than this: the row is fitted exactly, whatever its target.
_WHOLE = 1e-10


@dataclass(frozen=True)
class Bread:
    """What a fit brings along.

    Attributes
    ----------
    inverse : (p, p)
        (AᵀWA)⁻¹.
    weight : float
        n = Σw.
    rank : int
        p, as the degrees of freedom count it: absorbed effects included.
    sse : float
    rank_in_clusters : float or None
        p as clustered errors count it, where absorbed effects are nested in the clusters.
    """

    inverse: Floats
    weight: float
    rank: float
    sse: float
    rank_in_clusters: float | None = None


@dataclass(frozen=True)
class Covariance:
    """A covariance of coefficients, and what it rests on.

    Attributes
    ----------
    matrix : (p, p)
    kind : str
    correction : str
        The small-sample factor, in words.
    freedom : float
        Degrees of freedom of Student's t.
    facts : dict
        Numbers of clusters, lags; JSON values.
    """

    matrix: Floats
    kind: str
    correction: str
    freedom: float
    facts: dict[str, Any]


def covariance(
    option: ErrorsOption,
    bread: Bread,
    rows: Callable[[int], ScoredRows],
    count: int,
    execution: Execution,
) -> Covariance:
    """The covariance that the option asks for, from one pass over the chunks.

    Parameters
    ----------
    rows : callable
        Chunk 0 … count-1 at the fitted parameters; for newey-west in the order of time.

    Raises
    ------
    FitError
        If there is no degree of freedom, or one cluster alone.
    """
    n, p = bread.weight, bread.rank
    if n - p <= 1e-9:
        raise FitError(
            f"{n:g} rows leave no degrees of freedom for {p:g} coefficients: no errors can be "
            f"stated"
        )
    if option.kind == "classical":
        return Covariance(bread.sse / (n - p) * bread.inverse, "classical", "n - p", n - p, {})
    if option.kind == "cluster":
        return _clustered(option, bread, rows, count, execution)
    if option.kind == "newey-west":
        return _newey_west(option, bread, rows, count, execution)
    return _heteroscedastic(option.kind, bread, rows, count, execution)


def _heteroscedastic(
    kind: str, bread: Bread, rows: Callable[[int], ScoredRows], count: int, execution: Execution
) -> Covariance:
    n, p = bread.weight, bread.rank

    def of(index: int) -> tuple[Floats, float]:
        part = rows(index)
        if kind in ("hc0", "hc1"):
            return outer_sum(part), 0.0
        free = 1.0 - leverages(part, bread.inverse)
        whole = free < _WHOLE
        # A row that is fitted exactly has no error to speak of: its share is 0/0, and 0 is taken.
        free = np.where(whole, 1.0, free)
        factor = 1.0 / free if kind == "hc2" else 1.0 / (free * free)
        return outer_sum(part, np.where(whole, 0.0, factor)), float(whole.sum())

    meat, exact = _sum(of, count, execution, len(bread.inverse))
    correction = {"hc0": "none", "hc1": "n/(n - p)", "hc2": "1/(1 - h)", "hc3": "1/(1 - h)²"}[kind]
    scale = n / (n - p) if kind == "hc1" else 1.0
    facts = {"rows_fitted_exactly": int(exact)} if exact else {}
    return Covariance(scale * _sandwich(bread.inverse, meat), kind, correction, n - p, facts)


def _sum(
    of: Callable[[int], tuple[Floats, float]], count: int, execution: Execution, p: int
) -> tuple[Floats, float]:
    zero: tuple[Floats, float] = (np.zeros((p, p)), 0.0)
    return execution.reduce(of, lambda a, b: (a[0] + b[0], a[1] + b[1]), count, zero)


def _sandwich(inverse: Floats, meat: Floats) -> Floats:
    whole = inverse @ meat @ inverse
    return 0.5 * (whole + whole.T)


def _clustered(
    option: ErrorsOption,
    bread: Bread,
    rows: Callable[[int], ScoredRows],
    count: int,
    execution: Execution,
) -> Covariance:
    n, p = bread.weight, bread.rank
    p = p if bread.rank_in_clusters is None else bread.rank_in_clusters
    two = len(option.columns) == 2
    second = _largest_key(rows, count, execution) + 1 if two else 1

    def of(index: int) -> tuple[GroupSums, ...]:
        part = rows(index)
        scores = part.times_weight(part.scores)
        keys = list(part.clusters)
        if two:
            keys.append(joint_key(keys[0], keys[1], second))
        return tuple(GroupSums.of(k, scores) for k in keys)

    def merge(a: tuple[GroupSums, ...], b: tuple[GroupSums, ...]) -> tuple[GroupSums, ...]:
        return tuple(x.merge(y) for x, y in zip(a, b, strict=True))

    none = GroupSums(np.empty(0, dtype=np.int64), np.empty((0, len(bread.inverse))))
    zero = (none,) * (3 if two else 1)
    sums = execution.reduce(of, merge, count, zero)
    groups = [len(s.keys) for s in sums]
    for column, number in zip(option.columns, groups, strict=False):
        if number < 2:
            raise FitError(
                f"all rows are in one cluster of {column!r}: no errors can be stated from it"
            )
    fewest = min(groups[: len(option.columns)])
    meat = sums[0].outer() if not two else sums[0].outer() + sums[1].outer() - sums[2].outer()
    correction = fewest / (fewest - 1.0) * (n - 1.0) / (n - p)
    matrix = correction * _sandwich(bread.inverse, meat)
    facts: dict[str, Any] = {"clusters": dict(zip(option.columns, groups, strict=False))}
    if two:
        facts["clusters_of_both"] = groups[2]
        matrix, changed = _positive(matrix, bread.inverse)
        facts |= {"negative_variances_set_to_zero": True} if changed else {}
    named = "G/(G - 1) · (n - 1)/(n - p)" + (", G the smaller number of clusters" if two else "")
    return Covariance(matrix, "cluster", named, fewest - 1.0, facts)


def _largest_key(rows: Callable[[int], ScoredRows], count: int, execution: Execution) -> int:
    def of(index: int) -> int:
        keys = rows(index).clusters[1]
        return int(keys.max()) if len(keys) else 0

    return execution.reduce(of, max, count, 0)


def _positive(matrix: Floats, inverse: Floats) -> tuple[Floats, bool]:
    """Negative eigenvalues set to 0 (Cameron, Gelbach & Miller 2011, section 2.3).

    They are those of the covariance V relative to (AᵀWA)⁻¹ = LLᵀ, of L⁻¹VL⁻ᵀ: on columns that are
    orthonormal over the rows. So neither units nor the coding of levels change what is stated.
    """
    scale = np.sqrt(np.maximum(np.diag(inverse), 0.0))
    unit = np.where(scale > 0, scale, 1.0)
    sizes, axes = np.linalg.eigh(inverse / np.outer(unit, unit))
    kept = sizes > 1e-13 * sizes.max()
    root = np.sqrt(sizes[kept])
    to = unit[:, None] * axes[:, kept] * root
    back = axes[:, kept] / root / unit[:, None]
    values, vectors = np.linalg.eigh(back.T @ matrix @ back)
    if values.min() >= -1e-12 * np.abs(values).max():
        return matrix, False
    half = to @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    return half @ half.T, True


def _newey_west(
    option: ErrorsOption,
    bread: Bread,
    rows: Callable[[int], ScoredRows],
    count: int,
    execution: Execution,
) -> Covariance:
    def of(index: int) -> LaggedSums:
        part = rows(index)
        if part.weight is not None:
            raise OptionError(
                "newey-west counts rows in time, and weights say how often a row stands: give one"
            )
        return LaggedSums.of(part.scores, option.lags)

    zero = LaggedSums.zero(option.lags, len(bread.inverse))
    sums = execution.reduce(of, LaggedSums.merge, count, zero)
    if option.lags >= sums.rows:
        raise FitError(f"{option.lags} lags are too many for {sums.rows} rows")
    matrix = _sandwich(bread.inverse, sums.bartlett())
    return Covariance(
        matrix, "newey-west", "none", bread.weight - bread.rank, {"lags": option.lags}
    )

"""Effects of categories of many levels, taken out of columns without a column for each level.

With D the indicators of all levels of all absorbed categories, what is left of a column v is
v - Dα, (DᵀWD) α = DᵀWv (Frisch & Waugh 1933; Guimarães & Portugal 2010). DᵀWD holds the counts of
the levels and of the pairs of levels that meet, so that rows are passed over for sums alone: one
pass for DᵀWV of all columns at once, conjugate gradients on the sparse matrix in memory, and one
more pass that takes off what rounding left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from halfsquare.errors import FitError
from halfsquare.loss import Floats
from halfsquare.parallel.base import Execution

Codes = npt.NDArray[np.int64]
_ITERATIONS = 20_000
_TOLERANCE = 1e-15
_ENOUGH = 1e-9


@dataclass(frozen=True)
class GroupedRows:
    """Some rows with the level of each in every absorbed category.

    Attributes
    ----------
    values : (m, q)
        Columns that effects are taken out of.
    weight : (m,) or None
    codes : tuple of (m,)
        For each category, from 0 to its number of levels - 1.
    """

    values: Floats
    weight: Floats | None
    codes: tuple[Codes, ...]

    def weights(self) -> Floats:
        """Of each row, ones if there are none."""
        return np.ones(len(self.values)) if self.weight is None else self.weight


Chunks = Callable[[int], GroupedRows]


def level_weights(
    chunk: Chunks, count: int, sizes: Sequence[int], execution: Execution
) -> list[Floats]:
    """Σw of each level of each category."""

    def of(index: int) -> Floats:
        rows = chunk(index)
        w = rows.weights()
        return np.concatenate(
            [np.bincount(c, weights=w, minlength=s) for c, s in zip(rows.codes, sizes, strict=True)]
        )

    zero: Floats = np.zeros(sum(sizes))
    total = execution.reduce(of, np.add, count, zero)
    return np.split(total, np.cumsum(sizes)[:-1])


def singleton_rounds(
    chunk: Chunks, count: int, sizes: Sequence[int], execution: Execution
) -> list[npt.NDArray[np.int64]]:
    """For each level the round in which it had one row left, 0 if it never had.

    Its row is then taken away, and others may be left with one (Correia 2015, "Singletons,
    cluster-robust standard errors and fixed effects").
    """
    rounds = [np.zeros(s, dtype=np.int64) for s in sizes]
    turn = 0
    while True:
        turn += 1

        def kept(index: int, rounds: list[Codes] = rounds) -> GroupedRows:
            rows = chunk(index)
            keep = row_rounds(rows.codes, rounds) == 0
            weight = None if rows.weight is None else rows.weight[keep]
            return GroupedRows(rows.values[keep], weight, tuple(c[keep] for c in rows.codes))

        weights = level_weights(kept, count, sizes, execution)
        alone = [(w > 0) & (w <= 1.0) & (r == 0) for w, r in zip(weights, rounds, strict=True)]
        if not any(a.any() for a in alone):
            return rounds
        rounds = [np.where(a, turn, r) for a, r in zip(alone, rounds, strict=True)]


def row_rounds(codes: Sequence[Codes], rounds: Sequence[npt.NDArray[np.int64]]) -> Codes:
    """For each row the first round in which one of its levels was alone; 0 for none."""
    most = np.iinfo(np.int64).max
    each = [np.where(r[c] == 0, most, r[c]) for c, r in zip(codes, rounds, strict=True)]
    first = np.minimum.reduce(each)
    return np.where(first == most, 0, first)


def group_sums(chunk: Chunks, count: int, sizes: Sequence[int], execution: Execution) -> Floats:
    """DᵀWV, the levels of all categories one below the other, (Σ sizes, q)."""

    def of(index: int) -> Floats:
        rows = chunk(index)
        weighted = rows.values * rows.weights()[:, None]
        parts = []
        for codes, size in zip(rows.codes, sizes, strict=True):
            part = np.empty((size, weighted.shape[1]))
            for j, column in enumerate(weighted.T):
                part[:, j] = np.bincount(codes, weights=column, minlength=size)
            parts.append(part)
        return np.vstack(parts)

    q = chunk(0).values.shape[1]
    zero: Floats = np.zeros((sum(sizes), q))
    return execution.reduce(of, np.add, count, zero)


def indicator_products(
    chunk: Chunks, count: int, sizes: Sequence[int], execution: Execution
) -> Any:
    """DᵀWD as a sparse matrix, from the weights of the levels and of the pairs that meet."""
    from scipy.sparse import bmat, coo_matrix, diags

    pairs = list(combinations(range(len(sizes)), 2))

    def of(index: int) -> list[tuple[Codes, Floats]]:
        rows = chunk(index)
        w = rows.weights()
        found: list[tuple[Codes, Floats]] = []
        for a, b in pairs:
            keys, at = np.unique(rows.codes[a] * sizes[b] + rows.codes[b], return_inverse=True)
            summed: Floats = np.bincount(at, weights=w, minlength=len(keys)).astype(np.float64)
            found.append((np.asarray(keys, dtype=np.int64), summed))
        return found

    def merge(
        a: list[tuple[Codes, Floats]], b: list[tuple[Codes, Floats]]
    ) -> list[tuple[Codes, Floats]]:
        return [_added(x, y) for x, y in zip(a, b, strict=True)]

    none: tuple[Codes, Floats] = (np.empty(0, dtype=np.int64), np.empty(0))
    tables = execution.reduce(of, merge, count, [none] * len(pairs))
    blocks: list[list[Any]] = [[None] * len(sizes) for _ in sizes]
    for k, weights in enumerate(level_weights(chunk, count, sizes, execution)):
        blocks[k][k] = diags(weights)
    for (a, b), (keys, values) in zip(pairs, tables, strict=True):
        block = coo_matrix((values, (keys // sizes[b], keys % sizes[b])), (sizes[a], sizes[b]))
        blocks[a][b], blocks[b][a] = block, block.T
    return bmat(blocks, format="csr")


def _added(a: tuple[Codes, Floats], b: tuple[Codes, Floats]) -> tuple[Codes, Floats]:
    keys = np.union1d(a[0], b[0])
    values = np.zeros(len(keys))
    values[np.searchsorted(keys, a[0])] += a[1]
    values[np.searchsorted(keys, b[0])] += b[1]
    return keys, values


def solve_effects(products: Any, right: Floats, scale: Floats | None = None) -> Floats:
    """α (levels, q) with DᵀWD α = DᵀWV, by conjugate gradients preconditioned by the diagonal.

    The matrix is singular (each category sums to a constant) and the right side consistent: the
    gradients stay in its range, and so does α. All columns descend side by side. A right side that
    is rounding is not quite consistent: ``scale`` (q,) is the energy gᵀM⁻¹g, M the diagonal, that
    its gradients are to be small beside; their own at the start if left out.

    Raises
    ------
    FitError
        If the gradients do not vanish.
    """
    inverse = _preconditioner(products)
    alpha = np.zeros_like(right)
    left = right.copy()
    z = inverse * left
    direction = z.copy()
    energy = np.einsum("ij,ij->j", left, z)
    enough = energy if scale is None else scale
    for _ in range(_ITERATIONS):
        going = energy > _TOLERANCE**2 * enough
        if not going.any():
            return alpha
        moved = products @ direction
        curvature = np.einsum("ij,ij->j", direction, moved)
        going &= curvature > 0
        step = np.where(going, energy / np.where(going, curvature, 1.0), 0.0)
        alpha += step * direction
        left -= step * moved
        z = inverse * left
        now = np.einsum("ij,ij->j", left, z)
        ratio = np.where(going, now / np.where(going, energy, 1.0), 0.0)
        direction = z + ratio * direction
        energy = now
    if np.any(energy > _ENOUGH**2 * enough):
        raise FitError(
            "the absorbed effects hardly meet in the same rows: they could not be told apart in "
            f"{_ITERATIONS:,} steps. Absorb fewer, or leave out levels that few rows have"
        )
    return alpha


def _preconditioner(products: Any) -> Floats:
    diagonal = products.diagonal()
    whole = np.where(diagonal > 0, diagonal, 1.0)
    return np.where(diagonal > 0, 1.0 / whole, 0.0)[:, None]


def taken_out(rows: GroupedRows, alpha: Floats, sizes: Sequence[int]) -> Floats:
    """The columns (m, q) without the effects α."""
    left = rows.values.copy()
    first = 0
    for codes, size in zip(rows.codes, sizes, strict=True):
        left -= alpha[first : first + size][codes]
        first += size
    return left


def absorb(chunk: Chunks, count: int, sizes: Sequence[int], execution: Execution) -> Floats:
    """α (Σ sizes, q) of all columns, corrected once by what it leaves in the rows."""
    products = indicator_products(chunk, count, sizes, execution)
    right = group_sums(chunk, count, sizes, execution)
    alpha = solve_effects(products, right)
    energy = np.einsum("ij,ij->j", right, _preconditioner(products) * right)

    def left(index: int) -> GroupedRows:
        rows = chunk(index)
        return GroupedRows(taken_out(rows, alpha, sizes), rows.weight, rows.codes)

    return alpha + solve_effects(products, group_sums(left, count, sizes, execution), energy)

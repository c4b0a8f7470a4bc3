"""Sums of products made while rows are read: those of the rows written out, whatever is missing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfsquare.data.buffers import Buffers
from halfsquare.data.deciding import open_source
from halfsquare.data.encoded_rows import encoded_rows
from halfsquare.data.products import Products
from halfsquare.data.roles import choose_roles
from halfsquare.data.scan import scan
from halfsquare.loss import Floats
from halfsquare.parallel.threads import Local
from halfsquare.solvers.normal_system import linear_sums


def table(seed: int, rows: int, *, gaps: bool, weighted: bool) -> tuple[Floats, Floats | None]:
    """Columns far from zero, of very different size, and weights."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(4, rows)) * [[1.0], [5.0], [1e3], [1.0]]
    x += np.array([[0.0], [1e6], [3.0], [1.0]])
    if gaps:
        x[2, random.random(rows) < 0.3] = np.nan
        x[3, : rows // 3] = np.nan  # in the first chunks there is no value at all
    return x, random.random(rows) + 0.1 if weighted else None


@given(
    seed=st.integers(0, 50),
    cuts=st.lists(st.integers(0, 240), max_size=4),
    gaps=st.booleans(),
    weighted=st.booleans(),
)
def test_merged_products_are_those_of_all_rows(
    seed: int, cuts: list[int], gaps: bool, weighted: bool
) -> None:
    x, weight = table(seed, 240, gaps=gaps, weighted=weighted)
    found, ends = Products.zero(4), [0, *sorted(cuts), 240]
    for a, b in pairwise(ends):
        some = None if weight is None else weight[a:b]
        found = found.merge(Products.of(x[:, a:b].copy(), some, Buffers()))
    there, w = ~np.isnan(x), np.ones(240) if weight is None else weight
    means = [np.average(v[t], weights=w[t]) for v, t in zip(x, there, strict=True)]
    spreads = [
        np.average((v[t] - m) ** 2, weights=w[t]) for v, t, m in zip(x, there, means, strict=True)
    ]
    size = np.abs(means) + np.sqrt(spreads)
    np.testing.assert_allclose(found.means / size, means / size, atol=1e-14)
    np.testing.assert_allclose(found.variances, spreads, rtol=1e-12)
    known = np.where(there, x - found.centre[:, None], 0.0)
    rows = np.vstack([np.ones(240), known, ~there[list(found.gaps)]])
    whole = (rows * w) @ rows.T
    size = np.sqrt(np.outer(np.diag(whole), np.diag(whole)))
    np.testing.assert_allclose(found.gram / size, whole / size, atol=1e-13)
    assert found.gaps == ((2, 3) if gaps else ())


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("part", ["train", "all"])
def test_sums_of_the_scan_are_those_of_a_pass(
    tmp_path: Path, weights: str | None, part: str
) -> None:
    x, w = table(1, 40_000, gaps=True, weighted=True)
    assert w is not None
    data = {f"x{j}": v for j, v in enumerate(x)} | {"w": w, "y": 2.0 * x[0] + 1e-6 * x[1]}
    data["only"] = np.where(x[0] > 0, 7.0, np.nan)  # one value or none
    source = open_source(data)
    exclude = [] if weights else ["w"]
    roles = choose_roles(source, ["y"], weight=weights, exclude=exclude)
    scanned = scan(source, roles, test_fraction=0.3, products=True)
    rows = encoded_rows(scanned, "train" if part == "train" else "all")
    known = rows.sums
    assert known is not None
    again = replace(scanned.train, products=None), replace(scanned.test, products=None)
    passed = linear_sums(
        replace(rows, scanned=replace(scanned, train=again[0], test=again[1])), Local(2)
    )
    assert known.rows == passed.rows == rows.row_count
    assert known.weight == pytest.approx(passed.weight, rel=1e-13)
    size = np.sqrt(np.outer(np.diag(passed.gram), np.diag(passed.gram)))
    upper = np.triu_indices(len(size))
    np.testing.assert_allclose((known.gram / size)[upper], (passed.gram / size)[upper], atol=1e-12)
    # Sums of other rows are others.
    other = encoded_rows(scanned, "test").sums
    assert other is not None
    assert np.abs((other.gram - passed.gram) / size).max() > 0.1


def test_texts_and_dates_are_summed_by_a_pass() -> None:
    source = open_source({"x": [1.0, 2.0, 3.0, 4.0], "t": ["a", "b", "a", "b"], "y": [1.0] * 4})
    scanned = scan(source, choose_roles(source, ["y"]), products=True)
    assert scanned.train.products is None
    assert encoded_rows(scanned, "train").sums is None

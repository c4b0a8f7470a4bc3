"""Rows that stand several times: the part set apart is a share of what they count, and the standard
error of its MSE is right, by simulation.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from halfsquare import fit, fit_sums, sum_rows
from halfsquare.data.counted import of_counts
from halfsquare.data.cut import Cut
from halfsquare.data.deciding import open_source
from halfsquare.data.roles import Roles, choose_roles
from halfsquare.data.scan import Scanned
from halfsquare.data.statistics import statistics_of
from halfsquare.data.table import RawTable
from halfsquare.loss import Floats
from halfsquare.parallel.threads import Local
from halfsquare.sums import MeanSums


@cache
def roles() -> Roles:
    source = open_source({"x": [0.0, 1.0], "y": [0.0, 1.0], "w": [1.0, 2.0]})
    return choose_roles(source, ["y"], weight="w")


def scanned(x: Floats, y: Floats, w: Floats, seed: int) -> Scanned:
    """One chunk, with a quarter of the rows set apart."""
    cut = Cut.of("the data", roles(), 0.25, seed)
    order, train = cut.order(0, len(x))
    chunk = np.array([y, w, x])[:, order]
    kept = RawTable(3, cut.chunk_rows)
    kept.append(chunk, train)
    parts = (statistics_of(part, roles()) for part in (chunk[:, :train], chunk[:, train:]))
    return Scanned("the data", roles(), kept, *parts, levels={}, missing_target=0, zero_weight=0)


def of_part(found: Scanned, test: bool) -> tuple[Floats, Floats]:
    """Targets and weights of a part."""
    raw, cut = found.table.read(0), found.table.train_sizes[0]
    part = raw[:, cut:] if test else raw[:, :cut]
    return part[0], part[1]


def table(often: bool, seed: int) -> tuple[Floats, Floats, Floats]:
    random = np.random.default_rng(seed)
    if not often:
        w = np.ceil(random.lognormal(sigma=1.0, size=400))
        return random.normal(size=400), random.normal(size=400), w
    x = random.integers(0, 10, 5000)
    y = np.round(random.normal(size=5000) * (1 + 0.1 * x))
    settings, counts = np.unique(np.column_stack([x, y]), axis=0, return_counts=True)
    return settings[:, 0] * 1.0, settings[:, 1], counts.astype(float)


@pytest.mark.parametrize("often", [True, False])
def test_the_standard_error_of_what_is_set_apart_is_right(often: bool) -> None:
    away, told, as_counts = [], [], []
    for seed in range(120):
        found = of_counts(scanned(*table(often, seed), seed), 0.25, seed, Local(1))
        whole = found.rows_whole
        assert whole is not often
        y, w = of_part(found, test=True)
        sums = MeanSums.of(y**2, w)
        true = np.mean((1 + 0.1 * np.arange(10)) ** 2) + 1 / 12 if often else 1.0
        away.append(sums.mean - true)
        told.append((replace(sums, whole=False) if whole else sums).standard_error)
        as_counts.append(sums.standard_error)
    assert np.mean(told) == pytest.approx(np.std(away), rel=0.2)
    assert abs(np.mean(away)) < 3 * np.std(away) / np.sqrt(120)
    if not often:  # a row of weight 7 is no seven independent rows
        assert np.mean(as_counts) < 0.7 * np.std(away)


@pytest.mark.parametrize("often", [True, False])
def test_nothing_that_counts_is_lost_and_a_share_of_it_is_set_apart(often: bool) -> None:
    x, y, w = table(often, 0)
    before = scanned(x, y, w, 0)
    found = of_counts(before, 0.25, 0, Local(1))
    weights = [found.statistics_of(part).weight for part in ("train", "test", "all")]
    assert weights[2] == w.sum() == weights[0] + weights[1]
    assert weights[1] == pytest.approx(0.25 * w.sum(), abs=0.5 if often else w.max())
    (y_train, w_train), (y_test, w_test) = of_part(found, False), of_part(found, True)
    assert w_train @ y_train + w_test @ y_test == pytest.approx(w @ y)
    if found.rows_whole:
        assert sorted([*w_train, *w_test]) == sorted(w)
    # By rows alone the share is off by several of those steps.
    _, w_rows = of_part(before, True)
    assert abs(w_rows.sum() / w.sum() - 0.25) > abs(weights[1] / w.sum() - 0.25)


def test_fits_of_rows_and_of_sums_set_the_same_apart() -> None:
    x, y, w = table(True, 3)
    data = {"x": x, "y": y, "w": w}
    rows = fit(data, "y", model="linear", weights="w", seed=4)
    sums = fit_sums(sum_rows(data, "y", weights="w", seed=4))
    assert rows.test is not None and sums.test is not None
    assert sums.test["weight"] == rows.test["weight"] == round(0.2 * w.sum())
    assert sums.test["mse"] == pytest.approx(rows.test["mse"], rel=1e-9)
    assert rows.info["rows_read"] == len(x)
    # The model returned is that of all rows, each once.
    whole = fit(data, "y", model="linear", weights="w", test_fraction=0)
    values = [p.value for p in whole.parameters]
    assert [p.value for p in rows.parameters] == pytest.approx(values, rel=1e-12)
    # Without counts, or with ones, rows are set apart as ever.
    for plain in (np.ones(len(x)), w + 0.5):
        before = scanned(x, y, plain, 0)
        assert of_counts(before, 0.25, 0, Local(1)) is before

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
from halfsquare.data.rows import ArrayRows, row_weights
from halfsquare.data.scan import Scanned
from halfsquare.data.statistics import statistics_of
from halfsquare.data.table import RawTable
from halfsquare.fitting.folds import Folds
from halfsquare.fitting.train_network import train_network
from halfsquare.fitting.train_trees import train_trees
from halfsquare.loss import Floats
from halfsquare.models.tree_inputs import Input
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


def test_members_leave_out_what_rows_count() -> None:
    """As of repeated rows: of each row a part, and every part by one member of each round."""
    weight = np.random.default_rng(0).integers(5, 60, 30).astype(float)
    folds = Folds.deal(30, 10, np.random.default_rng(1), weight=weight)
    assert folds is not None
    parts = [folds.left_out(member) for member in range(10)]
    for first in (0, 5):
        out = np.array([p.counts for p in parts[first : first + 5]])
        assert np.array_equal(out.sum(axis=0), weight)
        assert np.ptp(out.sum(axis=1)) <= 1
        judged = np.array([p.judged for p in parts[first : first + 5]])
        assert (judged.sum(axis=0) == 1).all() and (out[judged] > 0).all()
    rows = ArrayRows(np.arange(30.0)[:, None], np.zeros((30, 1)), weight)
    aside, seen = parts[3].aside(rows, Local(1)), parts[3].seen(rows)
    assert aside.weight is not None
    assert float(aside.weight.sum()) + float(row_weights(seen).sum()) == weight.sum()
    # Copies are left out as a whole, and so are rows whose weights are no counts.
    for other in (np.full(30, 3.0), weight + 0.5):
        whole = Folds.deal(30, 10, np.random.default_rng(1), weight=other)
        assert whole is not None and whole.left_out(0).counts is None
    assert folds.left_out(10).mask.sum() == 0


def test_a_table_of_counts_is_left_out_as_its_rows_are() -> None:
    """Twelve settings with a yes or a no: without a share of each in what is left out, a member
    would not see all the yes of a setting.
    """
    random = np.random.default_rng(0)
    x = np.linspace(-2, 2, 12)
    p = 1 / (1 + np.exp(-2 * x))
    yes = random.binomial(40, p)
    design, target = np.concatenate([x, x])[:, None], np.repeat([1.0, 0.0], 12)[:, None]
    weight = np.concatenate([yes, 40 - yes]).astype(float)
    there = weight > 0
    counted = ArrayRows(design[there], target[there], weight[there])
    at = np.repeat(np.arange(len(weight)), weight.astype(int))
    repeated = ArrayRows(design[at], target[at])
    noise = float(np.mean(p * (1 - p)))
    found = [train_network(rows, hidden=(3,), members=6)[0] for rows in (counted, repeated)]
    held_out = [one.facts.held_out_mse for one in found]
    assert held_out == pytest.approx([noise, noise], rel=0.06)
    assert found[0].noise == pytest.approx(found[1].noise, rel=0.04)
    inputs = [Input("x", "number", 0, 1)]
    for rows in (counted, repeated):
        errors = train_trees(rows, inputs, ["y"], members=4, rounds=60)[0].errors
        w = np.ones(len(rows.target)) if rows.weight is None else rows.weight
        assert np.average((errors**2).mean(axis=(0, 2)), weights=w) == pytest.approx(noise, rel=0.1)

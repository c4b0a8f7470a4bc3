"""The search for a start: many points at once against one at a time, periodograms against SciPy's,
and periodic formulas that no points of a range would come near.
"""

from __future__ import annotations

import numpy as np
import pytest
from formula_cases import fit, formula
from scipy.signal import lombscargle

from halfsquare.data.rows import ArrayRows
from halfsquare.fitting.formula.many_points import ManyPoints
from halfsquare.fitting.formula.periodogram import _powers, frequencies, periodic_parameters
from halfsquare.fitting.formula.sample import unit_points
from halfsquare.loss import Floats
from halfsquare.models.formula.model import Formula

TWO = "y ~ a*exp(-k*x) + b*x**n + c"


def rows_of(n: int, weighted: bool) -> ArrayRows:
    random = np.random.default_rng(3)
    x = random.uniform(0.5, 4.0, (n, 1))
    y = 3 * np.exp(-0.7 * x) + 0.2 * x**1.5 + 1 + 0.1 * random.normal(size=(n, 1))
    return ArrayRows(x, y, random.integers(0, 4, n).astype(float) if weighted else None)


def many(text: str, rows: ArrayRows) -> ManyPoints:
    one = formula(text)
    none = np.full(len(one.names), np.inf)
    return ManyPoints(one, rows, one.linear, -none, none)


def best_loss(one: Formula, rows: ArrayRows, point: Floats) -> float:
    """½SSE with the linear parameters from NumPy's least squares."""
    point = point.copy()
    point[list(one.linear)] = 0.0
    outputs, jacobian = one.outputs_and_jacobian(point, rows.design)
    w = np.sqrt(np.ones(len(outputs)) if rows.weight is None else rows.weight)
    basis = w[:, None] * jacobian[:, 0, list(one.linear)]
    left = w * (outputs - rows.target)[:, 0]
    found = np.linalg.lstsq(basis, -left, rcond=None)[0]
    return 0.5 * float(np.sum((left + basis @ found) ** 2))


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_at_many_points_are_those_at_each(weighted: bool) -> None:
    rows = rows_of(60, weighted)
    points = np.random.default_rng(1).uniform(0.2, 2.0, (40, 5))
    tried = many(TWO, rows)
    one_by_one = [best_loss(tried.formula, rows, point) for point in points]
    np.testing.assert_allclose(tried.losses(points), one_by_one, rtol=1e-6)


def test_losses_are_infinite_where_the_formula_is_not_finite() -> None:
    rows = ArrayRows(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [3.5]]))
    points = np.array([[0.0, 0.5], [0.0, 1.5], [0.0, 2e308]])
    found = many("y ~ a*log(x - c)", rows).losses(points)
    assert np.isfinite(found).tolist() == [True, False, False]


def test_descents_at_once_reach_the_minimum() -> None:
    rows = rows_of(200, True)
    tried = many(TWO, rows)
    points = np.random.default_rng(2).uniform(0.3, 1.5, (12, 5))
    ends, losses = tried.descended(points, 200)
    best = fit(TWO, rows.design, rows.target, rows.weight)
    assert 2.0 * losses.min() == pytest.approx(best.facts.sse, rel=1e-7)
    np.testing.assert_allclose(
        losses, [best_loss(tried.formula, rows, end) for end in ends], rtol=1e-6
    )
    assert (losses <= [best_loss(tried.formula, rows, p) * (1 + 1e-9) for p in points]).all()


def test_no_points_and_no_nonlinear_parameters() -> None:
    rows = rows_of(20, False)
    assert many(TWO, rows).descended(np.zeros((0, 5)), 3)[1].shape == (0,)
    _, losses = many("y ~ a + b*x", rows).descended(np.zeros((1, 2)), 3)
    design = np.hstack([np.ones((20, 1)), rows.design])
    sse = np.linalg.lstsq(design, rows.target[:, 0], rcond=None)[1][0]
    assert 2.0 * losses[0] == pytest.approx(sse)


def test_the_periodogram_is_that_of_a_floating_mean() -> None:
    random = np.random.default_rng(4)
    x, w = np.sort(random.uniform(0, 20, 80)), random.uniform(0.5, 2.0, 80)
    t = 3 + np.sin(2.1 * x + 0.4) + 0.3 * random.normal(size=80)
    omega = np.linspace(0.3, 6.0, 50)
    w = w / w.sum()
    power = _powers(np.cos(np.outer(omega, x)), np.sin(np.outer(omega, x)), w, t)[0]
    variance = w @ (t - w @ t) ** 2
    theirs = lombscargle(x, t, omega, weights=w, floating_mean=True, normalize=True)
    np.testing.assert_allclose(power / variance, theirs, rtol=1e-8, atol=1e-12)


def test_peaks_are_those_of_each_sine_that_is_taken_off() -> None:
    x = np.linspace(0.0, 30.0, 400)
    t = 2.0 * np.sin(3.0 * x) + 0.5 * np.cos(11.0 * x) + 7.0
    found = frequencies(x, ArrayRows(x[:, None], t[:, None]), 200.0, 2)
    assert np.abs(found - 3.0).min() < 0.1
    assert np.abs(found - 11.0).min() < 0.1
    assert len(frequencies(np.ones(9), ArrayRows(x[:9, None], t[:9, None]), 4.0, 2)) == 0


def test_which_parameters_are_periodic() -> None:
    text = "y ~ a*sin(2*pi*x/T + p) + b*cos(w*x)*exp(-k*x) + tan(u*v*x) + sin(q*x**2)"
    one = formula(text)
    found = {one.names[p.parameter]: p.power for p in periodic_parameters(one)}
    assert found == {"T": -1, "w": 1}
    held = one.with_fixed({"u": 2.0})
    assert {held.names[p.parameter]: p.factor for p in periodic_parameters(held)}["v"] == 2.0


def test_points_fill_the_cube_in_every_direction() -> None:
    points = unit_points(512, 12, np.random.default_rng(0))
    for j in range(12):
        counts = np.histogram(points[:, j], bins=8, range=(0, 1))[0]
        assert abs(counts - 64).max() <= 8
    assert np.abs(np.corrcoef(points.T) - np.eye(12)).max() < 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_a_fast_sine_is_found_among_hundreds_of_turns(seed: int) -> None:
    random = np.random.default_rng(seed)
    x = 0.01 * np.arange(2000.0)
    noise = 0.5 * random.normal(size=2000)
    y = 3.0 + 1.2 * np.sin(2.0 * np.pi * 31.7 * x + 1.0) + noise
    trained = fit("y ~ c + a*sin(2*pi*f*x + p)", x[:, None], y[:, None])
    found = dict(zip(trained.model.parameter_names, trained.parameters, strict=True))
    assert found["f"] == pytest.approx(31.7, abs=1e-3)
    assert trained.facts.sse <= noise @ noise


def test_uneven_rows_tell_frequencies_beyond_half_a_turn_between_them() -> None:
    random = np.random.default_rng(5)
    x = np.sort(random.uniform(0.0, 300.0, 150))
    noise = 0.3 * random.normal(size=150)
    y = 3.0 + 1.2 * np.sin(2.93 * x + 1.0) + noise
    trained = fit("y ~ c + a*sin(w*x + p)", x[:, None], y[:, None])
    found = dict(zip(trained.model.parameter_names, trained.parameters, strict=True))
    assert abs(found["w"]) == pytest.approx(2.93, abs=1e-3)
    assert trained.facts.sse <= noise @ noise


def test_three_sines_of_which_two_are_near() -> None:
    random = np.random.default_rng(6)
    x = 0.02 * np.arange(900.0)
    noise = 0.4 * random.normal(size=900)
    y = np.sin(7.0 * x) + 0.7 * np.cos(7.9 * x) + 0.5 * np.sin(61.0 * x) + noise
    text = " + ".join(f"a{i}*cos(w{i}*x) + b{i}*sin(w{i}*x)" for i in range(3))
    trained = fit(f"y ~ {text}", x[:, None], y[:, None])
    found = dict(zip(trained.model.parameter_names, trained.parameters, strict=True))
    assert sorted(abs(found[f"w{i}"]) for i in range(3)) == pytest.approx([7, 7.9, 61], abs=0.02)

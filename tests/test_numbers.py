"""Small inputs on which numbers go wrong: zero and extreme weights, columns far from zero, formulas
with constants of their units, parameters that run off, edges of what rows can tell.

Reference values: normal equations in 400 digits of mpmath, SciPy's curve_fit, or by hand.
"""

from __future__ import annotations

from math import inf, isinf, isnan, nan, sqrt
from typing import Any

import mpmath
import numpy as np
import pytest

from halfsquare import (
    ErrorSums,
    FormulaRegressor,
    LinearRegressor,
    NetworkRegressor,
    SquaredError,
    fit,
)
from halfsquare.errors import DataError, FormulaError, NotFiniteError, ShapeError
from halfsquare.loss import Floats
from halfsquare.results.fitted import FittedModel

X, Y = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.1, 3.9, 6.2, 7.8, 10.1, 12.2]
FAR = pytest.mark.parametrize("far", [1e9, 1e10, 1e20, 1e160])


def line(x: Floats, y: Floats, w: Floats) -> tuple[list[float], list[float]]:
    """Intercept and slope of a weighted line with their standard errors, in 400 digits."""
    with mpmath.workdps(400):
        a = mpmath.matrix([[1, mpmath.mpf(float(v))] for v in x])
        root = mpmath.diag([mpmath.mpf(float(v)) for v in w])
        t = mpmath.matrix([mpmath.mpf(float(v)) for v in y])
        inverse = (a.T * root * a) ** -1
        b = inverse * (a.T * root * t)
        e = a * b - t
        noise = (e.T * root * e)[0] / (mpmath.fsum(map(float, w)) - 2)
        return [float(v) for v in b], [float(mpmath.sqrt(noise * inverse[i, i])) for i in (0, 1)]


def formula(text: str, **options: Any) -> FittedModel:
    columns = {k: np.asarray(v) for k, v in options.items() if isinstance(v, (list, np.ndarray))}
    rest = {k: v for k, v in options.items() if k not in columns}
    return fit(columns, formula=text, test_fraction=0, **rest)


# --- weights ------------------------------------------------------------------------------------


@FAR
@pytest.mark.parametrize("where", ["x", "y"])
def test_a_row_of_weight_zero_is_no_row(far: float, where: str) -> None:
    x = np.array([*X, *([far, far] if where == "x" else [0.0, 0.0])])
    y = np.array([*Y, *([far, far] if where == "y" else [0.0, 0.0])])
    weight = np.array([1.0] * 6 + [0.0] * 2)
    model = LinearRegressor().fit(x[:, None], y, weight)
    assert model.intercept_ == pytest.approx(-0.02, rel=1e-12)
    assert model.intercept_std_error_ == pytest.approx(0.16653327995729064, rel=1e-12)
    assert model.coef_[0] == pytest.approx(2.02, rel=1e-14)
    assert model.coef_std_error_[0] == pytest.approx(0.0427617987059879, rel=1e-12)
    ridge = LinearRegressor(l2=0.1).fit(x[:, None], y, weight)
    assert ridge.coef_[0] == pytest.approx(2.02 / 1.1, rel=1e-12)
    table = fit({"x": x, "y": y, "w": weight}, "y", weights="w", model="linear", test_fraction=0)
    assert table.parameters[1].standard_error == pytest.approx(model.coef_std_error_[0], rel=1e-12)
    network = NetworkRegressor(hidden=(2,), members=2).fit(x[:, None], y, weight)
    alone = NetworkRegressor(hidden=(2,), members=2).fit(np.array(X)[:, None], Y)
    assert network.predict([[2.5]]) == pytest.approx(alone.predict([[2.5]]), rel=1e-12)


@pytest.mark.parametrize("heavy", [1e6, 1e12])
@pytest.mark.parametrize("apart", [0.0, 1e5])
def test_a_few_rows_that_weigh_all(heavy: float, apart: float) -> None:
    x = np.array([*X, *(np.array([1.5, 2.5, 7.5, 9.0]) + apart)])
    y = np.array([*Y, 3.2, 4.9, 15.1, 18.2])
    weight = np.array([1.0] * 6 + [heavy] * 4)
    values, errors = line(x, y, weight)
    model = LinearRegressor().fit(x[:, None], y, weight)
    assert [model.intercept_, model.coef_[0]] == pytest.approx(values, rel=1e-9)
    found = [model.intercept_std_error_, model.coef_std_error_[0]]
    assert found == pytest.approx(errors, rel=1e-9)


# --- far from zero, and constant ------------------------------------------------------------------


@pytest.mark.parametrize("value", [7.3, 0.1, 2.7, 0.001, 1e17])
def test_the_target_that_does_not_vary_has_no_r2(value: float) -> None:
    sums = ErrorSums.zero()
    for rows in (1, 3, 7, 11, 15):
        sums = sums.add(np.full(rows, value), np.full(rows, value * 1.5))
    assert isnan(sums.finish().r2)
    data = {"x": np.arange(37.0), "y": np.full(37, value)}
    assert fit(data, "y", model="linear", test_fraction=0).train["r2"] is None
    # One value apart from the others, and it is known.
    other = ErrorSums.zero().add([value] * 9 + [value * 1.01], [value] * 10)
    assert other.finish().r2 == pytest.approx(-1 / 9, rel=1e-6)


def test_whole_numbers_beyond_float64_keep_their_differences() -> None:
    t = 1_700_000_000_000_000_000 + 100 * np.arange(20)
    model = LinearRegressor().fit(t[:, None], 3.0 * np.arange(20) + 1.0)
    assert model.coef_[0] == pytest.approx(0.03, rel=1e-14)
    assert model.predict(t[:3, None]) == pytest.approx([1.0, 4.0, 7.0], rel=1e-12)
    small = 4e15 + 4.0 * (np.arange(21) % 3 - 1)
    table = {"t": small, "y": 3.0 * (np.arange(21) % 3)}
    fitted = fit(table, "y", model="linear", test_fraction=0)
    assert fitted.parameters[1].value == pytest.approx(0.75, rel=1e-12)
    # A unit in the last place is no variation.
    noise = 0.1 + np.spacing(0.1) * (np.arange(20) % 2)
    assert (
        "x" in fit({"x": noise, "z": np.arange(20.0), "y": np.arange(20.0)}, "y").encoder.left_out
    )


def test_exact_and_rounded_sums_judge_columns_alike() -> None:
    year = np.arange(1990, 2021.0)
    y = np.round(np.sin(5 * (year - 1990) / 30), 3)
    powers = np.column_stack([year**k for k in range(1, 6)])
    exact = LinearRegressor().partial_fit(powers, y)
    assert LinearRegressor().fit(powers, y).rank_ == exact.rank_ == 5
    assert exact.sigma_**2 * (31 - 6) == pytest.approx(0.000431799678446, rel=1e-10)
    twice = np.column_stack([year, 0.1 * year, year + 0.1 * year])
    assert (
        LinearRegressor().fit(twice, y).rank_ == LinearRegressor().partial_fit(twice, y).rank_ == 1
    )


@pytest.mark.parametrize("scale", [1e160, 1e-200])
def test_every_door_refuses_the_same_sizes(scale: float) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 1))
    y = (x[:, 0] + 0.1 * random.normal(size=60)) * scale
    estimators = (LinearRegressor(), NetworkRegressor(), FormulaRegressor("y ~ a + b*x1"))
    for model in estimators:
        with pytest.raises(DataError, match="lost in float64"):
            model.fit(x, y)
    with pytest.raises(DataError, match="lost in float64"):
        fit({"x": x[:, 0], "y": y}, "y")
    with pytest.raises(NotFiniteError, match="overflows"):
        SquaredError().gradient([1.7e308], [-1.7e308])
    with pytest.raises(DataError, match="weight is -5 in row 1"):
        NetworkRegressor().partial_fit(x, x[:, 0], [-5.0] + [1.0] * 59)
    started = NetworkRegressor(hidden=(3,)).partial_fit(x, x[:, 0])
    with pytest.raises(ShapeError, match="2 outputs; the rows before had 1"):
        started.partial_fit(x, np.column_stack([x, x]))


# --- edges of linear fits -------------------------------------------------------------------------


def test_what_collinear_columns_leave_open_has_no_error_and_no_bound() -> None:
    a = np.arange(1.0, 9.0)
    data = {"a": a, "b": 2 * a, "y": np.array([2.1, 3.9, 6.2, 7.8, 10.1, 12.2, 14.0, 15.8])}
    fitted = fit(data, "y", model="linear", test_fraction=0)
    intercept, *others = fitted.parameters
    alone = fit({"a": a, "y": data["y"]}, "y", model="linear", test_fraction=0)
    assert intercept.standard_error == pytest.approx(alone.parameters[0].standard_error)
    assert all(isnan(p.standard_error) and isnan(p.p) for p in others)
    output, low, high = fitted.interval({"a": [1.0, 1.0], "b": [2.0, -5.0]})
    assert output[0] == pytest.approx(alone.predict({"a": [1.0]})[0])
    assert high[0] - low[0] == pytest.approx(np.ptp(alone.interval({"a": [1.0]})[1:]), rel=1e-9)
    assert (low[1], high[1]) == (-inf, inf)
    model = LinearRegressor().fit(np.column_stack([a, 2 * a]), data["y"])
    assert np.isnan(model.coef_std_error_).all() and not isnan(model.intercept_std_error_)


def test_no_degrees_of_freedom_are_said() -> None:
    fitted = fit({"x": [1.0, 2.0], "y": [3.0, 4.0]}, "y", model="linear", test_fraction=0)
    assert isnan(fitted.parameters[0].standard_error)
    assert any("no degrees of freedom" in w for w in fitted.info["warnings"])
    weights = {"x": np.arange(9.0), "y": np.arange(9.0) ** 2, "w": np.full(9, 1 / 9)}
    fitted = fit(weights, "y", model="linear", weights="w", test_fraction=0)
    assert "--precision w" in fitted.info["warnings"][0]


# --- formulas -------------------------------------------------------------------------------------


def test_constants_say_how_large_a_parameter_is() -> None:
    x = [0, 0.13, 0.26, 0.38, 0.5, 0.65, 0.78, 0.9]
    y = [7115, 6543, 6160, 5888, 5716, 5559, 5433, 5380]
    found = formula("y ~ off + amp*exp(-x*s/1.6e-16)", x=x, y=y)
    assert found.parameters[2].value == pytest.approx(4.29921653e-16, rel=1e-7)
    assert found.parameters[2].standard_error == pytest.approx(1.0368e-17, rel=1e-4)
    assert found.train["sse"] == pytest.approx(641.092, rel=1e-5)
    t = np.arange(290.0, 390.0, 10.0)
    k = [0.0523, 0.1187, 0.2633, 0.545, 1.062, 2.07, 3.72, 6.55, 11.2, 18.4]
    found = formula("k ~ A*exp(-E/(1.380649e-23*T))", T=t, k=k)
    assert found.parameters[1].value == pytest.approx(9.7596811e-20, rel=1e-7)


@pytest.mark.parametrize(("base", "period"), [(1.7e12, 10.0), (1e15, 1.0)])
def test_a_target_far_from_zero(base: float, period: float) -> None:
    n = np.arange(1.0, 9.0)
    found = formula("t ~ t0 + period*n", n=n, t=base + period * n)
    assert [p.value for p in found.parameters] == [base, period]
    bent = formula("t ~ t0 + period*n", n=n, t=base + period * n + np.sin(n).round(0))
    slope = np.polyfit(n, period * n + np.sin(n).round(0), 1)[0]
    assert bent.parameters[1].value == pytest.approx(slope, rel=1e-12)
    assert bent.parameters[1].standard_error > 0.01


def test_a_column_far_from_zero() -> None:
    k = np.arange(31.0)
    y = np.round(100 * np.exp(0.05 * k) * (1 + 0.01 * np.sin(37 * k * k)), 3)
    found = formula("y ~ a*exp(b*t)", t=1.7e9 + 10 * k, y=y)
    near = formula("y ~ a*exp(b*t)", t=10 * k, y=y)
    assert found.parameters[1].value == pytest.approx(near.parameters[1].value, rel=1e-9)
    error = near.parameters[1].standard_error
    assert found.parameters[1].standard_error == pytest.approx(error, rel=1e-8)
    assert found.train["r2"] == pytest.approx(near.train["r2"], rel=1e-12)
    assert any("is fitted as y ~ a*exp(b*(t - 1" in w for w in found.info["warnings"])
    # Where float64 holds the parameters they are those of the formula as given.
    for text in ("y ~ a*exp(b*t)", "y ~ 100/(1 + exp(-(c + b*t)))", "y ~ a*sin(b*t + c)"):
        x = np.linspace(0.0, 3.0, 25)
        y = np.exp(0.3 * x) + 0.01 * np.sin(40 * x)
        near, far = (formula(text, t=x + shift, y=y) for shift in (0.0, 400.0))
        assert far.predict({"t": x + 400.0}) == pytest.approx(near.predict({"t": x}), rel=1e-7)
        assert far.train["sse"] == pytest.approx(near.train["sse"], rel=1e-7)


def test_no_fit_of_many_rows_is_worse_than_its_start() -> None:
    x = np.arange(65537.0)
    noise = 0.05 * np.random.default_rng(2).normal(size=65537)
    y = np.round(0.3 + 20 * np.exp(-(((x - 63000.4) / 1.5) ** 2)) + noise, 3)
    start = {"b": 0.3, "a": 20.0, "m": 63000.0, "s": 1.5}
    found = formula("y ~ b + a*exp(-((x - m)/s)**2)", x=x, y=y, start=start)
    assert found.train["sse"] == pytest.approx(162.84246, rel=1e-7)


def test_parameters_that_run_off_are_named() -> None:
    x = np.arange(12.0)
    found = formula("y ~ b/(1 + exp(-(c + d*x)))", x=x, y=(x >= 6) * 1.0)
    assert [isinf(p.standard_error) for p in found.parameters] == [False, True, True]
    assert any("c, d run off" in w for w in found.info["warnings"])
    # A saturation that the data reach has an end.
    bent = formula("y ~ V*x/(K + x)", x=x + 1, y=9 * (x + 1) / (4 + x + 1) + 0.1 * np.cos(5 * x))
    assert bent.info["warnings"] == []


def test_a_fit_worse_than_the_mean_says_so() -> None:
    found = formula("y ~ a*x", x=[1.0, 2.0, 3.0, 4.0], y=[10.0, 9.0, 11.0, 10.0])
    assert any("worse than the mean of the target (R² = -" in w for w in found.info["warnings"])


@pytest.mark.parametrize("far", [0.0, 1e9])
@pytest.mark.parametrize("seed", range(5))
def test_the_mean_is_not_worse_than_the_mean(far: float, seed: int) -> None:
    y = far + np.random.default_rng(seed).normal(size=30)
    found = formula("y ~ m", x=np.arange(30.0), y=y)
    assert found.parameters[0].value == pytest.approx(y.mean(), rel=1e-12)
    assert not any("worse" in w for w in found.info["warnings"])
    assert far or found.train["r2"] == 0.0
    # Just worse than the mean it is said.
    worse = formula("y ~ m", x=np.arange(30.0), y=y, bounds={"m": (y.mean() + 1e-2, None)})
    assert any("worse" in w for w in worse.info["warnings"])


def test_row_and_operation_of_a_formula_that_cannot_be_computed() -> None:
    c, y = np.arange(8.0), np.arange(8.0)
    with pytest.raises(FormulaError, match=r"row 1 \(c = 0\) it comes to 1/0, a division by zero"):
        formula("y ~ V/(1 + K/c)", c=c, y=y)
    with pytest.raises(FormulaError, match=r"row 1 \(x = -3\).*log\(-3\)"):
        formula("y ~ a*x**n", x=c - 3, y=y)


def test_a_parameter_on_its_bound_and_one_that_is_fixed() -> None:
    x = np.linspace(0, 5, 20)
    y = 3 * np.exp(-1.2 * x) + 0.01 * np.sin(9 * x)
    found = formula("y ~ a*exp(-b*x) + c", x=x, y=y, bounds={"b": (0, 1.0)}, fix={"c": 0.5})
    _, b, c = found.parameters
    assert b.value == b.high == 1.0 and b.low < 1.0
    assert isnan(b.standard_error) and isnan(b.p)
    assert (c.value, c.standard_error) == (0.5, 0.0) and isnan(c.t) and isnan(c.p)
    assert any("b lies on its bound 1" in w for w in found.info["warnings"])


def test_converged_is_said_below_the_promised_offset_alone() -> None:
    x = np.arange(1.0, 200.0)
    y = np.round(-2500 * (45 + x) ** (-1 / 0.92) + 1e-4 * np.sin(7 * x * x), 6)
    found = formula("y ~ b1*(b2 + x)**(-1/b3)", x=x, y=y, start={"b1": -2000, "b2": 50, "b3": 0.8})
    assert found.info["converged"]
    other = formula("y ~ b1*(b2 + x)**(-1/b3)", x=x, y=y, start={"b1": -1500, "b2": 45, "b3": 0.85})
    ours, theirs = ([p.value for p in f.parameters] for f in (found, other))
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_intervals_of_a_transformed_target_are_its_ends() -> None:
    y = [0.35, 1.9, 0.28, 3.1, 0.9, 1.05, 9.2, 2.2, 1.6, 16.5, 6.1, 31]
    x = np.arange(1.0, 13.0)
    found = formula("log(y) ~ a + b*x", x=x, y=y)
    _, low, high = found.interval({"x": [12.0, 20.0]})
    assert low == pytest.approx([1.253404274, 6.669271062], rel=1e-8)
    assert high == pytest.approx([156.2289675, 4487.219735], rel=1e-8)
    root = formula("sqrt(y) ~ a + b*x", x=x, y=y)
    _, low, high = root.interval({"x": [1.0]})
    assert low[0] == 0.0 and high[0] > sqrt(0.35)
    assert nan != low[0]

"""Weights that say what they mean: counts, measured standard deviations, relative precisions.

References: statsmodels' WLS, scipy's curve_fit with and without absolute_sigma, rows repeated.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import curve_fit
from scipy.stats import chi2 as chi_squared
from scipy.stats import norm as normal

from halfsquare import FormulaRegressor, LinearRegressor, fit
from halfsquare.errors import DataError, OptionError
from halfsquare.results.compare import compare
from halfsquare.results.inference.effects import Effects, effects_of
from halfsquare.sums import MeanSums

N = 60


def table(seed: int = 0, factor: float = 1.0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.uniform(0.0, 4.0, N)
    sigma = random.uniform(0.1, 0.8, N)
    y = 3.0 * np.exp(-0.7 * x) + 0.5 * x + sigma * random.normal(size=N)
    return {"x": x, "y": y, "s": sigma, "p": factor / sigma**2}


def wls(data: dict[str, np.ndarray]) -> sm.regression.linear_model.RegressionResults:
    return sm.WLS(data["y"], sm.add_constant(data["x"]), weights=1.0 / data["s"] ** 2).fit()


@pytest.mark.parametrize("factor", [1.0, 1e-6, 1e9])
def test_precisions_are_those_of_wls_whatever_their_unit(factor: float) -> None:
    data = table(factor=factor)
    expected = wls(data)
    fitted = fit(data, "y", model="linear", features=["x"], precision="p", test_fraction=0)
    for found, value, error, t in zip(
        fitted.parameters, expected.params, expected.bse, expected.tvalues, strict=True
    ):
        assert found.value == pytest.approx(value, rel=1e-10)
        assert found.standard_error == pytest.approx(error, rel=1e-10)
        assert found.t == pytest.approx(t, rel=1e-10)
    assert fitted.info["facts"]["degrees_of_freedom"] == pytest.approx(N - 2)
    model = LinearRegressor(weights="precision").fit(data["x"][:, None], data["y"], data["p"])
    assert model.coef_std_error_[0] == pytest.approx(expected.bse[1], rel=1e-10)


def test_measured_deviations_set_the_errors_alone() -> None:
    data = table()
    inverse = np.linalg.inv(wls(data).model.wexog.T @ wls(data).model.wexog)
    fitted = fit(data, "y", model="linear", features=["x"], sigma="s", test_fraction=0)
    errors = [p.standard_error for p in fitted.parameters]
    assert errors == pytest.approx(np.sqrt(np.diag(inverse)), rel=1e-10)
    residual = (data["y"] - wls(data).fittedvalues) / data["s"]
    facts = fitted.info["facts"]
    assert facts["chi2"] == pytest.approx(residual @ residual, rel=1e-10)
    assert facts["chi2_p"] == pytest.approx(chi_squared.sf(residual @ residual, N - 2), rel=1e-9)
    # The noise is known, so the interval is the normal distribution's.
    reach = (fitted.parameters[1].high - fitted.parameters[1].low) / 2 / errors[1]
    assert reach == pytest.approx(1.959963984540054, rel=1e-8)
    # Errors twice as large with the same numbers: not so if the noise were estimated.
    double = {**data, "s": 2 * data["s"]}
    wider = fit(double, "y", model="linear", features=["x"], sigma="s", test_fraction=0)
    assert wider.parameters[1].standard_error == pytest.approx(2 * errors[1], rel=1e-10)


@pytest.mark.parametrize("absolute", [True, False])
def test_a_formula_as_curve_fit_weighs_it(absolute: bool) -> None:
    data = table(3)

    def curve(x: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
        return a * np.exp(-b * x) + c * x

    values, covariance = curve_fit(
        curve, data["x"], data["y"], [3, 0.7, 0.5], data["s"], absolute_sigma=absolute, ftol=1e-14
    )
    weighing = {"sigma": "s"} if absolute else {"precision": "p"}
    fitted = fit(data, formula="y ~ a*exp(-b*x) + c*x", test_fraction=0, **weighing)
    for found, value, error in zip(
        fitted.parameters, values, np.sqrt(np.diag(covariance)), strict=True
    ):
        assert found.value == pytest.approx(value, rel=1e-6)
        assert found.standard_error == pytest.approx(error, rel=1e-5)
    kind = "sigma" if absolute else "precision"
    model = FormulaRegressor("y ~ a*exp(-b*x) + c*x", weights=kind).fit(
        data["x"][:, None], data["y"], data["s" if absolute else "p"]
    )
    assert model.standard_errors_["b"] == pytest.approx(fitted.parameters[1].standard_error)


def test_the_interval_of_a_row_is_by_its_own_deviation() -> None:
    data = table()
    fitted = fit(data, "y", model="linear", features=["x"], sigma="s", test_fraction=0)
    rows = {"x": np.array([1.0, 1.0]), "s": np.array([0.1, 0.9])}
    _, low, high = fitted.interval(rows)
    cov = np.linalg.inv(wls(data).model.wexog.T @ wls(data).model.wexog)
    spread = np.array([1.0, 1.0]) @ cov @ np.array([1.0, 1.0])
    expected = 2 * 1.959963984540054 * np.sqrt(rows["s"] ** 2 + spread)
    assert high - low == pytest.approx(expected, rel=1e-9)
    # Without the column: the deviation of a row of mean weight.
    _, low, high = fitted.interval({"x": np.array([1.0])})
    mean = 1.0 / np.mean(1.0 / data["s"] ** 2)
    assert high - low == pytest.approx(2 * 1.959963984540054 * np.sqrt(mean + spread), rel=1e-9)


def test_counts_that_are_none_are_named_and_the_others_refused() -> None:
    data = table()
    fitted = fit(data, "y", model="linear", features=["x"], weights="p", test_fraction=0)
    assert "--sigma p" in fitted.info["warnings"][0]
    whole = {**data, "p": np.arange(N) % 3 + 1.0}
    counted = fit(whole, "y", model="linear", features=["x"], weights="p", test_fraction=0)
    assert counted.info["warnings"] == []
    with pytest.raises(OptionError, match="one weight"):
        fit(data, "y", weights="p", sigma="s")
    with pytest.raises(DataError, match=r"row 1, sigma column 's': found 0, expected a standard"):
        fit({**data, "s": np.where(np.arange(N) == 0, 0.0, data["s"])}, "y", sigma="s")


def test_weights_that_are_no_counts_do_not_make_false_verdicts() -> None:
    # Two models as good as each other: at 5 % about 5 % of the verdicts are false.
    random, false = np.random.default_rng(5), 0
    for _ in range(400):
        difference = random.normal(size=80)
        sums = MeanSums.of(difference, random.lognormal(sigma=1.0, size=80))
        false += abs(sums.mean) > 1.96 * sums.standard_error
    assert 8 <= false <= 36
    repeated = MeanSums.of(np.repeat([1.0, 2.0, 4.0], [3, 1, 2]), None)
    counted = MeanSums.of(np.array([1.0, 2.0, 4.0]), np.array([3.0, 1.0, 2.0]))
    assert counted.standard_error == pytest.approx(repeated.standard_error, rel=1e-14)


def test_comparisons_take_the_weights_they_are_told() -> None:
    data = table(1)
    a = fit(data, "y", model="linear", features=["x"], sigma="s", test_fraction=0)
    b = fit(data, "y", model="linear", features=["x"], test_fraction=0)
    from halfsquare.data.spec import DataSpec

    found = compare(a, b, DataSpec.of(data, sigma="s"))
    weight = 1.0 / data["s"] ** 2
    losses = [(f.predict(data) - data["y"]) ** 2 for f in (a, b)]
    assert found.difference == pytest.approx(weight @ (losses[0] - losses[1]) / weight.sum())
    assert found.difference < 0


def test_auto_judges_by_the_rows_that_weigh() -> None:
    # Half of the rows weigh 0.001 and are noise of size 20; the others ask for a curve.
    random = np.random.default_rng(0)
    x = random.uniform(-3, 3, 400)
    weight = np.where(np.arange(400) < 200, 1.0, 0.001)
    y = np.sin(2 * x) + np.where(weight == 1, 0.05, 20.0) * random.normal(size=400)
    fitted = fit({"x": x, "y": y, "w": weight}, "y", weights="w", test_fraction=0)
    grid = np.linspace(-2.8, 2.8, 50)
    assert np.mean((fitted.predict({"x": grid}) - np.sin(2 * grid)) ** 2) < 0.05


def read_off(data: dict[str, np.ndarray], formula: str | None, **weighing: str) -> Effects:
    named: dict[str, Any] = {"formula": formula} if formula else {"features": ["x"]}
    return effects_of(fit(data, "y", model="linear", test_fraction=0, **named, **weighing))


@pytest.mark.parametrize("factor", [1.0, 1e-6, 1e9])
@pytest.mark.parametrize("formula", [None, "y ~ x"])
def test_the_likelihood_counts_the_precisions(formula: str | None, factor: float) -> None:
    data = table(factor=factor)
    expected = sm.WLS(data["y"], sm.add_constant(data["x"]), weights=data["p"]).fit()
    found = read_off(data, formula, precision="p").criteria
    assert found.log_likelihood == pytest.approx(expected.llf, rel=1e-9)
    assert found.aic == pytest.approx(expected.aic + 2, rel=1e-9)
    assert found.bic == pytest.approx(expected.bic + np.log(N), rel=1e-9)
    assert found.f is not None
    assert found.f.statistic == pytest.approx(expected.fvalue, rel=1e-8)


@pytest.mark.parametrize("formula", [None, "y ~ x"])
def test_likelihood_and_f_are_of_the_sigma_that_was_measured(formula: str | None) -> None:
    data, expected = table(), wls(table())
    effects = read_off(data, formula, sigma="s")
    found = effects.criteria
    wanted = float(normal.logpdf(data["y"], expected.fittedvalues, data["s"]).sum())
    assert found.log_likelihood == pytest.approx(wanted, rel=1e-9)
    assert found.aic == pytest.approx(4 - 2 * wanted, rel=1e-9)  # σ is no parameter
    assert found.bic == pytest.approx(2 * np.log(N) - 2 * wanted, rel=1e-9)
    assert found.r2 == pytest.approx(expected.rsquared, rel=1e-9)
    statistic = expected.ess  # of weights 1/σ²: χ² on one degree of freedom
    assert found.f is not None
    assert found.f.statistic == pytest.approx(statistic, rel=1e-8)
    assert found.f.p == pytest.approx(chi_squared.sf(statistic, 1), rel=1e-6)
    shown = json.loads(json.dumps(effects.as_dict()["f"], allow_nan=False))
    assert shown["degrees_of_freedom"] == [1, None]


def test_a_precision_of_0_is_a_row_that_is_not_there() -> None:
    data = table()
    less = {name: values[1:] for name, values in data.items()}
    data["p"][0] = 0.0
    found, wanted = (read_off(d, "y ~ x", precision="p").criteria for d in (data, less))
    assert found.log_likelihood == pytest.approx(wanted.log_likelihood, rel=1e-10)
    assert found.aic == pytest.approx(wanted.aic, rel=1e-10)

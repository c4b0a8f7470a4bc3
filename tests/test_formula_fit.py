"""Fits of formulas against independent ones, their invariants, and every way to ask for the
impossible.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from formula_cases import DECAY, decay, errors_of, fit, formula, noisy
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import curve_fit, least_squares
from scipy.stats import t as student_t

import halfsquare
from halfsquare.data.rows import ArrayRows
from halfsquare.errors import FitError, FormulaError
from halfsquare.estimators.formula import FormulaRegressor
from halfsquare.fitting.formula.train import train_formula
from halfsquare.parallel.threads import Local
from halfsquare.results.coefficients import student
from halfsquare.results.predictive import member_variance
from halfsquare.solvers.base import Reason, State, Termination
from halfsquare.solvers.loop import descend
from halfsquare.solvers.qr_objective import FormulaObjective
from halfsquare.solvers.run import Run, Seed
from halfsquare.solvers.variable_projection import VariableProjection

# Against others


def test_a_linear_formula_is_ordinary_least_squares() -> None:
    random = np.random.default_rng(1)
    design = random.normal(size=(40, 2))
    y = 1.0 + design @ [2.0, -3.0] + random.normal(size=40)
    other = sm.OLS(y, sm.add_constant(design)).fit()
    trained = train_formula(ArrayRows(design, y[:, None]), formula("y ~ a + b*u + c*v", "u", "v"))
    np.testing.assert_allclose(trained.parameters, other.params, rtol=1e-12)
    np.testing.assert_allclose(trained.covariance, other.cov_params(), rtol=1e-11)
    np.testing.assert_allclose(trained.noise, other.mse_resid, rtol=1e-12)
    table = student(["a", "b", "c"], trained.parameters, errors_of(trained), other.df_resid)
    np.testing.assert_allclose([row.p for row in table], other.pvalues, rtol=1e-8)
    np.testing.assert_allclose([(row.low, row.high) for row in table], other.conf_int(), rtol=1e-10)
    at = random.normal(size=(5, 2))
    mean, variance = member_variance(trained, at)
    variance = variance - trained.noise  # of the mean, not of a new target
    theirs = other.get_prediction(sm.add_constant(at)).summary_frame()
    np.testing.assert_allclose(mean[:, 0], theirs["mean"], rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(variance[:, 0]), theirs["mean_se"], rtol=1e-11)


@pytest.mark.parametrize(
    "start", [None, [3.0, 0.5, 0.0], {"b2": 0.5}], ids=["no start", "start", "part of a start"]
)
def test_as_curve_fit(start: object) -> None:
    x, y = noisy(300)
    trained = fit(DECAY, x, y, start=start)
    values, covariance = curve_fit(
        decay, x[:, 0], y[:, 0], [5.0, 1.0, 1.0], ftol=1e-14, xtol=1e-14, gtol=1e-14
    )
    np.testing.assert_allclose(trained.parameters, values, rtol=1e-7)
    np.testing.assert_allclose(errors_of(trained), np.sqrt(np.diag(covariance)), rtol=1e-4)
    assert trained.termination.converged
    assert trained.warnings == ()


def test_many_rows_as_curve_fit_on_any_number_of_threads() -> None:
    x, y = noisy(100_000)
    one, two = (fit(DECAY, x, y, run=Run(Local(threads))) for threads in (1, 2))
    values, covariance = curve_fit(
        decay, x[:, 0], y[:, 0], [5.0, 1.0, 1.0], ftol=1e-14, xtol=1e-14, gtol=1e-14
    )
    np.testing.assert_allclose(
        one.parameters, values, atol=1e-4 * np.sqrt(np.diag(covariance)).min()
    )
    np.testing.assert_allclose(errors_of(one), np.sqrt(np.diag(covariance)), rtol=1e-4)
    assert one.parameters.tobytes() == two.parameters.tobytes()
    assert one.covariance is not None and two.covariance is not None
    assert one.covariance.tobytes() == two.covariance.tobytes()


def test_left_side_with_a_function() -> None:
    x, y = noisy(100)
    trained = train_formula(ArrayRows(x, y), formula("log(y) ~ a + b*x"))
    slope, intercept = np.polyfit(x[:, 0], np.log(y[:, 0]), 1)
    np.testing.assert_allclose(trained.parameters, [intercept, slope], rtol=1e-11)


def test_bounds_as_scipy() -> None:
    x, y = noisy(100)
    trained = fit(DECAY, x, y, bounds={"b2": (None, 1.0), "b3": (0.0, None)})
    other = least_squares(
        lambda b: decay(x[:, 0], *b) - y[:, 0],
        [4.0, 0.5, 1.0],
        bounds=([-np.inf, -np.inf, 0], [np.inf, 1, np.inf]),
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
    )
    np.testing.assert_allclose(trained.parameters, other.x, rtol=1e-6)
    assert trained.parameters[1] == 1.0
    free = fit(DECAY, x, y, bounds={"b2": (0.0, 10.0)})
    np.testing.assert_allclose(free.parameters, fit(DECAY, x, y).parameters, rtol=1e-9)


def test_a_fixed_parameter() -> None:
    x, y = noisy(100)
    trained = fit(DECAY, x, y, fixed={"b2": 1.3})
    other = sm.OLS(y[:, 0], np.column_stack([np.exp(-1.3 * x[:, 0]), np.ones(100)])).fit()
    np.testing.assert_allclose(
        trained.parameters, [other.params[0], 1.3, other.params[1]], rtol=1e-11
    )
    np.testing.assert_allclose(errors_of(trained), [other.bse[0], 0.0, other.bse[1]], rtol=1e-10)
    assert trained.model.parameter_names == ("b1", "b2", "b3")


# Invariants


@given(st.integers(0, 1000))
def test_a_weight_is_repetition_and_a_zero_weight_is_no_row(seed: int) -> None:
    x, y = noisy(40, seed)
    weight = np.random.default_rng(seed).integers(0, 4, 40)
    weighted = fit(DECAY, x, y, weight.astype(float), start=[4.0, 1.0, 1.0])
    repeated = fit(DECAY, x.repeat(weight, axis=0), y.repeat(weight, axis=0), start=[4.0, 1.0, 1.0])
    np.testing.assert_allclose(weighted.parameters, repeated.parameters, rtol=1e-8)
    np.testing.assert_allclose(weighted.covariance, repeated.covariance, rtol=1e-7)


def test_a_row_of_no_weight_may_be_anything() -> None:
    x, y = noisy(30)
    x2, y2 = np.vstack([x, [[np.nan]]]), np.vstack([y, [[np.nan]]])
    weight = np.append(np.ones(30), 0.0)
    np.testing.assert_allclose(
        fit(DECAY, x2, y2, weight, start=[4, 1, 1]).parameters,
        fit(DECAY, x, y, start=[4, 1, 1]).parameters,
        rtol=1e-12,
    )


@given(st.floats(-8, 8), st.floats(-8, 8))
def test_units_do_not_matter(x_decades: float, y_decades: float) -> None:
    x, y = noisy(40)
    ux, uy = 10.0**x_decades, 10.0**y_decades
    plain = fit(DECAY, x, y, start=[3.0, 0.5, 0.0]).parameters
    scaled = fit(DECAY, x * ux, y * uy, start=[3.0 * uy, 0.5 / ux, 0.0]).parameters
    np.testing.assert_allclose(scaled, plain * [uy, 1 / ux, uy], rtol=1e-8)


def test_units_do_not_matter_to_the_search() -> None:
    x, y = noisy(40)
    plain = fit(DECAY, x, y).parameters
    for ux, uy in ((1e-6, 1e3), (1e7, 1e-9)):
        np.testing.assert_allclose(
            fit(DECAY, x * ux, y * uy).parameters, plain * [uy, 1 / ux, uy], rtol=1e-8
        )


def test_the_loss_never_rises_and_a_search_repeats_itself() -> None:
    x, y = noisy(50)
    seen: list[State] = []
    first = fit(DECAY, x, y, start=[-1.0, 3.0, 9.0], run=Run(callback=seen.append))
    losses = [record.loss for record in first.history]
    assert all(b <= a * (1 + 1e-9) for a, b in pairwise(losses))
    assert [state.iteration for state in seen] == [r.iteration for r in first.history]
    assert (
        fit(DECAY, x, y, run=Run(Local(1), seed=Seed(3))).parameters.tobytes()
        == fit(DECAY, x, y, run=Run(Local(1), seed=Seed(3))).parameters.tobytes()
    )


def test_projection_changes_the_way_and_not_the_end() -> None:
    x, y = noisy(60)
    model = formula(DECAY)
    objective = FormulaObjective(model, ArrayRows(x, y), Local(1))
    none = np.full(3, np.inf)
    ends = []
    for linear in ((), (0, 2)):
        method = VariableProjection(linear, -none, none, degrees=57.0)
        state, _ = descend(method, objective, np.array([3.0, 0.5, 0.0]))
        assert state.converged
        ends.append(state)
    np.testing.assert_allclose(ends[0].parameters, ends[1].parameters, rtol=1e-9)
    assert ends[1].iteration <= ends[0].iteration


def test_triangles_merge_and_cholesky_gives_way_to_qr() -> None:
    x, y = noisy(20_000)
    weight = np.random.default_rng(2).uniform(0.0, 2.0, 20_000)
    model, at = formula(DECAY), np.array([4.0, 1.1, 0.5])
    exact, quick = (
        np.abs(
            FormulaObjective(model, ArrayRows(x, y, weight), Local(2), exact=exact).triangle(
                at, (0, 1, 2)
            )
        )
        for exact in (True, False)
    )
    outputs, jacobian = model.outputs_and_jacobian(at, x)
    whole = np.column_stack([jacobian[:, 0], outputs - y]) * np.sqrt(weight)[:, None]
    np.testing.assert_allclose(exact, np.abs(np.linalg.qr(whole, mode="r")), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(quick, exact, rtol=1e-9, atol=1e-9)
    # Columns equal to eight digits: squared, nothing is left of the difference.
    near = formula("y ~ a*x + b*(x + 1e-8*x**2)")
    r = FormulaObjective(near, ArrayRows(x, y), Local(1), exact=False).triangle(np.ones(2), (0, 1))
    np.testing.assert_allclose(
        abs(r[1, 1]), np.abs(np.linalg.qr(np.hstack([x, 1e-8 * x**2]), mode="r")[1, 1]), rtol=1e-6
    )


# What the data say


def test_what_is_not_determined_is_named() -> None:
    x, y = noisy(50)
    trained = fit("y ~ a + b + c*x", x, y)
    assert trained.facts.undetermined == ("a", "b")
    assert any("parameters a, b are not determined" in warning for warning in trained.warnings)
    model = FormulaRegressor("y ~ a + b + c*x").fit(x, y[:, 0])
    assert [math.isinf(row["standard_error"]) for row in model.table_] == [True, True, False]
    product = fit("y ~ a*b*exp(-k*x) + c", x, y, start=[2.0, 2.0, 1.0, 1.0])
    assert product.facts.undetermined == ("a", "b")
    assert fit("y ~ a + c*x", x, y).warnings == ()


def test_as_many_rows_as_parameters_leave_no_noise() -> None:
    trained = fit("y ~ a + b*x", np.array([[0.0], [1.0]]), np.array([[1.0], [3.0]]))
    np.testing.assert_allclose(trained.parameters, [1.0, 2.0])
    assert trained.covariance is None


def test_profile_of_a_linear_model_is_the_t_interval() -> None:
    x, y = noisy(30)
    trained = fit("y ~ a + b*x", x, y, profile=True)
    width = student_t.ppf(0.975, 28) * errors_of(trained)
    for (low, high), value, half in zip(
        trained.facts.profile.values(), trained.parameters, width, strict=True
    ):
        np.testing.assert_allclose([low, high], [value - half, value + half], rtol=1e-5)


def test_profile_ends_where_the_loss_says() -> None:
    x, y = noisy(25, noise=0.5)
    trained = fit(DECAY, x, y, profile=True)
    low, high = trained.facts.profile["b2"]
    limit = trained.facts.sse * (1 + student_t.ppf(0.975, 22) ** 2 / 22)
    for value in (low, high):
        phi = np.column_stack([np.exp(-value * x[:, 0]), np.ones(25)])
        left = y[:, 0] - phi @ np.linalg.lstsq(phi, y[:, 0], rcond=None)[0]
        np.testing.assert_allclose(left @ left, limit, rtol=1e-4)
    center = trained.parameters[1]
    assert high - center > 1.05 * (center - low)  # not symmetric, as the t interval would be


def test_a_step_that_overflows_is_shortened() -> None:
    # From here the first Gauss-Newton step of b2 is far beyond what exp can take.
    x = np.array([[1.0], [2.0], [3.0], [5.0], [7.0], [10.0]])
    y = np.array([[109.0], [149.0], [149.0], [191.0], [213.0], [224.0]])
    trained = fit("y ~ b1*(1-exp(-b2*x))", x, y, start=[1.0, 1.0])
    np.testing.assert_allclose(trained.parameters, [213.80940889, 0.54723748542], rtol=1e-9)


def test_exact_data() -> None:
    x = np.linspace(0.0, 4.0, 30)[:, None]
    for start in (None, [1.0, 1.0, 1.0]):
        trained = fit(DECAY, x, decay(x, 5.0, 1.3, 0.7), start=start)
        np.testing.assert_allclose(trained.parameters, [5.0, 1.3, 0.7], rtol=1e-12)
        assert trained.termination.converged


def test_two_peaks_without_a_start() -> None:
    random = np.random.default_rng(5)
    x = np.linspace(0.0, 100.0, 200)[:, None]
    y = (
        3 * np.exp(-((x - 30) ** 2) / 8**2)
        + 2 * np.exp(-((x - 62) ** 2) / 12**2)
        + 0.05 * random.normal(size=(200, 1))
    )
    trained = fit("y ~ b1*exp(-(x-b2)**2/b3**2) + b4*exp(-(x-b5)**2/b6**2)", x, y)
    np.testing.assert_allclose(trained.parameters, [3, 30, 8, 2, 62, 12], rtol=0.03)


def test_a_poor_start_is_helped_and_said_so() -> None:
    random = np.random.default_rng(6)
    x = np.linspace(0.0, 10.0, 100)[:, None]
    y = np.sin(2.0 * x) + 0.1 * random.normal(size=(100, 1))
    trained = fit("y ~ a*sin(w*x)", x, y, start=[1.0, 5.0])
    np.testing.assert_allclose(np.abs(trained.parameters), [1.0, 2.0], rtol=0.05)
    assert any("a search found a better one" in warning for warning in trained.warnings)


def test_limits_stop_the_descent() -> None:
    x, y = noisy(50)
    model = formula(DECAY)
    objective = FormulaObjective(model, ArrayRows(x, y), Local(1))
    none = np.full(3, np.inf)
    state, _ = descend(
        VariableProjection((), -none, none), objective, np.array([9.0, 9.0, 9.0]), iterations=2
    )
    assert state.stopped == Termination(Reason.ITERATION_LIMIT, 2)
    assert not state.converged


def test_a_broken_stick_is_fitted() -> None:
    """Against the least squares of the two lines, the break found on a fine grid."""
    random = np.random.default_rng(3)
    x = np.linspace(0, 10, 60)
    y = 1 + 0.5 * x - 1.2 * np.maximum(0, x - 6.3) + random.normal(0, 0.1, 60)

    def sse(c: float) -> float:
        design = np.column_stack([np.ones(60), x, np.maximum(0, x - c)])
        return float(np.sum((design @ np.linalg.lstsq(design, y, rcond=None)[0] - y) ** 2))

    grid = np.linspace(6, 6.6, 6001)
    best = grid[np.argmin([sse(c) for c in grid])]
    fitted = halfsquare.fit(
        {"x": x, "y": y}, formula="y ~ a + b*x + d*max(0, x - c)", test_fraction=0
    )
    found = {p.name: p for p in fitted.parameters}
    assert found["c"].value == pytest.approx(best, abs=2e-4)
    assert found["c"].standard_error == pytest.approx(0.05, rel=0.6)


def test_a_parameter_that_only_decides_is_refused_and_may_be_fixed() -> None:
    data = {"x": np.arange(10.0), "y": np.where(np.arange(10) < 4, 1.0, 3.0)}
    formula = "y ~ where(x < c, a, b)"
    with pytest.raises(FormulaError, match=r"'c' .* only decides where a condition holds"):
        halfsquare.fit(data, formula=formula, test_fraction=0)
    fitted = halfsquare.fit(data, formula=formula, fix={"c": 4.0}, test_fraction=0)
    values = {p.name: p.value for p in fitted.parameters}
    assert (values["a"], values["b"]) == (pytest.approx(1.0), pytest.approx(3.0))


@pytest.mark.parametrize("errors", ["hc0", "hc1", "hc2", "hc3", "cluster:g"])
def test_robust_errors_are_those_of_the_linearized_fit(errors: str, tmp_path: Path) -> None:
    """White (1981): ordinary least squares on the Jacobian at the estimate, by statsmodels."""
    random = np.random.default_rng(0)
    x, g = random.uniform(0, 5, 80), random.integers(0, 12, 80)
    y = 3 * np.exp(-0.7 * x) + 0.5 + random.normal(0, 0.05 + 0.1 * x)
    data = {"x": x, "y": y, "g": np.array([f"g{i}" for i in g])}
    formula = "y ~ a*exp(-b*x) + c"
    fitted = halfsquare.fit(data, formula=formula, errors=errors, test_fraction=0)
    a, b, c = (p.value for p in fitted.parameters)
    jacobian = np.column_stack([np.exp(-b * x), -a * x * np.exp(-b * x), np.ones(80)])
    left = y - (a * np.exp(-b * x) + c)
    clusters = {"cov_type": "cluster", "cov_kwds": {"groups": g}}
    kind = clusters if errors == "cluster:g" else {"cov_type": errors.upper()}
    known = sm.OLS(left, jacobian).fit(**kind)
    found = [p.standard_error for p in fitted.parameters]
    np.testing.assert_allclose(found, known.bse, rtol=1e-7)
    classical = halfsquare.fit(data, formula=formula, test_fraction=0)
    assert abs(classical.parameters[0].standard_error / found[0] - 1) > 0.1
    fitted.save(tmp_path / "m.hsq")
    assert halfsquare.load(tmp_path / "m.hsq").parameters == fitted.parameters
    assert f"standard errors {errors}" in fitted.summary()


def test_robust_errors_want_parameters_that_the_rows_determine() -> None:
    data = {"x": np.arange(8.0), "y": np.arange(8.0) ** 2}
    with pytest.raises(FitError, match="parameters that the rows determine"):
        halfsquare.fit(data, formula="y ~ (a + b)*x", errors="hc1", test_fraction=0)


@pytest.mark.parametrize(
    ("formula", "named"),
    [
        ("y ~ a + b*X", "X is no column and is fitted as a parameter: did you mean the column 'x'"),
        ("y ~ a + b*dose*x", "did you mean the column 'doses'?"),
        ("y ~ a + dose*x", ""),  # determined
        (
            "y ~ a*exp(-k*xx)",
            "no column stands in the formula 'y ~ a*exp(-k*xx)', so that every row has the same "
            "output: xx is fitted as a parameter; did you mean the column 'x'?",
        ),
        ("y ~ a + b*X", "no column stands in the formula"),
        ("y ~ m", "every row has the same output; the columns are 'x', 'doses'"),
    ],
)
def test_a_parameter_that_looks_like_a_column_is_named(formula: str, named: str) -> None:
    x = np.linspace(0.0, 3.0, 20)
    rows = {"x": x, "doses": x**2, "y": 1 + 2 * x + np.sin(9 * x)}
    said = " ".join(halfsquare.fit(rows, formula=formula, test_fraction=0).info["warnings"])
    assert named in said if named else "did you mean" not in said
    assert ("no column stands" in said) == (formula not in ("y ~ a + b*dose*x", "y ~ a + dose*x"))


def test_the_estimator_says_that_no_column_stands_in_the_formula() -> None:
    x = np.linspace(0.0, 3.0, 20)
    model = halfsquare.FormulaRegressor("y ~ a*exp(-k*xx)").fit(x[:, None], np.exp(-x))
    (said,) = [w for w in model.fitted_.info["warnings"] if "no column" in w]
    assert "did you mean the column 'x" in said
    right = halfsquare.FormulaRegressor("y ~ a*exp(-k*x)").fit(x[:, None], np.exp(-x))
    assert not any("no column" in w for w in right.fitted_.info["warnings"])

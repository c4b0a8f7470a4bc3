"""The linear model against statsmodels, scikit-learn, NIST's certified values and exact rational
arithmetic.
"""

from __future__ import annotations

import warnings
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize_scalar
from sklearn.linear_model import Ridge

from halfsquare import FittedModel, LinearRegressor
from halfsquare import fit as fit_any
from halfsquare.data.rows import ArrayRows
from halfsquare.errors import DataError, FitError, OptionError
from halfsquare.parallel.threads import Local
from halfsquare.solvers.least_squares import evidence_l2
from halfsquare.solvers.normal_system import System, linear_sums

fit = partial(fit_any, model="linear")


def table(x: np.ndarray, t: np.ndarray, w: np.ndarray | None = None) -> dict[str, np.ndarray]:
    columns = {f"x{j}": x[:, j] for j in range(x.shape[1])}
    columns |= {"y": t} if t.ndim == 1 else {f"y{j}": t[:, j] for j in range(t.shape[1])}
    return columns if w is None else {**columns, "w": w}


def fit_all(
    x: np.ndarray, t: np.ndarray, w: np.ndarray | None = None, **options: Any
) -> FittedModel:
    target = "y" if t.ndim == 1 else [f"y{j}" for j in range(t.shape[1])]
    return fit(
        table(x, t, w), target, weights=None if w is None else "w", test_fraction=0, **options
    )


def of(fitted: FittedModel, name: str) -> np.ndarray:
    return np.array([getattr(p, name) for p in fitted.parameters])


def digits(found: np.ndarray, certified: np.ndarray) -> float:
    """The log relative error, NIST's measure: how many digits agree, of the worst."""
    off = np.abs(np.asarray(found) - certified) / np.abs(certified)
    return (
        float(-np.log10(np.maximum(off, 1e-16)).max())
        if off.max() == 0
        else float(-np.log10(off.max()))
    )


def exact_least_squares(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The solution of the normal equations of [1 | x] in fractions, rounded once at the end."""
    rows = [[Fraction(1), *map(Fraction, r)] for r in x.tolist()]
    p, target = len(rows[0]), [Fraction(v) for v in t.tolist()]
    system = [
        [sum(r[i] * r[j] for r in rows) for j in range(p)]
        + [sum(r[i] * v for r, v in zip(rows, target, strict=True))]
        for i in range(p)
    ]
    for i in range(p):
        for other in range(p):
            if other != i:
                factor = system[other][i] / system[i][i]
                system[other] = [
                    a - factor * b for a, b in zip(system[other], system[i], strict=True)
                ]
    return np.array([float(system[i][p] / system[i][i]) for i in range(p)])


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 5)) * [1, 10, 0.1, 5, 1e3] + [0, 100, 3, -4, 1e5]
    t = 3 + x @ [1, -0.2, 30, 0.5, 1e-3] + rng.normal(size=300)
    return x, t, rng.integers(1, 6, 300).astype(float)


# --- statsmodels ----------------------------------------------------------------------------------
# -------------------


def test_against_statsmodels_ols(data: tuple) -> None:
    x, t, _ = data
    fitted, reference = fit_all(x, t), sm.OLS(t, sm.add_constant(x)).fit()
    np.testing.assert_allclose(of(fitted, "value"), reference.params, rtol=1e-9)
    np.testing.assert_allclose(of(fitted, "standard_error"), reference.bse, rtol=1e-9)
    np.testing.assert_allclose(of(fitted, "t"), reference.tvalues, rtol=1e-8)
    np.testing.assert_allclose(of(fitted, "p"), reference.pvalues, rtol=1e-6, atol=1e-300)
    np.testing.assert_allclose(
        np.column_stack([of(fitted, "low"), of(fitted, "high")]), reference.conf_int(), rtol=1e-7
    )
    assert fitted.train["r2"] == pytest.approx(reference.rsquared, rel=1e-11)
    assert fitted.residual_standard_deviation[0] ** 2 == pytest.approx(reference.scale, rel=1e-10)
    assert fitted.info["facts"]["degrees_of_freedom"] == reference.df_resid
    assert fitted.train["sse"] == pytest.approx(reference.ssr, rel=1e-10)


def test_prediction_intervals_against_statsmodels(data: tuple) -> None:
    x, t, _ = data
    new = x[:7] * 1.3 + 1
    reference = (
        sm.OLS(t, sm.add_constant(x)).fit().get_prediction(sm.add_constant(new, has_constant="add"))
    )
    for level in (0.5, 0.95, 0.99):
        expected = reference.summary_frame(alpha=1 - level)
        output, low, high = fit_all(x, t).interval({f"x{j}": new[:, j] for j in range(5)}, level)
        np.testing.assert_allclose(output, expected["mean"], rtol=1e-9)
        np.testing.assert_allclose(low, expected["obs_ci_lower"], rtol=1e-7)
        np.testing.assert_allclose(high, expected["obs_ci_upper"], rtol=1e-7)


def test_weights_against_statsmodels_wls(data: tuple) -> None:
    x, t, _ = data
    w = np.random.default_rng(4).uniform(0.1, 3, len(t))
    np.testing.assert_allclose(
        of(fit_all(x, t, w), "value"),
        sm.WLS(t, sm.add_constant(x), weights=w).fit().params,
        rtol=1e-8,
    )


def test_an_integer_weight_is_a_repeated_row(data: tuple) -> None:
    """Coefficients, standard errors, intervals and every error measure; so unlike statsmodels' WLS,
    whose n is that of lines.
    """
    x, t, w = data
    times = w.astype(int)
    weighted, repeated = fit_all(x, t, w), fit_all(np.repeat(x, times, axis=0), np.repeat(t, times))
    for name in ("value", "standard_error", "low", "high"):
        np.testing.assert_allclose(of(weighted, name), of(repeated, name), rtol=1e-8)
    for name in ("sse", "mse", "mse_se", "r2", "too_high", "too_low", "mean_error"):
        assert weighted.train[name] == pytest.approx(repeated.train[name], rel=1e-9, abs=1e-12), (
            name
        )
    assert (weighted.train["rows"], weighted.train["weight"]) == (300, repeated.train["rows"])


def test_duplicated_data_keep_the_coefficients_and_shrink_the_error_bars(data: tuple) -> None:
    x, t, _ = data
    for l2 in (0.0, 0.3):
        once, many = fit_all(x, t, l2=l2), fit_all(np.tile(x, (4, 1)), np.tile(t, 4), l2=l2)
        np.testing.assert_allclose(of(many, "value"), of(once, "value"), rtol=1e-9)
        np.testing.assert_allclose(
            of(many, "standard_error"), of(once, "standard_error") / 2, rtol=0.02
        )


# --- certified values
# ------------------------------------------------------------------------------------------------

LONGLEY = np.array(
    # NIST Statistical Reference Datasets, Longley: estimate and its standard deviation.
    [
        [-3482258.63459582, 890420.383607373],
        [15.0618722713733, 84.9149257747669],
        [-0.358191792925910e-01, 0.334910077722432e-01],
        [-2.02022980381683, 0.488399681651699],
        [-1.03322686717359, 0.214274163161675],
        [-0.511041056535807e-01, 0.226073200069370],
        [1829.15146461355, 455.478499142212],
    ]
)


def test_longley_to_ten_digits() -> None:
    longley = sm.datasets.longley.load_pandas().data
    fitted = fit(longley, "TOTEMP", test_fraction=0)
    assert digits(of(fitted, "value"), LONGLEY[:, 0]) >= 10
    assert digits(of(fitted, "standard_error"), LONGLEY[:, 1]) >= 10
    assert digits(np.array(fitted.residual_standard_deviation), np.array([304.854073561965])) >= 10
    assert digits(np.array([fitted.train["r2"]]), np.array([0.995479004577296])) >= 10
    x, t = longley.drop(columns="TOTEMP").to_numpy(), longley["TOTEMP"].to_numpy()
    assert (
        digits(exact_least_squares(x, t), LONGLEY[:, 0]) >= 13
    )  # the fractions reproduce the certificate
    regressor = LinearRegressor().fit(x, t)
    assert digits(np.array([regressor.intercept_, *regressor.coef_]), LONGLEY[:, 0]) >= 10


@pytest.mark.parametrize("ratio", [1.0, 0.1], ids=["Wampler 1", "Wampler 2"])
def test_wampler_to_nine_digits(ratio: float) -> None:
    x = np.arange(21.0)[:, None] ** np.arange(1, 6)
    certified = ratio ** np.arange(6)
    t = np.array(
        [
            float(sum(Fraction(str(c)) * int(v) ** j for j, c in enumerate(certified)))
            for v in range(21)
        ]
    )
    fitted = fit_all(x, t)
    assert digits(of(fitted, "value"), certified) >= 9
    regressor = LinearRegressor().fit(x, t)
    assert digits(np.array([regressor.intercept_, *regressor.coef_]), certified) >= 9
    assert fitted.train["r2"] == pytest.approx(1.0, abs=1e-14)


def test_a_polynomial_of_degree_ten_against_fractions() -> None:
    """As hard as NIST's Filip: the columns' condition number is about 1e10 when standardized."""
    v = np.linspace(-8.8, -3.1, 82)
    x = v[:, None] ** np.arange(1, 11)
    t = np.sin(v) + 0.01 * np.random.default_rng(3).normal(size=82)
    fitted = fit_all(x, t)
    assert fitted.info["facts"]["path"] == "qr"
    assert fitted.info["warnings"] == []
    assert digits(of(fitted, "value"), exact_least_squares(x, t)) >= 6


def test_a_large_mean_does_not_cancel() -> None:
    """Mean 1e9 and standard deviation 1: the squares of the columns share their first 18 digits."""
    rng = np.random.default_rng(6)
    x = 1e9 + np.round(rng.normal(size=(2000, 3)), 3)
    t = np.round((x - 1e9) @ [1, -2, 0.5] + rng.normal(size=2000), 3) + 1e7
    expected = exact_least_squares(x, t)
    np.testing.assert_allclose(of(fit_all(x, t), "value"), expected, rtol=1e-7)
    regressor = LinearRegressor().fit(x, t)
    np.testing.assert_allclose([regressor.intercept_, *regressor.coef_], expected, rtol=1e-7)


# --- penalties ------------------------------------------------------------------------------------
# -------------------


@pytest.mark.parametrize("l2", [1e-4, 0.1, 3.0])
def test_ridge_against_scikit_learn(data: tuple, l2: float) -> None:
    x, t, w = data
    for weight in (None, w):
        total = float(len(t)) if weight is None else weight.sum()
        mean = np.average(x, axis=0, weights=weight)
        scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight))
        reference = Ridge(alpha=l2 * total, solver="svd").fit(
            (x - mean) / scale, t, sample_weight=weight
        )
        found = LinearRegressor(l2=l2).fit(x, t, sample_weight=weight)
        np.testing.assert_allclose(found.coef_, reference.coef_ / scale, rtol=1e-8)
        np.testing.assert_allclose(
            of(fit_all(x, t, weight, l2=l2), "value")[1:], reference.coef_ / scale, rtol=1e-8
        )


def test_a_penalty_counts_fewer_parameters(data: tuple) -> None:
    x, t, _ = data
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    eigenvalues = np.linalg.eigvalsh(z.T @ z / len(z))
    assert fit_all(x, t, l2=0.5).info["effective_parameters"] == pytest.approx(
        1 + np.sum(eigenvalues / (eigenvalues + 0.5))
    )
    assert fit_all(x, t).info["effective_parameters"] == 6


def log_evidence(z: np.ndarray, t: np.ndarray, l2: float) -> float:
    """log p(t) up to a constant, from the n×n covariance of the targets itself, the mean integrated
    out and σ² at its best.
    """
    n = len(t)
    basis = np.linalg.svd(np.ones((n, 1)))[0][:, 1:]  # the n-1 contrasts
    covariance = basis.T @ (np.eye(n) + z @ z.T / (l2 * n)) @ basis
    u = basis.T @ t
    return float(
        -0.5 * np.linalg.slogdet(covariance)[1]
        - 0.5 * (n - 1) * np.log(u @ np.linalg.solve(covariance, u))
    )


@pytest.mark.parametrize("noise", [0.5, 4.0, 15.0])
def test_automatic_l2_has_the_greatest_evidence(noise: float) -> None:
    rng = np.random.default_rng(11)
    x = rng.normal(size=(60, 12)) @ rng.normal(size=(12, 12))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    t = z @ rng.normal(size=12) + noise * rng.normal(size=60)
    best = minimize_scalar(
        lambda a: -log_evidence(z, t, np.exp(a)),
        bounds=(-15, 8),
        method="bounded",
        options={"xatol": 1e-7},
    ).x
    assert np.log(fit_all(x, t, l2="auto").info["facts"]["l2"]) == pytest.approx(best, abs=1e-3)
    assert np.log(LinearRegressor(l2="auto").fit(x, t).l2_) == pytest.approx(best, abs=1e-3)


def test_automatic_l2_does_not_change_when_outputs_are_scaled_or_there_is_nothing_to_learn() -> (
    None
):
    rng = np.random.default_rng(12)
    x, noise = rng.normal(size=(200, 30)), rng.normal(size=200)
    useless = fit_all(x, noise, l2="auto")
    assert useless.train["r2"] < 0.1 < fit_all(x, noise).train["r2"]
    assert fit_all(x, 1e6 * noise, l2="auto").info["facts"]["l2"] == pytest.approx(
        useless.info["facts"]["l2"], rel=1e-4
    )
    rows = ArrayRows(np.zeros((10, 2)), np.zeros((10, 1)))
    assert np.isfinite(evidence_l2(System.of(linear_sums(rows, Local(1)), 1)))


@pytest.mark.parametrize("l2", [-1.0, float("nan"), float("inf"), "some"])
def test_bad_penalties_are_refused(l2: Any) -> None:
    with pytest.raises(OptionError, match="expected a number >= 0, or 'auto'"):
        LinearRegressor(l2=l2).fit([[1.0], [2.0]], [1.0, 2.0])


# --- rank -----------------------------------------------------------------------------------------
# -------------------


def minimum_norm(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Slopes of smallest norm on standardized columns, in the units of x; by LAPACK's SVD."""
    scale = x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    solution = np.linalg.lstsq((x - x.mean(axis=0)) / scale, t - t.mean(axis=0), rcond=1e-10)[0]
    return (solution.T / scale).T


def test_collinear_columns_take_the_minimum_norm_and_are_named() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(2, 200))
    x = np.column_stack([a, b, 2 * a - 3 * b + 1])
    t = a + b + rng.normal(size=200)
    fitted = fit_all(x, t)
    np.testing.assert_allclose(of(fitted, "value")[1:], minimum_norm(x, t), rtol=1e-8)
    (warning,) = fitted.info["warnings"]
    assert "rank deficient: 'x" in warning
    assert "is determined by the other columns" in warning
    assert fitted.info["facts"]["rank"] == 2
    assert fitted.info["facts"]["degrees_of_freedom"] == 197
    reduced = fit_all(x[:, :2], t)
    assert fitted.train["sse"] == pytest.approx(reduced.train["sse"], rel=1e-10)
    assert fitted.residual_standard_deviation == pytest.approx(
        reduced.residual_standard_deviation, rel=1e-9
    )
    regressor = LinearRegressor().fit(x, t)
    np.testing.assert_allclose(regressor.coef_, minimum_norm(x, t), rtol=1e-8)
    assert regressor.rank_ == 2


def test_nearly_collinear_columns_are_no_case_of_deficiency() -> None:
    rng = np.random.default_rng(8)
    a = np.round(rng.normal(size=100), 3)
    x = np.column_stack([a, a + 1e-7 * np.round(rng.normal(size=100), 2)])
    t = x @ [1.0, 2.0]
    fitted = fit_all(x, t)
    assert fitted.info["warnings"] == []
    assert digits(of(fitted, "value")[1:], exact_least_squares(x, t)[1:]) >= 6


def test_constant_columns_are_left_out_or_have_no_slope() -> None:
    rng = np.random.default_rng(9)
    x = np.column_stack([rng.normal(size=50), np.full(50, 0.1), np.full(50, 1e6)])
    t = 2 * x[:, 0] + 1
    fitted = fit_all(x, t)
    assert fitted.encoder.left_out == {"x1": "constant: 0.1", "x2": "constant: 1e+06"}
    np.testing.assert_allclose(of(fitted, "value"), [1, 2], rtol=1e-12)
    np.testing.assert_allclose(LinearRegressor().fit(x, t).coef_, [2, 0, 0], atol=1e-12)


def test_fewer_rows_than_columns() -> None:
    rng = np.random.default_rng(10)
    x, t = rng.normal(size=(8, 20)), rng.normal(size=8)
    fitted = fit_all(x, t)
    np.testing.assert_allclose(of(fitted, "value")[1:], minimum_norm(x, t), rtol=1e-8)
    np.testing.assert_allclose(fitted.predict(table(x, t)), t, atol=1e-10)
    assert any("rank deficient" in w for w in fitted.info["warnings"])
    assert np.isnan(
        of(fitted, "standard_error")
    ).all()  # no degree of freedom is left to tell the noise
    assert np.isnan(of(fitted, "p")).all()


def test_one_row_and_equal_targets() -> None:
    one = fit_all(np.array([[3.0, 4.0]]), np.array([5.0]))
    assert one.predict({"x0": [0.0, 9.0], "x1": [1.0, 1.0]}).tolist() == [5.0, 5.0]
    equal = fit_all(np.arange(10.0)[:, None], np.full(10, 7.0))
    np.testing.assert_allclose(of(equal, "value"), [7, 0], atol=1e-12)
    assert equal.train["sse"] == pytest.approx(0, abs=1e-20)
    assert equal.train["r2"] is None
    np.testing.assert_allclose(
        LinearRegressor().fit(np.arange(10.0)[:, None], np.full(10, 7.0)).predict([[99.0]]), [7.0]
    )


def test_no_feature_at_all_is_the_mean() -> None:
    fitted = fit({"y": np.array([1.0, 2.0, 6.0])}, "y", test_fraction=0)
    assert [p.value for p in fitted.parameters] == [3.0]
    assert fitted.parameters[0].standard_error == pytest.approx(
        np.std([1, 2, 6], ddof=1) / np.sqrt(3)
    )


def test_several_targets_are_those_of_each_alone(data: tuple) -> None:
    x, t, w = data
    both = np.column_stack([t, 100 - 3 * x[:, 0] + np.sin(t)])
    for weight in (None, w):
        together = fit_all(x, both, weight)
        values, errors = (
            of(together, "value").reshape(-1, 2),
            of(together, "standard_error").reshape(-1, 2),
        )
        for j in range(2):
            alone = fit_all(x, both[:, j], weight)
            np.testing.assert_allclose(values[:, j], of(alone, "value"), rtol=1e-9)
            np.testing.assert_allclose(errors[:, j], of(alone, "standard_error"), rtol=1e-9)
        assert together.parameters[0].name == "y0: intercept"
    outputs, low, high = together.interval(table(x, both, w))
    assert outputs.shape == low.shape == high.shape == (300, 2)
    assert (low < outputs).all()
    assert (outputs < high).all()


def test_weights_of_zero_only_are_refused() -> None:
    rows = ArrayRows(np.ones((2, 1)), np.ones((2, 1)), np.zeros(2))
    with pytest.raises(FitError, match="no rows of positive weight"):
        System.of(linear_sums(rows, Local(1)), 1)
    with pytest.raises(ValueError, match="non-zero"):
        LinearRegressor().fit([[1.0], [2.0]], [1.0, 2.0], sample_weight=[0.0, 0.0])
    with pytest.raises(DataError, match="both a target and a positive weight"):
        fit({"x": [1.0, 2.0], "y": [1.0, 2.0], "w": [0.0, 0.0]}, "y", weights="w")


def test_overflow_is_named() -> None:
    with pytest.raises(DataError, match="lost in float64"):
        LinearRegressor().fit([[1e200], [-1e200]], [1.0, 2.0])


# --- promises -------------------------------------------------------------------------------------
# -------------------


@pytest.mark.parametrize("method", ["least-squares", "gradient", "minibatch"])
def test_the_number_of_threads_changes_no_bit(method: str) -> None:
    rng = np.random.default_rng(13)
    x = rng.normal(size=(70_000, 4))
    columns = table(x, x @ [1.0, 2, 3, 4] + rng.normal(size=70_000), rng.uniform(size=70_000))
    results = [fit(columns, "y", weights="w", method=method, threads=n) for n in (1, 2, 4)]
    for other in results[1:]:
        assert [vars(p) for p in other.parameters] == [vars(p) for p in results[0].parameters]
        assert (other.test, other.train) == (results[0].test, results[0].train)
        assert other.info["history"] == results[0].info["history"]


def test_the_test_rows_are_the_seeds_choice_and_not_used_for_training(data: tuple) -> None:
    x, t, _ = data
    first, again, other = (fit(table(x, t), "y", seed=s) for s in (0, 0, 1))
    assert first.test == again.test
    assert first.test != other.test
    assert (first.test["rows"], first.train["rows"]) == (60, 240)
    assert first.info["refit"]
    np.testing.assert_allclose(
        of(first, "value"), of(fit_all(x, t), "value"), rtol=1e-10
    )  # refitted on all rows
    kept = fit(table(x, t), "y", refit=False)
    assert kept.test == first.test
    assert not kept.info["refit"]
    assert not np.allclose(of(kept, "value"), of(first, "value"), rtol=1e-6)


def test_intervals_cover_what_they_promise() -> None:
    rng = np.random.default_rng(14)
    inside = []
    for _ in range(60):
        x = rng.normal(size=(40, 3))
        t, new = x @ [1, 2, 3] + rng.normal(size=40), rng.normal(size=(50, 3))
        _, low, high = fit_all(x[:20], t[:20]).interval(
            {f"x{j}": new[:, j] for j in range(3)}, 0.95
        )
        target = new @ [1, 2, 3] + rng.normal(size=50)
        inside.append(np.mean((low <= target) & (target <= high)))
    # Rows that share a fit are not independent: the error is estimated from the 60 fits.
    assert np.mean(inside) == pytest.approx(0.95, abs=3 * np.std(inside) / np.sqrt(60))
    assert np.std(inside) / np.sqrt(60) < 0.01


def test_nothing_warns(data: tuple) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(table(*data[:2]), "y")

"""Least squares from exact sums: against rational elimination, NIST's certified values, and itself
in other batches.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from halfsquare import LinearRegressor
from halfsquare.errors import FitError, ShapeError
from halfsquare.exact.gram import ExactGram
from halfsquare.exact.integer_solver import BITS, Factors
from halfsquare.exact.least_squares import train_exactly
from halfsquare.exact.normal_equations import ExactSystem


def rational_solution(
    x: np.ndarray, t: np.ndarray, w: np.ndarray | None = None, l2: float = 0.0
) -> list[Fraction]:
    """Intercept and slopes by Gaussian elimination of the normal equations in fractions."""
    a = [[Fraction(1), *map(Fraction, row)] for row in x.tolist()]
    b, weight = (
        [Fraction(v) for v in t.tolist()],
        [Fraction(v) for v in ([1] * len(x) if w is None else w.tolist())],
    )
    p, total = len(a[0]), sum(weight)
    m = [
        [sum(u * r[i] * r[j] for u, r in zip(weight, a, strict=True)) for j in range(p)]
        for i in range(p)
    ]
    right = [sum(u * r[i] * v for u, r, v in zip(weight, a, b, strict=True)) for i in range(p)]
    for i in range(1, p):  # the penalty: λ times the column's squares about its mean
        m[i][i] += Fraction(l2) * (m[i][i] - m[0][i] ** 2 / total)
    for i in range(p):
        pivot = next(r for r in range(i, p) if m[r][i])
        m[i], m[pivot], right[i], right[pivot] = m[pivot], m[i], right[pivot], right[i]
        for r in range(p):
            if r != i and m[r][i]:
                factor = m[r][i] / m[i][i]
                m[r] = [u - factor * v for u, v in zip(m[r], m[i], strict=True)]
                right[r] -= factor * right[i]
    return [v / m[i][i] for i, v in enumerate(right)]


def trained(
    x: np.ndarray, t: np.ndarray, w: np.ndarray | None = None, l2: float = 0.0
) -> np.ndarray:
    gram = ExactGram.zero(x.shape[1] + 2).add(np.vstack([np.ones(len(x)), x.T, t]), w)
    names = [f"x{j}" for j in range(x.shape[1])]
    return train_exactly(ExactSystem.of_gram(gram, 1), names, ["y"], l2=l2).parameters


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.01, 3.0]),
    st.booleans(),
    st.integers(-60, 60),
)
def test_every_coefficient_is_the_exact_one_rounded(
    seed: int, l2: float, weighted: bool, size: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(9, 3)) + rng.normal(size=3) * 100
    x[:, 1] = x[:, 1].round(1) + x[:, 0] * 10.0 ** rng.integers(-3, 6)
    x *= 10.0 ** rng.integers(-20, 20, 3)
    t, w = rng.normal(size=9) * 10.0**size, rng.random(9) + 0.01 if weighted else None
    assert trained(x, t, w, l2).tolist() == [float(v) for v in rational_solution(x, t, w, l2)]


@pytest.mark.parametrize("gap", [1e-3, 1e-7])
def test_nearly_collinear_columns_lose_nothing(gap: float) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 4))
    x[:, 3] = x[:, 0] + x[:, 1] + gap * rng.normal(size=30)
    t = rng.normal(size=30)
    assert trained(x, t).tolist() == [float(v) for v in rational_solution(x, t)]


def test_the_error_of_nearly_collinear_columns_is_known_to_fit() -> None:
    """Large coefficients that cancel leave no digits of SSE in rounded sums: there it is summed
    from the errors.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 6))
    x[:, 5] = x[:, 0] + 1e-6 * rng.normal(size=1000)
    t = rng.normal(size=1000)
    assert LinearRegressor().fit(x, t).sigma_ == pytest.approx(
        LinearRegressor().partial_fit(x, t).sigma_, rel=1e-10
    )


NOISE = np.array(
    [
        759,
        -2048,
        2048,
        -2048,
        2523,
        -2048,
        2048,
        -2048,
        1838,
        -2048,
        2048,
        -2048,
        1838,
        -2048,
        2048,
        -2048,
        2523,
        -2048,
        2048,
        -2048,
        759,
    ]
)
# NIST Statistical Reference Datasets, Wampler3 to Wampler5: every coefficient is 1; their standard
# deviations.
WAMPLER = [
    2152.32624678170,
    2363.55173469681,
    779.343524331583,
    101.475507550350,
    5.64566512170752,
    0.112324854679312,
]


@pytest.mark.parametrize("times", [0, 1, 100, 10_000])
def test_wampler_to_the_last_digit(times: int) -> None:
    x = np.arange(21.0)[:, None] ** np.arange(1, 6)
    model = LinearRegressor().partial_fit(x, 1 + x.sum(axis=1) + times * NOISE)
    assert [model.intercept_, *model.coef_] == [1.0] * 6
    errors = [model.intercept_std_error_, *model.coef_std_error_]
    np.testing.assert_allclose(errors, times * np.array(WAMPLER), rtol=1e-13)
    assert model.sigma_ == pytest.approx(times * 2360.14502379268, rel=1e-14)
    once = LinearRegressor().fit(
        x, 1 + x.sum(axis=1) + times * NOISE
    )  # rounded sums cannot do that
    assert [once.intercept_, *once.coef_] != [1.0] * 6


# NIST Statistical Reference Datasets, Longley.
LONGLEY = [
    -3482258.63459582,
    15.0618722713733,
    -0.358191792925910e-01,
    -2.02022980381683,
    -1.03322686717359,
    -0.511041056535807e-01,
    1829.15146461355,
]
LONGLEY_ERRORS = [
    890420.383607373,
    84.9149257747669,
    0.334910077722432e-01,
    0.488399681651699,
    0.214274163161675,
    0.226073200069370,
    455.478499142212,
]


def test_longley_to_every_certified_digit() -> None:
    table = sm.datasets.longley.load_pandas().data
    x, t = table.drop(columns="TOTEMP").to_numpy(), table["TOTEMP"].to_numpy()
    model = LinearRegressor().partial_fit(x[:5], t[:5]).partial_fit(x[5:], t[5:])
    np.testing.assert_allclose([model.intercept_, *model.coef_], LONGLEY, rtol=1e-14)
    np.testing.assert_allclose(
        [model.intercept_std_error_, *model.coef_std_error_], LONGLEY_ERRORS, rtol=1e-12
    )


def test_determined_columns_have_the_smallest_norm() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 5))
    x = np.column_stack([x, x[:, 0] - 2 * x[:, 3], np.full(40, 3.0)])
    t = rng.normal(size=40)
    model, once = LinearRegressor().partial_fit(x, t), LinearRegressor().fit(x, t)
    assert model.rank_ == once.rank_ == 5
    np.testing.assert_allclose(model.coef_, once.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.coef_std_error_, once.coef_std_error_, rtol=1e-9, atol=1e-12)
    z = x[:, :6] / x[:, :6].std(axis=0)
    expected = np.linalg.pinv(z - z.mean(axis=0)) @ (t - t.mean()) / x[:, :6].std(axis=0)
    np.testing.assert_allclose(model.coef_, [*expected, 0.0], rtol=1e-9, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_partial_fit_in_any_batches_gives_the_same_bits(seed: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(60, 3)) * [1, 1e5, 1e-5] + 7, rng.normal(size=(60, 2))
    w = rng.random(60) if weighted else None
    whole = LinearRegressor().partial_fit(x, t, w)
    order, cuts = rng.permutation(60), [0, *sorted(rng.integers(1, 60, 4)), 60]
    parts = LinearRegressor()
    for i, j in itertools.pairwise(cuts):
        at = order[i:j]
        if len(at):
            parts.partial_fit(x[at], t[at], None if w is None else w[at])
    for name in ("coef_", "intercept_", "coef_std_error_", "intercept_std_error_", "sigma_"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name
    reference = LinearRegressor().fit(x, t, w)
    np.testing.assert_allclose(whole.coef_, reference.coef_, rtol=1e-8)
    np.testing.assert_allclose(whole.coef_std_error_, reference.coef_std_error_, rtol=1e-9)


def test_partial_fit_against_statsmodels() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(500, 4)) + 2
    t = x @ [1.0, -2.0, 0.5, 3.0] + rng.normal(size=500)
    model = LinearRegressor()
    for at in np.array_split(np.arange(500), 7):
        model.partial_fit(x[at], t[at])
    reference = sm.OLS(t, sm.add_constant(x)).fit()
    np.testing.assert_allclose([model.intercept_, *model.coef_], reference.params, rtol=1e-12)
    np.testing.assert_allclose(
        [model.intercept_std_error_, *model.coef_std_error_], reference.bse, rtol=1e-12
    )


@pytest.mark.parametrize("l2", [0.0, 0.1, "auto"])
def test_a_constant_column_has_no_coefficient(l2: float | str) -> None:
    rng = np.random.default_rng(6)
    x, t = np.column_stack([rng.normal(size=50), np.full(50, 0.3)]), rng.normal(size=50)
    model, once = LinearRegressor(l2=l2).partial_fit(x, t), LinearRegressor(l2=l2).fit(x, t)
    assert model.coef_[1] == 0.0
    np.testing.assert_allclose(model.coef_[0], once.coef_[0], rtol=1e-6)


def test_fit_begins_anew() -> None:
    x, t = np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 2.0])
    model = LinearRegressor().partial_fit(x, 5 * t).fit(x, t).partial_fit(x, 3 * t)
    assert model.coef_.tolist() == [3.0] and model.sums_.rows == 3


def test_what_does_not_go_together_is_refused() -> None:
    x = np.ones((3, 1))
    with pytest.raises(ShapeError, match="2 outputs; the rows before had 1"):
        LinearRegressor().partial_fit(x, [1.0, 2.0, 3.0]).partial_fit(x, np.ones((3, 2)))
    with pytest.raises(FitError, match="no rows of positive weight"):
        ExactSystem.of_gram(ExactGram.zero(3), 1)
    with pytest.raises(FitError, match="beyond float64"):
        LinearRegressor().partial_fit([[0.0], [1e-300], [2e-300]], [0.0, 1e300, 1e300])


def test_factors_in_whole_numbers() -> None:
    rng = np.random.default_rng(4)
    a = rng.integers(-9, 9, (6, 4))
    gram = (a.T @ a).astype(object)
    factors = Factors.of(gram << BITS, 10**20)
    inverse = np.array([[int(v) / (1 << BITS) for v in row] for row in factors.inverse()])
    at = list(factors.kept)
    np.testing.assert_allclose(
        inverse, np.linalg.inv(gram.astype(float)[np.ix_(at, at)]), rtol=1e-10
    )
    assert Factors.of(np.zeros((2, 2), dtype=object), 10**20).left == (0, 1)

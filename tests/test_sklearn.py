"""LinearRegressor as scikit-learn sees it: its own checks, pipelines, searches, pickles and
weights.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from halfsquare import LinearRegressor
from halfsquare.errors import DataError


@parametrize_with_checks(
    [
        LinearRegressor(n_jobs=1),
        LinearRegressor(l2="auto", n_jobs=1),
        LinearRegressor(l2=0.1, n_jobs=1),
        LinearRegressor(method="gradient", n_jobs=1),
        LinearRegressor(method="minibatch", n_jobs=1),
    ]
)
# What a check skips it says by a warning.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)) * [1, 10, 100, 0.1] + 3
    return x, x @ [1, 0.5, -0.02, 20] + 4 + rng.normal(size=200)


def test_the_same_answer_as_scikit_learn(data: tuple) -> None:
    x, t = data
    ours, theirs = LinearRegressor().fit(x, t), LinearRegression().fit(x, t)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-10)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-10)
    assert ours.score(x, t) == pytest.approx(theirs.score(x, t), rel=1e-12)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-10)


def test_pipelines_searches_and_cross_validation(data: tuple) -> None:
    x, t = data
    pipeline = make_pipeline(
        StandardScaler(), PolynomialFeatures(2, include_bias=False), LinearRegressor(n_jobs=1)
    )
    assert cross_val_score(pipeline, x, t, cv=4).min() > 0.8
    reference = make_pipeline(
        StandardScaler(), PolynomialFeatures(2, include_bias=False), LinearRegression()
    )
    np.testing.assert_allclose(
        cross_val_score(pipeline, x, t, cv=4), cross_val_score(reference, x, t, cv=4), rtol=1e-8
    )
    search = GridSearchCV(LinearRegressor(n_jobs=1), {"l2": [0.0, 100.0, "auto"]}, cv=3).fit(x, t)
    assert search.best_params_["l2"] != 100.0


def test_clones_and_pickles(data: tuple) -> None:
    model = LinearRegressor(method="gradient", l2=0.2, random_state=3, n_jobs=2)
    assert clone(model).get_params() == model.get_params()
    model.fit(*data)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict(data[0]), model.predict(data[0])
    )
    with pytest.raises(AttributeError):
        _ = clone(model).coef_


def test_integer_weights_are_repeated_rows(data: tuple) -> None:
    x, t = data
    times = np.random.default_rng(1).integers(0, 4, 200)
    weighted = LinearRegressor().fit(x, t, sample_weight=times)
    repeated = LinearRegressor().fit(np.repeat(x, times, axis=0), np.repeat(t, times))
    for name in ("coef_", "intercept_", "coef_std_error_", "intercept_std_error_", "sigma_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-8)


def test_several_outputs_and_shapes(data: tuple) -> None:
    x, t = data
    column = LinearRegressor().fit(x, t[:, None])
    assert column.predict(x).shape == (200, 1)
    assert column.coef_.shape == (1, 4)
    two = LinearRegressor().fit(x, np.column_stack([t, -2 * t]))
    np.testing.assert_allclose(two.coef_[1], -2 * two.coef_[0], rtol=1e-9)
    assert two.coef_std_error_.shape == (2, 4)
    assert two.sigma_.shape == (2,)


def test_single_precision_is_summed_in_double(data: tuple) -> None:
    x, t = data
    single = LinearRegressor().fit(x.astype(np.float32), t)
    double = LinearRegressor().fit(x.astype(np.float32).astype(float), t)
    assert single.coef_.dtype == np.float64
    np.testing.assert_allclose(single.coef_, double.coef_, rtol=1e-10)
    rng = np.random.default_rng(2)
    far = (1000 + rng.normal(size=(5000, 2))).astype(np.float32)
    np.testing.assert_allclose(
        LinearRegressor().fit(far, far.astype(float) @ [1.0, 2.0]).coef_, [1, 2], rtol=1e-9
    )


def test_threads_and_a_second_fit_change_no_bit() -> None:
    rng = np.random.default_rng(3)
    x, t = rng.normal(size=(60_000, 5)), rng.normal(size=60_000)
    model = LinearRegressor(n_jobs=1).fit(x, t)
    np.testing.assert_allclose(
        LinearRegressor().fit(np.asfortranarray(x), t).coef_, model.coef_, rtol=1e-12
    )
    for other in (
        LinearRegressor(n_jobs=2).fit(x, t),
        LinearRegressor(n_jobs=3).fit(x, t),
        clone(model).fit(x, t),
    ):
        np.testing.assert_array_equal(other.coef_, model.coef_)
        np.testing.assert_array_equal(other.coef_std_error_, model.coef_std_error_)


def test_names_are_kept_and_bad_values_named(data: tuple) -> None:
    x, t = data
    frame = pd.DataFrame(x, columns=list("abcd"))
    model = LinearRegressor().fit(frame, t)
    assert model.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("dcba")])
    bad = x.copy()
    bad[7, 1] = np.inf
    for method in ("least-squares", "gradient"):
        with pytest.raises(ValueError, match="X contains infinity"):
            LinearRegressor(method=method).fit(bad, t)
    with pytest.raises(ValueError, match=r"weight is -1 in row 4; expected a number >= 0"):
        LinearRegressor().fit(x, t, sample_weight=np.where(np.arange(200) == 3, -1.0, 1.0))
    with pytest.raises(DataError, match="lost in float64"):
        LinearRegressor().fit(x * 1e200, t)

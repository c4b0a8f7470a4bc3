"""The estimators take what ``fit`` takes, and make the model that it makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline

from halfsquare import (
    AutoRegressor,
    FittedModel,
    FormulaRegressor,
    LinearRegressor,
    NetworkRegressor,
    TreesRegressor,
    fit,
    load,
)
from halfsquare.errors import DataError, NotFiniteError, OptionError

N = 60
FORMULA = "price ~ b0 + b1*area + b2*exp(-b3*age)"


def houses(n: int = N, seed: int = 0) -> pd.DataFrame:
    """Numbers, a text, a category, a date, gaps, a column that does not vary."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "area": random.uniform(40, 200, n),
            "town": random.choice(["Ulm", "Bonn", "Kiel"], n),
            "sold": pd.date_range("2021-03-01", periods=n, freq="9D"),
            "age": np.where(random.random(n) < 0.1, np.nan, random.uniform(0, 60, n)),
            "heating": pd.Categorical(random.choice(["gas", "oil"], n)),
            "country": 49.0,
        }
    )
    town = frame["town"].map({"Ulm": 40.0, "Bonn": 0.0, "Kiel": -30.0})
    frame["price"] = (
        2.5 * frame["area"]
        + town.to_numpy()
        + 80 * np.exp(-frame["age"].fillna(30) / 20)
        + random.normal(0, 8, n)
    )
    frame["sd"] = random.uniform(4, 12, n)
    return frame


ESTIMATORS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "linear": (LinearRegressor, {"model": "linear"}),
    "gradient": (lambda **o: LinearRegressor(method="gradient", **o), {"method": "gradient"}),
    "robust": (lambda **o: LinearRegressor(errors="hc3", **o), {"errors": "hc3"}),
    "network": (NetworkRegressor, {"model": "network"}),
    "trees": (TreesRegressor, {"model": "trees"}),
    "auto": (lambda **o: AutoRegressor(prefer="simple", **o), {"prefer": "simple"}),
    "formula": (lambda **o: FormulaRegressor(FORMULA, **o), {"formula": FORMULA}),
}
FRAMES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "mapping": lambda frame: {name: frame[name].to_numpy() for name in frame},
}


def same(one: FittedModel, other: FittedModel) -> None:
    assert one.encoder.names == other.encoder.names
    for mine, theirs in zip(one.members, other.members, strict=True):
        np.testing.assert_allclose(mine.parameters, theirs.parameters, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(mine.noise, theirs.noise, rtol=1e-12)
    assert one.record.training.calibration == other.record.training.calibration


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_model_is_the_one_that_fit_makes(name: str) -> None:
    make, options = ESTIMATORS[name]
    frame = houses().drop(columns="sd")
    x, y = frame.drop(columns="price"), frame["price"]
    model = make(random_state=3).fit(x, y)
    fitted = fit(frame, None if name == "formula" else "price", test_fraction=0, seed=3, **options)
    same(model.fitted_, fitted)
    rows = x.iloc[:7]
    assert model.feature_names_in_.tolist() == list(x) and model.n_features_in_ == 6
    np.testing.assert_allclose(model.predict(rows), fitted.predict(rows), rtol=1e-12)
    mean, std = model.predict(rows, return_std=True)
    np.testing.assert_allclose(std, fitted.predict_std(rows), rtol=1e-12)
    assert mean.shape == std.shape == (7,)
    np.testing.assert_allclose(
        model.predict(rows, interval=0.8), fitted.interval(rows, 0.8), rtol=1e-12
    )
    with pytest.raises(OptionError, match="ask for one"):
        model.predict(rows, return_std=True, interval=0.8)
    with pytest.raises(OptionError, match="level of an interval"):
        model.predict(rows, interval=1.0)


@pytest.mark.parametrize("weighting", ["sigma", "precision"])
@pytest.mark.parametrize("name", ["linear", "network", "trees", "auto", "formula"])
def test_what_weights_say_is_told_by_every_estimator(name: str, weighting: str) -> None:
    make, options = ESTIMATORS[name]
    frame = houses(60)[["area", "age", "price", "sd"]]
    weight = frame["sd"] if weighting == "sigma" else 100 / frame["sd"] ** 2
    model = make(weights=weighting).fit(frame[["area", "age"]], frame["price"], weight)
    fitted = fit(
        frame.assign(sd=weight),
        None if name == "formula" else "price",
        test_fraction=0,
        **{weighting: "sd"},
        **options,
    )
    same(model.fitted_, fitted)
    # Counts, whole ones: weights that are none are taken relative where a choice hangs on them.
    counted = make().fit(frame[["area", "age"]], frame["price"], np.ceil(weight))
    some = frame[["area", "age"]].iloc[:5]
    assert not np.allclose(model.predict(some, True)[1], counted.predict(some, True)[1], rtol=1e-3)
    with pytest.raises(OptionError, match="weights is 'variance'"):
        make(weights="variance").fit(frame[["area"]], frame["price"], weight)


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_of_any_kind_are_one(kind: str) -> None:
    frame = houses()
    y, x = frame.pop("price"), frame.drop(columns="sd")
    model = LinearRegressor().fit(FRAMES[kind](x), y.to_numpy())
    expected = LinearRegressor().fit(x, y)
    assert model.coef_names_ == expected.coef_names_
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    assert model.feature_names_in_.tolist() == list(x)
    np.testing.assert_array_equal(model.predict(FRAMES[kind](x)), expected.predict(x))


def test_coefficients_are_named_and_a_column_that_does_not_vary_has_one() -> None:
    frame = houses()
    y, x = frame.pop("price"), frame.drop(columns="sd")
    model = LinearRegressor().fit(x, y)
    named = dict(zip(model.coef_names_, model.coef_, strict=True))
    assert {"area", "sold day", "age", "age is missing", "country"} < named.keys()
    assert sum(name.startswith("town=") for name in named) == 2
    assert named["country"] == 0.0 and named["area"] == pytest.approx(2.5, abs=0.1)
    table = {p.name: p for p in model.fitted_.parameters}
    for name, value, error in zip(
        model.coef_names_, model.coef_, model.coef_std_error_, strict=True
    ):
        if name != "country":
            assert (value, error) == (table[name].value, table[name].standard_error)
    assert model.intercept_ == table["intercept"].value
    two = LinearRegressor().fit(x, np.column_stack([y, 2 * y]))
    np.testing.assert_allclose(two.coef_, [model.coef_, 2 * model.coef_], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gap", [False, True])
def test_an_array_is_the_table_of_its_columns(gap: bool) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(400, 3)) * [1.0, 50.0, 0.01] + 7
    x[:, 2] = 4.0
    y = x @ [1.0, 0.1, 0.0] + random.normal(size=400) * np.exp(0.02 * x[:, 1])
    if gap:
        x[5, 1] = np.nan
    fitted = fit({f"x{j + 1}": x[:, j] for j in range(3)} | {"y": y}, "y", model="linear",
                 test_fraction=0)  # fmt: skip
    model = LinearRegressor().fit(x, y)
    table = {p.name: p for p in fitted.parameters}
    assert model.coef_names_ == ["x1", "x2", *(["x2 is missing"] if gap else []), "x3"]
    for name, value in zip(model.coef_names_[:-1], model.coef_[:-1], strict=True):
        assert value == pytest.approx(table[name].value, rel=1e-12)
    assert model.coef_[-1] == 0.0
    rows = {f"x{j + 1}": x[:9, j] for j in range(3)}
    # The interval is calibrated by the same errors: it is wider where the noise is larger.
    assert fitted.record.training.calibration
    np.testing.assert_allclose(
        model.predict(x[:9], interval=0.9), fitted.interval(rows, 0.9), rtol=1e-9
    )


def test_a_model_of_an_array_is_saved_and_summarized(tmp_path: Any) -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(60, 2))
    y = x @ [2.0, 1.0] + random.normal(size=60)
    model = LinearRegressor().fit(x, y, sample_weight=np.full(60, 2.0))
    model.fitted_.save(tmp_path / "model.hsq")
    again = load(tmp_path / "model.hsq")
    np.testing.assert_allclose(again.predict({"x1": x[:, 0], "x2": x[:, 1]}), model.predict(x))
    assert again.train["sse"] == pytest.approx(2 * float(np.sum((model.predict(x) - y) ** 2)))
    assert again.train["r2"] == pytest.approx(model.score(x, y))
    assert "nan" not in again.summary()


def test_texts_and_objects_in_arrays() -> None:
    random = np.random.default_rng(3)
    town, area = random.choice(["Ulm", "Bonn"], 60), random.uniform(1, 9, 60)
    x = np.column_stack([town.astype(object), area.astype(object)])
    y = area + 5.0 * (town == "Ulm")
    model = LinearRegressor().fit(x, y)
    assert model.coef_names_[0].startswith("x1=") and model.coef_names_[1] == "x2"
    assert abs(model.coef_[0]) == pytest.approx(5.0) and model.coef_[1] == pytest.approx(1.0)
    assert model.predict([["Ulm", 2.0], ["Bonn", 2.0]]) == pytest.approx([7.0, 2.0])
    assert LinearRegressor().fit(x.tolist(), y).coef_ == pytest.approx(model.coef_)


def test_other_columns_are_refused() -> None:
    frame = houses()
    y, x = frame.pop("price"), frame.drop(columns="sd")
    for model in (LinearRegressor(), FormulaRegressor(FORMULA)):
        model.fit(x, y)
        with pytest.raises(ValueError, match="feature names"):
            model.predict(x[list(reversed(x.columns))])
        with pytest.raises(ValueError, match="feature names"):
            model.predict(x.rename(columns={"area": "size"}))
        with pytest.raises(ValueError, match="yet now missing:\n- area"):
            model.predict(x.drop(columns="area"))
    with pytest.raises(DataError, match="column 'area': found 'large'"):
        LinearRegressor().fit(x, y).predict(x.assign(area="large"))
    with pytest.raises(NotFiniteError, match=r"row 3, column 'area'"):
        LinearRegressor().fit(x.assign(area=np.where(np.arange(N) == 2, np.inf, 1.0)), y)
    with pytest.raises(ValueError, match="y contains NaN"):
        LinearRegressor().fit(x, y.where(y > 200))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LinearRegressor().fit(x, y[:-1])


def test_searches_and_validation_of_frames() -> None:
    frame = houses()
    y, x = frame.pop("price"), frame.drop(columns="sd")
    assert cross_val_score(LinearRegressor(), x, y, cv=3).min() > 0.9
    search = GridSearchCV(LinearRegressor(), {"l2": [0.0, 10.0]}, cv=3).fit(x, y)
    assert search.best_params_ == {"l2": 0.0}
    assert search.predict(x).shape == (N,)


def test_weights_are_routed() -> None:
    frame = houses()
    y, x = frame.pop("price"), frame[["area", "town"]]
    weight = np.where(x["town"] == "Ulm", 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = LinearRegressor().set_fit_request(sample_weight=True)
        asked.set_score_request(sample_weight=True)
        found = cross_validate(
            make_pipeline(asked), x, y, params={"sample_weight": weight}, return_estimator=True
        )
    names = found["estimator"][0][-1].coef_names_
    assert names in (["area", "town=Kiel"], ["area", "town=Bonn"])  # no row of Ulm counts


def test_a_network_goes_on_with_frames() -> None:
    model, scores = NetworkRegressor(hidden=(16,)), []
    for call in range(15):
        frame = houses(200, seed=call)
        if call == 1:
            frame.loc[3, "town"] = "Jena"  # no level of the first call
        y, x = frame.pop("price"), frame[["area", "town", "age"]]
        if call:
            scores.append(model.score(x, y))  # on rows it has not seen
        model.partial_fit(x, y)
    assert scores[0] < 0.7 < scores[-1]
    assert model.fitted_.encoder.names[:1] == ("area",) and model.n_iter_ == 15
    assert model.predict(x[:4], interval=0.9)[0].shape == (4,)
    # Measured on rows that it had not learnt from.
    assert model.fitted_.train["r2"] == pytest.approx(scores[-1])
    assert "area" in model.fitted_.summary()
    with pytest.raises(OptionError, match="its weights are counts"):
        clone(model).set_params(weights="sigma").partial_fit(x, y)


def test_a_linear_model_of_sums_takes_numbers() -> None:
    frame = houses()
    numbers = frame[["area", "sd"]]
    model = LinearRegressor().partial_fit(numbers, frame["price"])
    assert model.coef_names_ == ["area", "sd"] == model.feature_names_in_.tolist()
    np.testing.assert_allclose(
        model.coef_, LinearRegressor().fit(numbers, frame["price"]).coef_, rtol=1e-10
    )
    assert np.isfinite(model.predict(numbers[:2], return_std=True)[1]).all()
    assert model.fitted_.train["r2"] == pytest.approx(model.score(numbers, frame["price"]))
    assert "area" in model.fitted_.summary()
    with pytest.raises(ValueError, match="could not convert"):
        LinearRegressor().partial_fit(frame[["town"]], frame["price"])


def test_contributions_of_the_columns_of_a_frame_add_up() -> None:
    frame = houses()
    y, x = frame.pop("price"), frame.drop(columns="sd")
    model = TreesRegressor(members=4, rounds=40, monotone={"area": 1}).fit(x, y)
    constant, added = model.contributions(x)
    assert added.shape == (N, 6)
    np.testing.assert_allclose(constant + added.sum(axis=1), model.predict(x), rtol=1e-9)
    assert not added[:, 5].any() and model.relevance_[5] == 0.0
    assert model.relevance_.sum() == pytest.approx(1.0) and model.relevance_.argmax() == 0


def test_a_formula_leaves_out_rows_with_gaps_and_needs_numbers() -> None:
    frame = houses()
    y, x = frame.pop("price"), frame.drop(columns="sd")
    model = FormulaRegressor("price ~ a + b*area + c*age").fit(x, y)
    assert model.fitted_.info["rows_missing_feature"] == int(x["age"].isna().sum())
    np.testing.assert_array_equal(np.isnan(model.predict(x)), x["age"].isna())
    with pytest.raises(DataError, match="'town' of the data is text; the formula needs numbers"):
        FormulaRegressor("price ~ a + b*town").fit(x, y)


@pytest.mark.parametrize("framed", [pd.DataFrame, pl.DataFrame])
def test_a_frame_of_numbers_alone_is_summed_as_an_array(
    framed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(2)
    columns = {"a": random.normal(size=80), "k": random.integers(0, 5, 80), "one": np.ones(80)}
    y = columns["a"] + columns["k"] + random.normal(size=80)
    table = LinearRegressor._fit_table
    monkeypatch.setattr(LinearRegressor, "_fit_table", None)
    model = LinearRegressor().fit(framed(columns), y)
    fitted = fit({**columns, "y": y}, "y", model="linear", test_fraction=0)
    found = dict(zip(model.coef_names_, model.coef_, strict=True))
    assert found.pop("one") == 0.0
    wanted = {p.name: p.value for p in fitted.parameters[1:]}
    assert found == pytest.approx(wanted, rel=1e-10)
    for more in ({"text": ["u", "v"] * 40}, {"long": np.arange(80) + (1 << 60)}):
        with pytest.raises(TypeError, match="NoneType"):
            LinearRegressor().fit(framed({**columns, **more}), y)
    monkeypatch.setattr(LinearRegressor, "_fit_table", table)
    gaps = framed({**columns, "a": np.where(columns["k"] > 3, np.nan, columns["a"])})
    assert "a is missing" in LinearRegressor().fit(gaps, y).coef_names_

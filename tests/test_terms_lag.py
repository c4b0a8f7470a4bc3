"""Earlier rows in linear models of terms: pandas' shift within groups as the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from halfsquare import fit, load
from halfsquare.data.lags import Lagging
from halfsquare.errors import DataError, FormulaError

smf = pytest.importorskip("statsmodels.formula.api")


@pytest.fixture(scope="module")
def panel() -> pd.DataFrame:
    """More rows than a batch; groups that come up again and again, gaps in x."""
    random = np.random.default_rng(0)
    n = 20_000
    frame = pd.DataFrame({"g": random.integers(0, 300, n), "h": random.choice(list("ab"), n)})
    frame["x"] = random.normal(size=n)
    frame.loc[::97, "x"] = np.nan
    frame["l1"] = frame.groupby("g").x.shift(1)
    frame["l3"] = frame.groupby(["g", "h"]).x.shift(3)
    frame["l2"] = frame.x.shift(2)
    frame["y"] = frame.x.fillna(0) + 0.5 * frame.l1.fillna(0) + random.normal(size=n)
    frame["before"] = frame.groupby("g").y.shift(1)
    return frame


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_lags_over_batches_of_any_size(steps: int) -> None:
    random = np.random.default_rng(steps)
    groups, values = random.integers(0, 9, 400), random.normal(size=400)
    wanted = pd.Series(values).groupby(groups).shift(steps)
    for cuts in ([], [1, 2, 3], [200], sorted(random.integers(0, 400, 30))):
        lag, found = Lagging(steps), []
        for g, v in zip(np.split(groups, cuts), np.split(values, cuts), strict=True):
            found.append(lag.of(g, v))
        np.testing.assert_array_equal(np.concatenate(found), wanted)


@pytest.mark.parametrize("door", ["frame", "csv"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("y ~ x + lag(x, 1, by=g) + lag(x, 3, by=[g, h])", "y ~ x + l1 + l3"),
        ("y ~ poly(lag(x, 2), 2) + lag(y, by=g):h", "y ~ l2 + I(l2**2) + before:h"),
        ("y ~ C(h) + log(abs(lag(x, by=g)))", "y ~ h + np.log(abs(l1))"),
    ],
)
def test_models_of_earlier_rows(
    panel: pd.DataFrame, door: str, ours: str, theirs: str, tmp_path: Path
) -> None:
    data: Any = panel[["g", "h", "x", "y"]]
    if door == "csv":
        data.to_csv(tmp_path / "t.csv", index=False)
        data = tmp_path / "t.csv"
    fit(data, formula=ours, model="linear", test_fraction=0).save(tmp_path / "m.hsq")
    model, known = load(tmp_path / "m.hsq"), smf.ols(theirs, panel).fit()
    assert model.record.data is not None
    assert model.info["train"]["rows"] == known.nobs
    np.testing.assert_allclose(model.predict(data), known.predict(panel), rtol=1e-9, atol=1e-9)


def test_new_rows_have_their_own_rows_before(panel: pd.DataFrame) -> None:
    model = fit(panel, formula="y ~ lag(x, 1, by=g)", model="linear", test_fraction=0)
    some = panel.iloc[500:900].reset_index(drop=True)
    first = ~some.g.duplicated()
    outputs = model.predict(some[["g", "x"]])
    assert np.isnan(outputs[first]).all()
    b = {p.name: p.value for p in model.parameters}
    wanted = b["intercept"] + b["lag(x, 1, by=g)"] * some.groupby("g").x.shift(1)
    np.testing.assert_allclose(outputs, wanted, rtol=1e-12)
    with pytest.raises(DataError, match="no column 'g'"):
        model.predict(some[["x"]])


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ lag(h)", r"character 9: 'h' is a text; lag is of a column of numbers"),
        ("y ~ lag(q)", r"'q' is no column of the data"),
        ("y ~ lag(x, 0)", r"a whole number of rows from 1"),
        ("y ~ lag(x, 1.5)", r"a whole number of rows from 1"),
        ("y ~ lag(x, 1, by=q)", r"by names columns of the data"),
        ("y ~ lag(lag(x))", r"lag takes a column"),
        ("y ~ lag(x, 1, g, 2)", r"lag takes a column, a number of rows and groups"),
    ],
)
def test_what_is_no_lag(panel: pd.DataFrame, formula: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        fit(panel, formula=formula, model="linear")

"""Whole numbers beyond 2⁵³ in tables: their differences count, whatever door they come by.

The reference is statsmodels on the differences.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm

from halfsquare import (
    AutoRegressor,
    LinearRegressor,
    NetworkRegressor,
    fit,
    fit_sums,
    load,
    sum_rows,
)
from halfsquare.errors import DataError
from halfsquare.explain.row import explain_row
from halfsquare.results.evaluate import evaluate


@pytest.fixture(scope="module")
def far_apart(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One table by every door: t beyond 2⁵³, with differences that float64 does not hold."""
    k, folder = np.arange(40), tmp_path_factory.mktemp("far")
    t = 1_700_000_000_000_000_000 + 100 * k + k % 3
    frame = pd.DataFrame({"t": t, "x": np.round(np.sin(k), 3)})
    frame["y"] = 3.0 + 0.005 * (t - t[0]) + 0.25 * frame.x + np.round(np.cos(5 * k) * 0.01, 4)
    frame.to_csv(folder / "a.csv", index=False)
    frame.to_parquet(folder / "a.parquet")
    frame.to_json(folder / "a.json", orient="records")
    # Before the large numbers many small ones, in rows without a target.
    before = pd.DataFrame({"t": np.full(3000, 5), "x": 0.0, "y": np.nan})
    pd.concat([before, frame]).to_csv(folder / "late.csv", index=False)
    decimal = pa.array(t.tolist()).cast(pa.decimal128(25, 2))
    table = pa.table({"t": decimal, "x": frame.x.to_numpy(), "y": frame.y.to_numpy()})
    return {
        "csv": folder / "a.csv",
        "parquet": folder / "a.parquet",
        "json": folder / "a.json",
        "late": folder / "late.csv",
        "frame": frame,
        "unsigned": frame.assign(t=frame.t.astype("uint64")),
        "decimal": table,
        "query": f"SELECT * FROM '{folder / 'a.parquet'}'",
    }


def _of_differences(frame: pd.DataFrame) -> Any:
    design = np.column_stack([(frame.t - frame.t.iloc[0]).astype(float), frame.x])
    return sm.OLS(frame.y.to_numpy(), sm.add_constant(design)).fit()


@pytest.mark.parametrize(
    "door", ["csv", "parquet", "json", "late", "frame", "unsigned", "decimal", "query"]
)
def test_tables_keep_differences_beyond_float64(
    far_apart: dict[str, Any], door: str, tmp_path: Path
) -> None:
    frame = far_apart["frame"]
    known = _of_differences(frame)
    fitted = fit(far_apart[door], "y", model="linear", test_fraction=0)
    fitted.save(tmp_path / "m.hsq")
    for model in (fitted, load(tmp_path / "m.hsq")):
        by_name = {p.name: p for p in model.parameters}
        assert by_name["t"].value == pytest.approx(known.params[1], rel=1e-12)
        assert by_name["t"].standard_error == pytest.approx(known.bse[1], rel=1e-9)
        # The intercept is where t is 0.
        at_zero = known.params[0] - known.params[1] * float(frame.t.iloc[0])
        assert by_name["intercept"].value == pytest.approx(at_zero, rel=1e-12)
        assert np.abs(model.predict(frame) - known.fittedvalues).max() < 1e-12
        assert np.abs(model.predict(frame.iloc[[7, 3]]) - known.fittedvalues[[7, 3]]).max() < 1e-12
    assert "less 1700000000000000000" in fitted.encoder.features[0].decision


def test_terms_and_sums_keep_differences_beyond_float64(
    far_apart: dict[str, Any], tmp_path: Path
) -> None:
    frame = far_apart["frame"]
    known = _of_differences(frame)
    models = [fit(frame, formula="y ~ t + x", model="linear", test_fraction=0)]
    models.append(LinearRegressor().fit(frame[["t", "x"]], frame.y).fitted_)
    # Sums of parts that begin at other values, merged either way and taken apart again.
    parts = [sum_rows(f, "y", test_fraction=0) for f in (frame.iloc[:17], frame.iloc[17:])]
    first, second = parts
    assert first.reading.columns["t"].base != second.reading.columns["t"].base
    for merged in (first.merge(second), second.merge(first)):
        models += [fit_sums(merged), fit_sums(merged.merge(second).subtract(second))]
    for model in models:
        value = {p.name: p.value for p in model.parameters}["t"]
        assert value == pytest.approx(known.params[1], rel=1e-12)
        assert np.abs(model.predict(frame) - known.fittedvalues).max() < 1e-12
    # A column that stands elsewhere too would be as float64 has it: refused.
    with pytest.raises(DataError, match=r"'t'.*the formula needs them whole"):
        fit(frame, formula="y ~ t * x", model="linear", test_fraction=0)


BASE = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def far_target(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One table by every door: a target beyond 2⁵³, which float64 rounds to multiples of 256."""
    k, folder = np.arange(40), tmp_path_factory.mktemp("target")
    noise = np.round(30 * np.cos(7 * k * k)).astype(int)
    frame = pd.DataFrame({"k": k, "t": BASE + 300 * k + noise})
    frame.to_csv(folder / "a.csv", index=False)
    frame.to_parquet(folder / "a.parquet")
    frame.to_json(folder / "a.json", orient="records")
    decimal = pa.table({"k": k, "t": pa.array(frame.t.tolist()).cast(pa.decimal128(25, 2))})
    return {
        "csv": folder / "a.csv",
        "parquet": folder / "a.parquet",
        "json": folder / "a.json",
        "frame": frame,
        "unsigned": frame.assign(t=frame.t.astype("uint64")),
        "decimal": decimal,
        "query": f"SELECT * FROM '{folder / 'a.csv'}'",
    }


def _about_the_base(frame: pd.DataFrame) -> Any:
    return sm.OLS((frame.t - BASE).to_numpy(float), sm.add_constant(frame.k.to_numpy(float))).fit()


@pytest.mark.parametrize(
    "door", ["csv", "parquet", "json", "frame", "unsigned", "decimal", "query"]
)
def test_a_target_keeps_its_differences(
    far_target: dict[str, Any], door: str, tmp_path: Path
) -> None:
    frame = far_target["frame"]
    known = _about_the_base(frame)
    fitted = fit(far_target[door], "t", model="linear", test_fraction=0)
    fitted.save(tmp_path / "m.hsq")
    for model in (fitted, load(tmp_path / "m.hsq")):
        by_name = {p.name: p for p in model.parameters}
        assert by_name["k"].value == pytest.approx(known.params[1], rel=1e-12)
        assert by_name["k"].standard_error == pytest.approx(known.bse[1], rel=1e-9)
        assert by_name["intercept"].value == pytest.approx(BASE + known.params[0], rel=1e-15)
        assert by_name["intercept"].standard_error == pytest.approx(known.bse[0], rel=1e-9)
        assert np.abs(model.predict(frame[["k"]]) - (BASE + known.fittedvalues)).max() <= 256
        # Errors are those of the differences, on other rows too.
        errors = (known.fittedvalues - (frame.t - BASE))[5:9]
        found = evaluate(model, frame.iloc[5:9]).summary
        assert found.mse == pytest.approx(float(np.mean(errors**2)), rel=1e-10)
        row = explain_row(model, frame, 7)
        assert row.error == pytest.approx(errors.iloc[1], rel=1e-9)
        assert row.output == pytest.approx(BASE + known.fittedvalues[6], rel=1e-15)
    _, low, high = fitted.interval(frame[["k"]])
    assert (low > BASE - 1000).all() and (high < BASE + 15_000).all()
    assert any("taken less" in s for s in fitted.info["reading"]["suspicious"])


def test_a_target_keeps_its_differences_by_sums_and_estimators(
    far_target: dict[str, Any],
) -> None:
    frame = far_target["frame"]
    known = _about_the_base(frame)
    x, t = frame[["k"]].to_numpy(float), frame.t.to_numpy()
    parts = [sum_rows(f, "t", test_fraction=0) for f in (frame[:17], frame[17:18], frame[18:])]
    assert len({p.reading.columns["t"].base for p in parts}) == 3
    a, b, c = parts
    models = [fit_sums(a.merge(b).merge(c)), fit_sums(c.merge(a).merge(b).merge(b).subtract(b))]
    models.append(fit(frame, formula="t ~ k", model="linear", test_fraction=0))
    models.append(LinearRegressor().fit(frame[["k"]], frame.t).fitted_)
    models.append(LinearRegressor().fit(x, t.tolist()).fitted_)
    models.append(LinearRegressor().partial_fit(x[:9], t[:9]).partial_fit(x[9:], t[9:]).fitted_)
    for model in models:
        slope = model.parameters[1]
        assert slope.value == pytest.approx(known.params[1], rel=1e-12)
        assert slope.standard_error == pytest.approx(known.bse[1], rel=1e-9)
        assert model.train["sse"] == pytest.approx(known.ssr, rel=1e-9)
    both = LinearRegressor().fit(x, np.column_stack([t, 3 * frame.k]))
    assert both.coef_.ravel() == pytest.approx([known.params[1], 3.0], rel=1e-12)
    assert np.abs(both.predict(x)[:, 0] - (BASE + known.fittedvalues)).max() <= 256
    for estimator in (NetworkRegressor, AutoRegressor):
        far, near = (estimator(random_state=0).fit(x, y) for y in (t, t - t[0]))
        assert far.fitted_.train["sse"] == near.fitted_.train["sse"]
        assert np.array_equal(far.predict(x), near.predict(x) + float(t[0]))


@pytest.mark.parametrize(
    "options",
    [
        {"formula": "t ~ k - 1", "model": "linear"},
        {"formula": "log(t) ~ k", "model": "linear"},
        {"formula": "t ~ a + b*k"},
        {"target": "t", "model": "linear", "target_transform": "log"},
    ],
)
def test_what_needs_a_target_whole_refuses_it(
    far_target: dict[str, Any], options: dict[str, Any]
) -> None:
    with pytest.raises(DataError, match=r"column 't'.*differ in digits that float64 does not hold"):
        fit(far_target["frame"], test_fraction=0, **options)
    # What float64 rounds is nothing beside values that differ much.
    wide = pd.DataFrame({"k": np.arange(1, 41), "t": np.arange(1, 41) ** 3 * (10**14 + 1)})
    fitted = fit(wide, test_fraction=0, **options)
    assert np.isfinite(fitted.train["rmse"])


def test_numbers_are_not_told_to_be_texts_too(tmp_path: Path) -> None:
    """Beyond 2⁶³, and in JSON from 2⁵³ on: they are read less the first of them, and as nothing
    else.
    """
    k = np.arange(60)
    y = (k % 7 + 0.5 * k).tolist()
    high = pa.table({"u": pa.array([2**63 + 7 * i for i in range(60)], pa.uint64()), "y": y})
    pq.write_table(high, tmp_path / "u.parquet")
    lines = [f'{{"u": {2**53 + i * i}, "y": {v}}}' for i, v in enumerate(y)]
    (tmp_path / "u.jsonl").write_text("\n".join(lines) + "\n")
    for name in ("u.parquet", "u.jsonl"):
        said = fit(tmp_path / name, "y", model="linear").info["reading"]["suspicious"]
        (about,) = [s for s in said if s.startswith("u: ")]
        assert "whole numbers that float64 would merge, taken less" in about
    # Texts some of which are numbers are texts, and it is still said.
    mixed = pa.table({"u": [str(i) if i % 2 else f"t{i}" for i in range(60)], "y": y})
    pq.write_table(mixed, tmp_path / "t.parquet")
    said = fit(tmp_path / "t.parquet", "y", model="linear").info["reading"]["suspicious"]
    assert any(s.startswith("u: some of its texts are numbers") for s in said)
